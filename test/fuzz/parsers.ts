/** Every parser of text that comes from outside: other machines, programs, and files that may be damaged. */
import { parseIni } from "../../src/certificates/acme/aws.ts";
import { examinePem } from "../../src/certificates/pem.ts";
import { peerStatus, turnWord } from "../../src/checks/peers.ts";
import { saturationOf, sharesOf } from "../../src/checks/saturation.ts";
import { vrrpView } from "../../src/checks/vrrp.ts";
import { CONFIG_KEYS, parseConfig } from "../../src/config/schema.ts";
import { numberIn, oneLine, printable, printableJson } from "../../src/domain/foreign.ts";
import { configLine, harmlessLines, PIECES } from "../../src/domain/harmless.ts";
import { parseKnownNames, parseNameStates } from "../../src/domain/names.ts";
import { lineRedactor, redact, withoutCredentials } from "../../src/domain/redact.ts";
import { rgwState, statesText } from "../../src/domain/rgw.ts";
import { configuredServers, parseServersState, serverStateFile } from "../../src/domain/server-state.ts";
import { parseServed } from "../../src/haproxy/certificates.ts";
import {
  parseOldWorkers,
  parseSessions,
  parseStat,
  requestsInFlight,
  serverRows,
  serversOf,
} from "../../src/haproxy/socket.ts";
import { unacknowledged } from "../../src/haproxy/traffic.ts";
import { wordsOf } from "../../src/haproxy/verdict.ts";
import { causeOf } from "../../src/health/drain.ts";
import { formerIn, sessionsIn } from "../../src/health/former.ts";
import { readAnswer } from "../../src/health/probe.ts";
import { createSessions } from "../../src/health/sessions.ts";
import { countersOf } from "../../src/node/traffic.ts";
import { parseAvailable, parsePolicy, parseSimulation } from "../../src/packages/apt-output.ts";
import { packagesIndex } from "../../src/packages/bundle.ts";
import { parseTransaction } from "../../src/packages/dnf.ts";
import { lockingPids } from "../../src/packages/locks.ts";
import { fingerprintsOf } from "../../src/packages/openpgp.ts";
import { parseOsRelease } from "../../src/packages/os.ts";
import { parseArpReply } from "../../src/system/arp.ts";
import { parseBfdSessions, parseSessions as parseBgpSessions } from "../../src/system/bgp.ts";
import { parseOpen, takeMessage } from "../../src/system/bgp-open.ts";
import { parseHandover } from "../../src/system/handover.ts";
import { parseHistory } from "../../src/system/history.ts";
import { parseHttpText } from "../../src/system/http.ts";
import { parseIpAddresses, parseIpRoutes } from "../../src/system/ip-json.ts";
import { type OWN_FILES, parseOwn } from "../../src/system/own-files.ts";
import { parseGlobalMetrics, parseIdentity } from "../../src/system/peer-words.ts";
import { parseHaproxy } from "../../src/system/programs.ts";
import { streamAddresses } from "../../src/system/resolve.ts";
import { parseUnitStates } from "../../src/system/systemd.ts";
import { parseVrrpData } from "../../src/system/vrrp.ts";
import { parseAdvertisement } from "../../src/system/vrrp-listen.ts";
import { fit } from "../../src/ui/fit.ts";
import { fitForTerminal } from "../../src/ui/output.ts";
import { table } from "../../src/ui/table.ts";
import type { Parser } from "./engine.ts";

const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
const latin1 = (...parts: readonly (string | readonly number[])[]) =>
  parts.map((part) => (typeof part === "string" ? part : String.fromCharCode(...part))).join("");
const json = (value: unknown) => JSON.stringify(value);

const CONFIG = parseConfig(
  {
    nodes: ["10.77.0.11", "10.77.0.12"],
    ha_mode: "keepalived",
    keepalived: { interface: "eth0" },
    vips: ["10.77.0.101", "10.77.0.102"],
    backends: [{ name: "s3", servers: ["10.66.0.11:7480", "rgw2:7480"] }],
  },
  "ober.yaml",
);
const PLACE = { address: "10.77.0.11", resolved: {} };
const N2 = { node: "n2", address: "10.77.0.12", own: false };
const NOW = Date.parse("2026-01-01T12:00:00Z");

