/** What other programs print, as they printed it. */
import { describe, expect, test } from "bun:test";
import { parseVersion } from "../../../src/domain/version.ts";
import { checksPending, parseSessions, parseStat, requestsInFlight, settledRows } from "../../../src/haproxy/socket.ts";
import { sentence } from "../../../src/haproxy/traffic.ts";
import { parseOsRelease } from "../../../src/packages/os.ts";
import { parseHaproxy } from "../../../src/system/programs.ts";
import { passingClock } from "../../helpers/system.ts";

describe("HAProxy", () => {
  test("says its version and features", () => {
    const text = [
      "HAProxy version 3.4.7-1 2026/10/14 - https://haproxy.org/",
      "Feature list : -51DEGREES +ACCEPT4 +PROMEX -QUIC +SLZ",
      "Built with SSL library version : OpenSSL 3.6.0",
      "Running on SSL library version : OpenSSL 3.6.0",
    ].join("\n");
    expect(parseHaproxy(text)).toMatchObject({
      version: { major: 3, minor: 4, patch: 7 },
      features: ["ACCEPT4", "PROMEX", "SLZ", "X25519MLKEM768"],
    });
  });

  test("with AWS-LC is known by the library that runs, not by the one that it was built with", () => {
    const text = (running: string) =>
      `HAProxy version 3.4.0 2026/06/03\nFeature list : +PROMEX\nBuilt with SSL library version : OpenSSL 1.1.1 (compatible; AWS-LC 5.5.0)\nRunning on SSL library version : ${running}\n`;
    expect(parseHaproxy(text("AWS-LC 5.5.0"))?.features).toContain("OPENSSL_AWSLC");
    expect(parseHaproxy(text("OpenSSL 3.0.19"))?.features).not.toContain("OPENSSL_AWSLC");
  });

  test.each([
    ["Running on OpenSSL version : OpenSSL 3.0.19 27 Jan 2026", false],
    ["Running on OpenSSL version : OpenSSL 3.5.9 29 Sep 2026", true],
    ["Running on SSL library version : OpenSSL 4.0.1 3 Nov 2026", true],
    ["Running on SSL library version : AWS-LC 1.66.2", true],
    ["Running on SSL library version : AWS-LC FIPS 2.0.17", false],
    ["Running on SSL library version : AWS-LC 1.30.0", false],
    ["Running on SSL library version : wolfSSL 5.8.0", false],
    ["Built with OpenSSL version : OpenSSL 3.5.9", false],
  ])("%s: knows the post-quantum key exchange: %p", (line, known) => {
    const found = parseHaproxy(`HAProxy version 3.0.11 2025/11/18\nFeature list : +PROMEX\n${line}\n`);
    expect(found?.features.includes("X25519MLKEM768")).toBe(known);
  });

  const clock = passingClock();

  test("a server that is being checked is read again, the others are not", async () => {
    const csv = (a: string, b: string) => parseStat(`# pxname,svname,check_status,check_code\ns3,a,${a}\ns3,b,${b}\n`);
    const readings = [
      csv("* L7OK,0", "L7OK,498"),
      csv("* L7OK,0", "* L7OK,0"),
      csv("L7OK,498", "L7OK,200"),
      csv("* L7OK,0", "L7OK,200"),
    ];
    const settled = await settledRows(async () => readings.shift() ?? [], clock);
    expect(settled.map((row) => row["check_code"])).toEqual(["498", "498"]);
    expect(readings).toHaveLength(1);
  });

  test("a server whose checks leave no gap is given up, and one that is gone stays as it was", async () => {
    let reads = 0;
    const hidden = parseStat("# pxname,svname,check_status,check_code\ns3,a,* L7OK,0\n");
    expect(await settledRows(async () => (reads++ === 0 ? hidden : []), clock)).toEqual(hidden);
    expect(reads).toBe(20);
  });

  test("counts the servers whose first check is outstanding", () => {
    const rows = parseStat(
      "# pxname,svname,check_status,status\ns3,a,INI,UP\ns3,b,L7OK,UP\ns3,c,* L7OK,UP\ns3,d,* INI,UP\ns3,e,INI,MAINT\ns3,BACKEND,,UP\n",
    );
    expect(checksPending(rows)).toBe(2);
  });

  test("tells frontend and age of each request in progress, and nothing of ober's own", () => {
    const text = [
      "0x7f1: proto=tcpv4 src=10.88.0.2:59100 fe=ober_s3 be=s3 srv=rgw1:9000 ts=00 epoch=0 age=57s calls=14 rate=0",
      "0x7f2: proto=tcpv4 src=10.88.0.2:60358 fe=ober_s3_plain be=s3 srv=rgw1:9000 ts=00 epoch=0 age=2h03m calls=13",
      "0x7f3: proto=tcpv4 src=10.77.0.1:60358 fe=ober_stats be=<NONE> srv=<none> ts=00 epoch=0 age=9h0m calls=1",
      "0x7f4: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0 age=0s calls=1 rate=0",
    ].join("\n");
    const sessions = parseSessions(text);
    expect(sessions).toEqual([
      { frontend: "ober_s3", ageSeconds: 57 },
      { frontend: "ober_s3_plain", ageSeconds: 7380 },
    ]);
    expect(sentence(2, sessions)).toBe("2 transfers (1 HTTPS, 1 HTTP), the longest for 7380 s");
    expect(sentence(1, sessions.slice(0, 1))).toBe("1 transfer (1 HTTPS), the longest for 57 s");
    expect(sentence(2000, [])).toBe("2000 transfers");
  });

  test("counts the requests of backends and nothing of ober's own", () => {
    const rows = parseStat(
      [
        "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout",
        "ober_s3,FRONTEND,,,9,12,20000,100,1,2",
        "s3,10.66.0.11:7480,0,0,2,3,1000,50,1,2",
        "s3,BACKEND,1,1,4,5,2000,100,1,2",
        "ober_stats,BACKEND,0,0,1,1,1,1,1,1",
      ].join("\n"),
    );
    expect(requestsInFlight(rows)).toBe(5);
  });
});

test.each([
  ["4.2.21", [4, 2, 21]],
  ["Keepalived v2.3.4 (06/10,2025)", [2, 3, 4]],
  ["BIRD version 2.20.0", [2, 20, 0]],
  ["3.4-dev5-abc", [3, 4, 0]],
] as const)("%p is version %p", (text, [major, minor, patch]) => {
  expect(parseVersion(text)).toMatchObject({ major, minor, patch });
});

test.each([
  [
    'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nVERSION_CODENAME=trixie\nID=debian\n',
    { id: "debian", version: "13", codename: "trixie", name: "Debian GNU/Linux 13 (trixie)" },
  ],
  [
    "PRETTY_NAME='Rocky Linux 10.1'\nVERSION_ID='10.1'\nID='rocky'\nID_LIKE='rhel centos fedora'\n",
    { id: "rocky", version: "10.1", codename: "", name: "Rocky Linux 10.1" },
  ],
  ["", { id: "", version: "", codename: "", name: "" }],
])("os-release %#", (text, os) => {
  expect(parseOsRelease(text)).toEqual(os);
});
