import { expect, test } from "bun:test";
import { differences, packageMember } from "../../../src/packages/offline.ts";

test.each([
  ["./haproxy_3.0.11-1%7edeb_amd64.deb", "haproxy_3.0.11-1%7edeb_amd64.deb"],
  ["haproxy-awslc-3.4.1-1.el10.x86_64.rpm", "haproxy-awslc-3.4.1-1.el10.x86_64.rpm"],
  ["./Packages", "Packages"],
  ["./SHA256SUMS", "SHA256SUMS"],
  ["./repodata/abc-primary.xml.gz", "repodata/abc-primary.xml.gz"],
  ["../install/", undefined],
  ["./repodata/", undefined],
  ["../evil.deb", undefined],
  ["/etc/evil.deb", undefined],
  ["./sub/evil.deb", undefined],
  ["./repodata/../../evil.deb", undefined],
  ["./-rf.deb", undefined],
  ["./run.sh", undefined],
  ["./.hidden.deb", undefined],
  ["a b.deb", undefined],
])("%p as a member of a bundle: %p", (name, member) => {
  expect(packageMember(name)).toBe(member as string);
});

test("a list of checksums and the files that are there", () => {
  const [a, b, c] = ["a".repeat(64), "b".repeat(64), "c".repeat(64)];
  expect(differences(`${a}  one.deb\n${b}  two.deb\n`, `${a}  one.deb\n${b}  two.deb\n`)).toEqual([]);
  expect(differences(`${a}  one.deb\n${b}  two.deb\n`, `${c}  one.deb\n${c}  three.deb\n`)).toEqual([
    "one.deb is damaged",
    "two.deb is missing",
    "three.deb is not in SHA256SUMS",
  ]);
});