const STAT = `# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,status,weight,check_status,check_code,check_desc,last_chk,addr,req_tot
ober_s3,FRONTEND,,,9,12,20000,100,1,2,OPEN,,,,,,,77
s3,10.66.0.11:7480,0,0,2,3,1000,50,1,2,UP,1,L7OK,200,Layer7 check passed,"OK, ""well""",10.66.0.11:7480,
s3,rgw2_7480-2,0,0,0,0,1000,0,0,0,MAINT,1,* L7STS,503,Layer7 wrong status,Slow Down,192.0.2.1:7480,
s3,BACKEND,1,1,4,5,2000,100,1,2,UP,1,,,,,,
`;
const IDENTITY = json({
  leaving: false,
  now: 1_764_190_000.123,
  serves: { at: 1_764_190_000, vips: { "10.77.0.101": 1_764_189_000 } },
  turn: { phase: "asks", id: "10.77.0.12", command: "ober_stop", at: 1_764_190_000 },
  node: {
    ober: "1.0.0",
    config: { vips: "0a1b2c3d", backends: "1a2b3c4d" },
    cluster: { address: "10.77.0.12", members: ["10.77.0.11", "10.77.0.12"], owners: "0a1b2c3d" },
  },
});
const METRICS = `# HELP haproxy_process_build_info Build info.
# TYPE haproxy_process_build_info gauge
haproxy_process_build_info{version="3.0.11-1+deb13u1"} 1
haproxy_process_start_time_seconds 1764190000
`;
const HTTP = `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n4\r\nall \r\nA\r\nof it, all\r\n0\r\n\r\n`;
const KEEPALIVED = `------< Global definitions >------
 Router ID = ober_n1
------< VRRP Topology >------
 VRRP Instance = ober_101
   VRRP Version = 3
   State = BACKUP
   Master router = 10.77.0.12
   Last transition = 1795442138.534162 (Mon Nov 23 13:55:38.534162 2026)
   Read timeout = 1795442140.465490 (Mon Nov 23 13:55:40.465490 2026)
   Master down timer = 728906 usecs
   Virtual Router ID = 101
   Effective priority = 91
   Virtual IP (1):
     10.77.0.101 dev eth0 scope global
 VRRP Instance = ober_102
   State = MASTER
   Last transition = 1795442100.000000 (Mon Nov 23 13:55:00.000000 2026)
   Virtual Router ID = 102
   Effective priority = 50
   Virtual IP (1):
     10.77.0.102 dev eth0 scope global
------< VRRP Sockpool >------
`;
const HAPROXY_CFG = `global
  stats socket /run/ober/haproxy.sock
backend s3
  balance leastconn
  server 10.66.0.11:7480 10.66.0.11:7480 check
  server rgw2:7480 rgw2:7480 check
  server-template rgw2_7480- 2-8 rgw2:7480 check disabled
backend other
  server [fd66::1]:7480 [fd66::1]:7480 check
`;
const SERVERS_STATE = `1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change
3 s3 1 10.66.0.11:7480 10.66.0.11 2 0 1 1 17 6 3 4 6 0 0 0 - 7480 - 0 0 - - 0
3 s3 2 rgw2:7480 192.0.2.1 0 1 1 1 17 1 0 2 6 0 0 0 rgw2 7480 - 0 0 - - 0
`;
const HISTORY = `${json({ at: "2026-01-01T12:00:00Z", kind: "route", vips: ["10.99.0.100"], to: "up", cause: "HAProxy answers" })}
${json({ at: "2026-01-01T12:01:00Z", kind: "command", vips: [], to: "ober stop", cause: "typed", by: "ann" })}
`;
const HEALTH = json({
  pid: 7,
  exabgp: 6,
  startedAt: "2026-01-01T12:00:00Z",
  updatedAt: "2026-01-01T12:00:00Z",
  stopped: false,
  url: "http://127.0.0.1:8404/health",
  vips: [
    {
      vip: "10.99.0.100",
      group: "",
      announced: true,
      acknowledged: true,
      since: "2026-01-01T12:00:00Z",
      cause: "good",
    },
  ],
  counters: { probes: 1, failures: 0, transitions: 1, acks: 1, ackErrors: 0, ackTimeouts: 0 },
  transitions: [
    { at: "2026-01-01T12:00:00Z", group: "", vips: ["10.99.0.100"], from: "unknown", to: "up", cause: "x" },
  ],
  sessions: [{ neighbor: "10.0.0.1", state: "up", since: "2026-01-01T12:00:00Z" }],
});
const GENERATION = {
  at: "2026-01-01T12:00:00Z",
  by: "ann",
  command: "ober apply",
  changed: ["/etc/x"],
  files: [{ path: "/etc/x", content: "x", mode: 420 }],
};
/** A real one of each file of ober's own. */
export const OWN: Readonly<Record<keyof typeof OWN_FILES, string>> = {
  journal: json({
    version: 1,
    directories: ["/opt/ober"],
    steps: [{ id: "x", state: "applied", at: "2026-01-01T12:00:00Z", record: [] }],
  }),
  generation: json({ number: 3, ...GENERATION }),
  owned: json({ "/etc/x": null, "/etc/y": { content: "y", mode: 420 } }),
  openings: json({ firewall: "ufw", openings: [{ service: "vrrp", from: "10.0.0.2" }] }),
  sysctls: json({ "net.ipv4.ip_forward": "0" }),
  transaction: json({
    version: 1,
    before: { "/etc/x": null },
    units: [{ name: "ober-http.service", enabled: true, active: true }],
    generation: 4,
    unconfirmed: { until: "2026-01-01T12:00:00Z", bootId: "b", generation: GENERATION },
  }),
  upgrade: json({
    at: "2026-01-01T12:00:00Z",
    by: "ann",
    packages: [{ name: "haproxy", installed: "3.0.11-1", candidate: "3.0.12-1", held: false, newFile: "/x.deb" }],
  }),
  given: json({ worker: 7, digests: { "/etc/s3.pem": "0a1b" } }),
  acme: json({
    failures: 1,
    error: "x",
    failedAt: "2026-01-01T12:00:00Z",
    issued: { "/etc/s3.pem": "0a1b" },
    ari: { ab: { start: "2026-01-01T12:00:00Z", end: "2026-01-02T12:00:00Z", askedAt: "2026-01-01T12:00:00Z" } },
  }),
  health: HEALTH,
  history: HISTORY.split("\n")[0] ?? "",
  rgws: json({
    wishes: [
      { group: "s3", server: "rgw1:7480", wish: "drain", by: "ann", at: "2026-01-01T12:00:00Z", reason: "new disks" },
      {
        group: "s3",
        server: "rgw2:7480",
        wish: "weight",
        weight: 50,
        by: "ann",
        at: "2026-01-01T12:00:00Z",
        reason: "",
      },
    ],
  }),
  names: json({ "rgw1.example": { addresses: ["10.0.0.1"], at: "2026-01-01T12:00:00Z" } }),
  load: json({
    slots: [{ slot: 5_900_000, bytes: 1, connections: 2, cpu: 3, groups: { s3: 4 } }],
    sums: { slot: 5_900_001, bytes: 1, connections: 2, cpu: 3, groups: { s3: 4 }, seconds: 60 },
    last: { uptime: 5, bytes: 1, cpuUs: 7 },
  }),
  nameStates: json({ "rgw1.example": { address: "10.0.0.1", at: "2026-01-01T12:00:00Z" } }),
  reloads: json([1_767_268_800]),
  certificateNames: json({ names: ["s3.example.org"], since: "2026-01-01T12:00:00Z", before: [] }),
  drill: json({
    version: 1,
    number: 3,
    drill: "rgw-down",
    target: "rgw1",
    seconds: 10,
    at: "2026-01-01T12:00:00Z",
    by: "ann",
    mode: "bgp",
    bfd: "up",
    bootId: "b",
    servers: [{ backend: "s3", server: "rgw1:7480" }],
  }),
  drillResult: json({
    number: 3,
    drill: "haproxy-hang",
    seconds: 10,
    at: "2026-01-01T12:00:00Z",
    by: "ann",
    mode: "bgp",
    bfd: "up",
    outcome: "done",
    goneMs: 612,
    backMs: 240,
  }),
  selfMade: json({ by: "ann", at: "2026-01-01T12:00:00Z" }),
};
const NAMES = json({
  rgw2: {
    address: "10.66.0.12",
    addresses: ["10.66.0.12"],
    others: ["10.66.0.13"],
    at: "2026-01-01T12:00:00Z",
    problem: "none",
  },
});
/** Made for this test; nobody trusts it. */
const PEM = `-----BEGIN CERTIFICATE-----
MIIBojCCAUigAwIBAgIUftrcLwKq0MSE7/Ldl7ZNab4NiAswCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOczMuZXhhbXBsZS5vcmcwHhcNMjYxMTI2MjMzMjE0WhcNMzYx
MTIzMjMzMjE0WjAZMRcwFQYDVQQDDA5zMy5leGFtcGxlLm9yZzBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABLhm7IJBZC3UWGSPhuZOY8/ZYRYHTnodGVmf8agRNUbe
//6w7UrlzYHnoU5nEWUpgxSayETKQ/Vumz9YgXnGcKmjbjBsMB0GA1UdDgQWBBTr
P9jcAcOPecyy+KK8Lmhw+B6uzTAfBgNVHSMEGDAWgBTrP9jcAcOPecyy+KK8Lmhw
+B6uzTAPBgNVHRMBAf8EBTADAQH/MBkGA1UdEQQSMBCCDnMzLmV4YW1wbGUub3Jn
MAoGCCqGSM49BAMCA0gAMEUCIQCWvGM/h2utxdl5/Heb6f6QERGP1coGu+KN2H+V
2JfWMQIgMZ7Harj6WJfjDgHAedPBgOCow55U0bqyhlQvm1Prbn8=
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2X5Vd9uCOr+Swt4Q
9ervhi5XwNMrYIE8nD2juwIBQEWhRANCAAS4ZuyCQWQt1Fhkj4bmTmPP2WEWB056
HRlZn/GoETVG3v/+sO1K5c2B56FOZxFlKYMUmshEykP1bps/WIF5xnCp
-----END PRIVATE KEY-----
`;
const SS = `ESTAB 0 1448 10.99.0.100:443 10.88.0.2:41234
ESTAB 0 0 [fd99::1]:443 [fd88::2]:41234
LISTEN 3 4096 0.0.0.0:443 0.0.0.0:*
`;
const NETSTAT = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 12 13\n";
const NFT = `table ip ober {
\tcounter sent {
\t\tpackets 12 bytes 1200
\t}
\tset owner {
\t\telements = { 10.88.0.2 . 41234 : 10.77.0.12, 10.88.0.3 . 41235 expires 29s : 10.77.0.12 }
\t}
\tchain narrow {
\t}
}
`;
const UNITS = ["ober-http.service", "ober-bgp.service"];
const UNIT = `Id=ober-http.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
MainPID=7
NRestarts=0
StateChangeTimestamp=@1764190000
ActiveEnterTimestamp=@1764190000
Result=success

Id=ober-bgp.service
ActiveState=inactive
`;

