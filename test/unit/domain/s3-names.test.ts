import { expect, test } from "bun:test";
import { s3Names } from "../../../src/domain/s3-names.ts";

const NONE = { acme_domain: "", acme_names: [] };

test.each([
  ["none are known with a certificate of the site's own", { s3_names: [], certs: NONE }, []],
  [
    "those that are given",
    { s3_names: ["S3.example.org"], certs: { ...NONE, acme_domain: "a.example.org" } },
    ["s3.example.org"],
  ],
  [
    "those of the certificate, without wildcards and without what may be a bucket",
    {
      s3_names: [],
      certs: {
        acme_domain: "s3.example.org",
        acme_names: ["*.s3.example.org", "photos.S3.example.org", "archive.example.org", "s3.example.org"],
      },
    },
    ["s3.example.org", "archive.example.org"],
  ],
])("names of S3 itself: %s", (_, config, names) => {
  expect(s3Names(config)).toEqual(names);
});
