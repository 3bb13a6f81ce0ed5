import { expect, test } from "bun:test";
import { parseAvailable, parseSimulation } from "../../../src/packages/apt-output.ts";
import { mirrorIn } from "../../../src/packages/bundle.ts";
import { parseTransaction } from "../../../src/packages/dnf.ts";
import { vendorRepository } from "../../../src/packages/haproxy-vendor.ts";
import { lockingPids } from "../../../src/packages/locks.ts";

/** `apt-cache policy` of a Debian 13 with backports and experimental, and of one package that no repository has. */
const POLICY = `haproxy:
  Installed: (none)
  Candidate: 3.0.11-1+deb13u1
  Version table:
     3.4.6-1 1
          1 http://deb.example.org/debian experimental/main amd64 Packages
     3.2.9-1~bpo13+1 100
        100 http://deb.example.org/debian trixie-backports/main amd64 Packages
     3.0.11-1+deb13u1 500
        500 http://deb.example.org/debian trixie/main amd64 Packages
keepalived:
  Installed: 1:2.3.3-1
  Candidate: 1:2.3.3-1
  Version table:
 *** 1:2.3.3-1 100
        100 /var/lib/dpkg/status
     1:2.2.0-1 -10
        -10 http://deb.example.org/debian trixie/main amd64 Packages
bird2:
  Installed: (none)
  Candidate: (none)
  Version table:
`;

test("what apt offers counts backports, and not what it gives only when it is forced", () => {
  expect(Object.fromEntries(parseAvailable(POLICY))).toEqual({ haproxy: "3.2.9-1~bpo13+1", keepalived: "1:2.3.3-1" });
});

test("a version that the operator has pinned wins over a newer one", () => {
  const pinned = POLICY.replace("3.0.11-1+deb13u1 500", "3.0.11-1+deb13u1 990");
  expect(parseAvailable(pinned).get("haproxy")).toBe("3.0.11-1+deb13u1");
});

test("what apt would unpack, new and in place of another", () => {
  const text = `Inst liblua5.4-0 (5.4.7-1+b2 Debian:13.1/stable [amd64])
Inst perl [5.40.1-6] (5.40.1-7 Debian:13.1/stable [amd64]) []
Conf liblua5.4-0 (5.4.7-1+b2 Debian:13.1/stable [amd64])
Remv hello [2.10-3]
`;
  expect(parseSimulation(text)).toEqual([
    { name: "liblua5.4-0", version: "5.4.7-1+b2" },
    { name: "perl", version: "5.40.1-7" },
  ]);
});

test("what dnf would install", () => {
  const text = `================================================================================
 Package             Architecture  Version             Repository          Size
================================================================================
Installing:
 exabgp              x86_64        4.2.25-1.el10       base               6.4 k
Installing dependencies:
 python3-exabgp      noarch        1:4.2.25-1.el10     base               512 k

Transaction Summary
`;
  expect(parseTransaction(text)).toEqual([
    { name: "exabgp", version: "4.2.25-1.el10" },
    { name: "python3-exabgp", version: "1:4.2.25-1.el10" },
  ]);
});

test("who holds locks, without those that wait and those that only read", () => {
  const text = `1: POSIX  ADVISORY  WRITE 812 00:1f:1234 0 EOF
1: -> POSIX  ADVISORY  WRITE 900 00:1f:1234 0 EOF
2: POSIX  ADVISORY  READ 813 00:1f:99 128 128
3: FLOCK  ADVISORY  WRITE 814 00:1f:98 0 EOF
4: POSIX  ADVISORY  WRITE 812 00:1f:1235 0 EOF
5: OFDLCK ADVISORY  WRITE -1 00:05:92 0 EOF
`;
  expect(lockingPids(text)).toEqual(["812", "814"]);
});

test.each([
  [
    { id: "debian", version: "13", codename: "trixie", family: "debian", name: "" },
    "x64",
    "https://m.example/p/debian/ha34/dists/trixie/Release",
  ],
  [
    { id: "ubuntu", version: "24.04", codename: "noble", family: "debian", name: "" },
    "arm64",
    "https://m.example/p/ubuntu/ha34/dists/noble/Release",
  ],
  [
    { id: "almalinux", version: "10.1", codename: "", family: "rhel", name: "" },
    "arm64",
    "https://m.example/p/rhel/ha34/el10/aarch64/repodata/repomd.xml",
  ],
] as const)("the vendor's repository for %j on %s is known by %s", (os, arch, probe) => {
  expect(vendorRepository(os, { base: "https://m.example/p", branch: "3.4", arch }).probe).toBe(probe);
});

test.each([
  ["deb [signed-by=/x] https://m.example/debian/ trixie main\n", "https://m.example/debian"],
  [
    "Types: deb\nURIs: http://s.example/debian-security http://m.example/debian\nSuites: trixie\n",
    "http://m.example/debian",
  ],
  ["# deb http://m.example/debian trixie main\ndeb-src http://m.example/debian trixie main\n", undefined],
  ["deb http://m.example/ubuntu noble main\n", undefined],
])("a mirror in %j is %p", (text, mirror) => {
  expect(mirrorIn(text, "debian")).toBe(mirror);
});