const SECRETS = [
  "Authorization: AWS4-HMAC-SHA256 Credential=AKIAABCDEFGHIJKLMNOP/20260101/x, Signature=hush\nCookie: a=b",
  'neighbor 10.0.0.1 { md5-password "hush hush"; }\nauth_pass hush\nbgp_password = hush\n--token hush -y hmac:name:hush',
  "GET /b/k?X-Amz-Signature=hush&x=1 https://user:hush@host/ <SecretKey>hush</SecretKey> Bearer abcdefghijklmnop1",
  `a-----BEGIN EC PRIVATE KEY-----\nhush\n-----END EC PRIVATE KEY-----\n{"password":"${"x".repeat(40)}"}`,
  'Nov 27 04:40:39 n1 haproxy[12]: [WARNING]  (12) : Server s3/rgw1 is DOWN, reason: Layer7, info: "x", check {a}',
  'backends: [{name: s3, servers: ["10.66.0.1:7480"]}] # hush\nvips:\n  - 10.99.0.100\n',
  'iifname "eth0" comment "hush" log prefix "x" 10.0.0.1 users:(("haproxy",pid=1,fd=2))',
];

export const PARSERS: readonly Parser[] = [
  { name: "redact", parse: (text) => redact(text, ["hush"]), seeds: SECRETS },
  { name: "withoutCredentials", parse: withoutCredentials, seeds: SECRETS },
  {
    name: "lineRedactor",
    parse: (text) =>
      text
        .split("\n")
        .map(lineRedactor(["hush"]))
        .join("\n"),
    seeds: SECRETS,
  },
  { name: "configLine", parse: (text) => harmlessLines(text, configLine(CONFIG_KEYS), []), seeds: SECRETS },
  ...Object.entries(PIECES).map(([name, filter]) => ({
    name: `piece ${name}`,
    parse: (text: string) => harmlessLines(text, filter, []),
    seeds: SECRETS,
  })),
  {
    name: "haproxy show stat",
    seeds: [STAT],
    parse(text) {
      const rows = parseStat(text);
      const servers = serversOf(rows, "s3");
      const numbers = [requestsInFlight(rows), saturationOf({ rows, listeners: SS, netstat: NETSTAT })];
      return [
        servers,
        statesText(servers),
        numbers,
        serverRows(rows, "s3").map((row) => rgwState(row)),
        countersOf(rows),
      ];
    },
  },
  {
    name: "haproxy show table",
    seeds: [
      "# table: ober_s3, type: ipv6, size:25200, used:2\n0x7f01: key=::ffff:10.1.2.3 use=500 exp=10000 shard=0 conn_cur=500\n0x7f02: key=2001:db8:1:2:: use=501 exp=9998 conn_cur=501\n",
      "# table: ober_s3_plain, type: integer, size:1, used:1\n0x55d0c8: key=0 use=513 exp=0 gpc0=1234 gpc1=2 gpc1_rate(10000)=2\n",
    ],
    parse: (text) => sharesOf({ limitOfOne: 500, held: text, refused: text }),
  },
  {
    name: "haproxy show sess",
    seeds: [
      "0x7f1: proto=tcpv4 src=10.88.0.2:59100 fe=ober_s3 be=s3 srv=rgw1:9000 ts=00 epoch=0 age=1d2h03m57s calls=14\n",
    ],
    parse: parseSessions,
  },
  {
    name: "haproxy show proc",
    seeds: [
      "#<PID> <type> <reloads> <uptime>\n7 master 1 0d00h\n# workers\n9 worker 0 0d00h01m\n# old workers\n8 worker 1 0d00h02m\n# programs\n",
    ],
    parse: parseOldWorkers,
  },
  {
    name: "haproxy show ssl cert",
    seeds: [
      "Filename: /etc/s3.pem\nSHA1 FingerPrint: 0A1B\nnotAfter: Jan  1 12:00:00 2027 GMT\nChain Subject: /CN=x\n",
    ],
    parse: parseServed,
  },
  {
    name: "haproxy show servers state",
    seeds: [SERVERS_STATE],
    parse: (text) => serverStateFile(configuredServers(HAPROXY_CFG), () => ["10.66.0.12"], parseServersState(text)),
  },
  { name: "haproxy.cfg", seeds: [HAPROXY_CFG], parse: configuredServers },
  {
    name: "haproxy -vv",
    seeds: [
      "HAProxy version 3.4.7-1 2026/10/14 - https://haproxy.org/\nFeature list : -51DEGREES +ACCEPT4 +PROMEX\nRunning on SSL library version : OpenSSL 3.6.0\n",
    ],
    parse: parseHaproxy,
  },
  {
    name: "haproxy -c",
    seeds: [
      "[ALERT]    (7) : config : parsing [/x.cfg:9] : 'bind unix@/x' in section 'frontend' : unable to load certificate.\nFatal errors found\n",
    ],
    parse: wordsOf,
  },
  {
    name: "http answer",
    seeds: [HTTP, HTTP.replace("transfer-encoding: chunked", "content-length: 3")],
    parse: parseHttpText,
  },
  {
    name: "health answer",
    seeds: ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "HTTP/1.0 503 no\r\n\r\n"],
    parse: readAnswer,
  },
  {
    name: "identity of a node",
    seeds: [IDENTITY],
    parse: (text) => turnWord("n2", parseIdentity(text)),
  },
  {
    name: "answers of a node",
    seeds: [IDENTITY + STAT + METRICS, `${IDENTITY}|${STAT}|${METRICS}`],
    parse(text) {
      const [identity = "", stat = "", metrics = ""] = text.split("|").map((body) => ({ status: 200, body }));
      const none = { status: undefined, code: "EPROTO" } as const;
      const answers = { identity: identity || none, stat: stat || none, metrics: metrics || none };
      return peerStatus(N2, answers, { config: CONFIG, timeoutMs: 1500 });
    },
  },
  { name: "haproxy /metrics", seeds: [METRICS], parse: parseGlobalMetrics },
  {
    name: "keepalived data",
    seeds: [KEEPALIVED],
    parse: (text) => vrrpView(CONFIG, PLACE, { states: parseVrrpData(text), onInterface: new Set(["10.77.0.102"]) }),
  },
  {
    name: "birdc",
    seeds: [
      "BIRD 2.17.1 ready.\nbfd1:\nIP address                Interface  State      Since         Interval  Timeout\n10.77.0.1                 eth0       Up         12:00:00.000    0.100    0.300\n",
    ],
    parse: parseBfdSessions,
  },
  {
    name: "ss",
    seeds: [SS],
    parse: (text) => [
      unacknowledged(text),
      parseBgpSessions(text),
      saturationOf({ rows: [], listeners: text, netstat: NETSTAT }),
    ],
  },
  {
    name: "/proc/net/netstat",
    seeds: [NETSTAT],
    parse: (text) => saturationOf({ rows: [], listeners: "", netstat: text }),
  },
  {
    name: "exabgp",
    seeds: [
      "neighbor 10.0.0.1 connected\nneighbor 10.0.0.1 up\nneighbor 10.0.0.1 down - peer reset, message [notification received (2,2)] error[Error]\n",
    ],
    parse(text) {
      const sessions = createSessions();
      for (const line of text.split("\n")) sessions.hear(line, new Date(NOW));
      return sessions.states;
    },
  },
  { name: "nft list table", seeds: [NFT], parse: parseHandover },
  { name: "systemctl show", seeds: [UNIT], parse: (text) => parseUnitStates(text, UNITS) },
  {
    name: "ip -json address",
    seeds: [json([{ ifname: "eth0", addr_info: [{ local: "10.0.0.1", prefixlen: 24, scope: "global" }] }])],
    parse: parseIpAddresses,
  },
  {
    name: "ip -json route",
    seeds: [json([{ dst: "10.0.0.1", dev: "eth0", prefsrc: "10.0.0.2", gateway: "10.0.0.254" }])],
    parse: parseIpRoutes,
  },
  {
    name: "getent ahosts",
    seeds: ["10.66.0.12     STREAM rgw2\n10.66.0.12     DGRAM\nfd66::1%eth0 STREAM x\n"],
    parse: (text) => streamAddresses(text.split("\n")),
  },
  {
    name: "apt-get -s",
    seeds: [
      "Inst haproxy [3.0.11-1] (3.0.12-1 Debian:13/stable [amd64])\nConf haproxy (3.0.12-1 Debian:13/stable [amd64])\n",
    ],
    parse: parseSimulation,
  },
  {
    name: "apt-cache policy",
    seeds: [
      "haproxy:\n  Installed: 3.0.11-1\n  Candidate: 3.0.12-1\n  Version table:\n     3.0.12-1 500\n        500 http://deb.debian.org/debian trixie/main amd64 Packages\n *** 3.0.11-1 100\n        100 /var/lib/dpkg/status\n",
    ],
    parse: (text) => [parsePolicy(text), parseAvailable(text)],
  },
  {
    name: "apt-cache show",
    seeds: [
      "Package: haproxy\nVersion: 3.0.11-1\nFilename: pool/main/h/haproxy_3.0.11-1_amd64.deb\nSHA256: 0a\n\nPackage: exabgp\nFilename: pool/e.deb\n",
    ],
    parse: packagesIndex,
  },
  {
    name: "dnf",
    seeds: [" haproxy   x86_64   3.0.5-4.el10   appstream   2.9 M\n keepalived noarch 2.2.8-6 appstream 1 k\n"],
    parse: parseTransaction,
  },
  {
    name: "/proc/locks",
    seeds: ["1: POSIX  ADVISORY  WRITE 7 00:1f:123 0 EOF\n2: FLOCK  ADVISORY  WRITE 8 08:01:456 0 EOF\n"],
    parse: lockingPids,
  },
  {
    name: "os-release",
    seeds: ['PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nID=debian\n'],
    parse: parseOsRelease,
  },
  { name: "pem", seeds: [PEM], parse: (text) => examinePem({ file: "/etc/s3.pem", text }, new Date(NOW)) },
  {
    name: "der",
    seeds: [atob(PEM.split("-----")[2]?.replaceAll("\n", "") ?? "")],
    parse(text) {
      const pem = `-----BEGIN CERTIFICATE-----\n${Buffer.from(bytes(text)).toString("base64")}\n-----END CERTIFICATE-----\n`;
      return examinePem({ file: "/etc/s3.pem", text: pem + PEM.slice(PEM.indexOf("-----BEGIN PRIV")) }, new Date(NOW));
    },
  },
  {
    name: "openpgp",
    seeds: [latin1([0x99, 0, 13, 4, 0, 0, 0, 1, 22, 1, 2, 3, 4, 5, 6]), latin1([0xc6, 6, 4, 0, 0, 0, 1, 22])],
    parse: (text) => fingerprintsOf(bytes(text)),
  },
  {
    name: "aws profile",
    seeds: ["[default]\naws_access_key_id = A\naws_secret_access_key = b\n# x\n[profile x]\nregion=eu\n"],
    parse: parseIni,
  },
  {
    name: "bgp open",
    seeds: [
      latin1(Array(16).fill(0xff), [0, 29, 1, 4, 0xfd, 0xe9, 0, 90, 10, 0, 0, 1, 8, 2, 6, 65, 4, 0, 0, 0xfd, 0xe9]),
    ],
    parse(text) {
      // A router that says more before it has said a whole message is not listened to any longer.
      const stream = [...bytes(text.slice(0, 65_536))];
      const message = takeMessage(stream);
      return message && parseOpen(message.body);
    },
  },
  {
    name: "vrrp packet",
    seeds: [
      latin1([0x45, 0, 0, 32, 0, 0, 0, 0, 255, 112, 0, 0, 10, 77, 0, 12, 224, 0, 0, 18], [0x31, 101, 90, 1, 0, 100]),
    ],
    parse: (text) => parseAdvertisement(bytes(text)),
  },
  {
    name: "arp frame",
    seeds: [
      latin1(Array(12).fill(2), [8, 6, 0, 1, 8, 0, 6, 4, 0, 2], Array(6).fill(3), [10, 0, 0, 1], Array(10).fill(0)),
    ],
    parse: (text) => parseArpReply(bytes(text)),
  },
  {
    name: "drain flag",
    seeds: [json({ by: "ann", at: "2026-01-01T12:00:00Z", reason: "disks", soft: true })],
    parse: causeOf,
  },
  { name: "former health state", seeds: [HEALTH], parse: (text) => [formerIn(text, []), sessionsIn(text, 6)] },
  { name: "known names", seeds: [NAMES], parse: (text) => [parseKnownNames(text), parseNameStates(text)] },
  { name: "history", seeds: [HISTORY], parse: parseHistory },
  ...Object.entries(OWN).map(
    ([name, seed]): Parser => ({
      name: `own file: ${name}`,
      seeds: [seed],
      parse: (text) => parseOwn(name as keyof typeof OWN_FILES, text),
    }),
  ),
  {
    name: "what is printed",
    seeds: [
      "XX  units: ober-http.service is inactive\n    fix: ober start\n",
      "\u001b[31mXX\u001b[39m  n1: 10.0.0.1\n",
    ],
    parse(text) {
      for (const shown of [
        fitForTerminal(text, false),
        printable(oneLine(text, 80)),
        printable(
          table(
            ["a", "b"],
            [
              [text, "x"],
              ["y", text],
            ],
          ),
        ),
      ])
        if (/[^\P{C}\n\t\p{Co}\p{Cn}]/u.test(shown)) throw new Error("a control character is left");
      const document = printableJson(json({ text }));
      if (/[^\P{C}\p{Co}\p{Cn}]/u.test(document)) throw new Error("a control character is left in JSON");
      if ((JSON.parse(document) as { text: string }).text !== text) throw new Error("JSON says something else");
      return [fit(fitForTerminal(text, true), 80).length, numberIn(text)];
    },
  },
];
