/** Names that the certificates were for, and are not any more. */
import { expect, test } from "bun:test";
import { examineCertificates } from "../../../src/certificates/examined.ts";
import { keepNames, lostNames, namesAfter, readNames } from "../../../src/certificates/lost-names.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import { selfSigned } from "../../helpers/certificate.ts";
import { temporarySystem } from "../../helpers/system.ts";

const at = (hours: number) => new Date(Date.UTC(2026, 0, 1, hours));
const BOTH = ["s3.example.org", "s3.example.com"];

test("a name that the certificate had for long is lost with the next one", () => {
  const first = namesAfter(undefined, BOTH, at(0));
  expect(lostNames(first)).toEqual([]);
  expect(lostNames(namesAfter(first, ["s3.example.org"], at(48)))).toEqual(["s3.example.com"]);
});

test("the same names in another order, or in other letters, change nothing", () => {
  const first = namesAfter(undefined, BOTH, at(0));
  expect(namesAfter(first, ["S3.example.com", "s3.example.org"], at(48))).toBe(first);
});

test("a wrong certificate that was there for a moment is not missed, and what it replaced is", () => {
  const wrong = namesAfter(namesAfter(undefined, BOTH, at(0)), ["intranet.example.org"], at(48));
  expect(lostNames(wrong)).toEqual(["s3.example.com", "s3.example.org"]);
  expect(lostNames(namesAfter(wrong, BOTH, at(48)))).toEqual([]);
});

test.each([
  ["s3.example.org", true],
  ["a.s3.example.org", false],
  ["example.org", false],
])("a wildcard for a level stands for %s: %p", (name, covered) => {
  const record = namesAfter(namesAfter(undefined, [name], at(0)), ["*.example.org"], at(48));
  expect(lostNames(record)).toEqual(covered ? [] : [name]);
});

test("they are kept when the certificates are looked at, and a damaged record is made anew", async () => {
  using system = temporarySystem();
  const paths = pathsOf("/opt/ober");
  await system.makeDirectory(paths.certs);
  await system.writeAtomic(paths.ownCertificate, await selfSigned("s3.example.org"), { mode: 0o600 });
  const examined = await examineCertificates(system, `${paths.certs}/`);
  await system.makeDirectory(paths.var);
  await system.writeAtomic(paths.certificateNames, "nonsense");
  expect(await readNames(system, paths)).toBeUndefined();
  await keepNames({ system, paths }, examined, at(0));
  expect((await readNames(system, paths))?.names).toEqual(["s3.example.org"]);
});
