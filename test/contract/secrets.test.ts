/**
 * Nothing leaks: secrets of every kind, well formed and not, in every place where they may stand on a node; then everything that ober shows or packs
 * is searched for them. What an operator needs must still be there.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../lab/process.ts";
import { enterNetwork } from "./_ingress.ts";
import { OWN, PEERS, stage, VIP } from "./_stage.ts";

let count = 0;
const planted: string[] = [];
/** A secret that is told from all others: short, as a person's, or as long and mixed as a key. */
function plant(form: (secret: string) => string, long = false): string {
  const number = String(++count).padStart(3, "0");
  const secret = long ? `Zq${number}x7Kd9mWq3RtYv2LpNs8B${number}fGhJ4c6` : `hush${number}word`;
  planted.push(secret);
  return form(secret);
}

const SSE = "x-amz-server-side-encryption-customer-key";
const HEADERS = [
  ...[
    "Authorization: Bearer",
    "Authorization: Basic",
    "Proxy-Authorization: Basic",
    "Authorization: AWS AKIDEXAMPLEKEY1:",
  ],
  "Authorization: AWS4-HMAC-SHA256 Credential=AK/20260101/x, SignedHeaders=host, Signature=",
  ...[
    "X-Auth-Token:",
    "X-Auth-Key:",
    "X-Storage-Token:",
    "X-Service-Token:",
    "X-Subject-Token:",
    "Cookie: a=1; session=",
  ],
  ...["Set-Cookie: session=", `${SSE}:`, `${SSE}-MD5:`, "x-amz-security-token:", "X-Account-Meta-Temp-URL-Key:"],
  `x-amz-copy-source-server-side-encryption-customer-key:`,
];
const QUERIES = [
  "X-Amz-Signature",
  "X-Amz-Security-Token",
  "X-Amz-Credential",
  "Signature",
  "AWSAccessKeyId",
  "temp_url_sig",
  "policy",
  "token",
];
const requests = () => [
  ...HEADERS.flatMap((header) => [plant((x) => `${header} ${x}`), plant((x) => `${header}${x}`, true)]),
  ...QUERIES.map((name) => plant((x) => `GET /b/k?x=1&${name}=${x}&y=2 HTTP/1.1`)),
];
const named = () => [
  ...["bgp_password", "aws_secret_access_key", "s3_secret_key", "acme_eab_hmac", "tsig_secret", "accountKey"].flatMap(
    (name) => [plant((x) => `${name}: ${x}`), plant((x) => `${name}=${x}`, true)],
  ),
  plant((x) => `{"password":"${x}"}`),
  plant((x) => `<SecretAccessKey>${x}</SecretAccessKey>`),
  plant((x) => `md5-password "${x}";`),
  plant((x) => `auth_pass ${x}`),
  plant((x) => `https://user:${x}@repo.example.org/debian`),
  plant((x) => `sudo ober bundle --password ${x}`),
  plant((x) => `nsupdate -y hmac-sha256:name:${x}`),
  plant((x) => `POST password=${x}&a=b`),
  plant((x) => `a body that holds ${x}`, true),
];

let here: Awaited<ReturnType<typeof stage>>;
let leave: () => void;
let archive: string;
let shown = "";

beforeAll(async () => {
  leave = await enterNetwork([]);
  here = await stage("bgp", [OWN, ...PEERS]);
  const put = (path: string, text: string) => {
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
  };
  const { directory, prefix } = here;
  const config = join(prefix, "etc/ober.yaml");
  const yaml = readFileSync(config, "utf8");
  const comments = [plant((x) => `# ${x}`), plant((x) => `# old: password ${x}`), plant((x) => `nodes_: [${x}]`)];
  put(
    join(prefix, "etc/bgp/config.ini"),
    [
      'neighbor 10.77.0.1 { inherit ober; local-address 10.77.0.11; md5-password "correct horse battery"; md5-base64 false; }',
      ...[
        plant((x) => `    md5-password '${x} tail`),
        plant((x) => `    peer-as ${x} secret;`),
        plant((x) => `# ${x}`),
      ],
    ].join("\n"),
  );
  planted.push("correct horse battery");
  put(
    join(prefix, "etc/haproxy/haproxy.cfg"),
    [
      ...["global", "  log stdout format raw local0 notice", "frontend ober_s3", "  bind *:443 name s3"],
      ...[
        plant((x) => `  stats auth admin:${x}`),
        plant((x) => `  user root insecure-password ${x}`),
        plant((x) => `  # ${x}`),
      ],
      plant((x) => `  http-request set-header Authorization "Basic ${x}"`),
    ].join("\n"),
  );
  put(
    join(prefix, "etc/keepalived/keepalived.conf"),
    `vrrp_instance a {\n    ${plant((x) => `auth_pass ${x}`)}\n    priority 100\n}\n`,
  );
  put(
    join(prefix, "var/drain"),
    plant((x) => `password ${x}`),
  );
  put(
    join(prefix, "var/hold"),
    plant((x) => x),
  );
  put(
    join(prefix, "var/history"),
    named()
      .map((to) =>
        JSON.stringify({
          at: new Date().toISOString(),
          kind: "command",
          vips: [],
          to: `ober ${to}`,
          cause: "begun",
          by: "root",
        }),
      )
      .join("\n"),
  );
  const journal = [
    ...requests(),
    ...named(),
    "-----BEGIN EC PRIVATE KEY-----",
    plant((x) => x),
    "-----END EC PRIVATE KEY-----",
  ];
  const line = (program: string, text: string) => `Nov 27 04:40:39 n1 ${program}[12]: ${text}`;
  put(
    join(directory, "journal"),
    [
      ...journal.map((text) => line("haproxy", text)),
      ...journal.map((text) => line("sudo", text)),
      line("haproxy", "[WARNING]  (12) : Server s3/10.66.0.11:7480 is DOWN, reason: Layer4 timeout"),
      line("systemd", "Started ober-http.service - ober: S3 ingress (HAProxy)."),
      line("ober", "ober health: announced 10.99.0.100: HAProxy answers"),
      line(
        "haproxy",
        plant(
          (x) =>
            `10.0.0.9:4711 [27/Nov/2026:04:40:39.123] ober_s3~ s3/<NOSRV> 0/-1/-1/-1/0 503 200 - - SC-- 1/1/0/0/0 0/0 "GET /bucket/${x}?a=b HTTP/1.1"`,
          true,
        ),
      ),
    ].join("\n"),
  );
  const programs = here.programs("secrets", {
    journalctl: 'cat "$STAGE/journal"',
    nft: `echo 'table inet site {'; echo '  ${plant((x) => `iifname "eth0" tcp dport 22 accept comment "${x}"`)}'; echo '}'`,
    dmesg: `echo '[Fri Nov 27] Command line: ${plant((x) => `root=/dev/sda token=${x}`)}'; echo '[Fri Nov 27] eth0: link becomes ready'`,
    ip: `echo '1: lo: <LOOPBACK,UP> mtu 65536'; echo '    inet ${VIP}/32 scope global lo'; echo '    alias ${plant((x) => x)}'`,
  });
  here.haproxy.say = (command) =>
    command.startsWith("show errors")
      ? requests()
          .map((text, index) => `  ${String(index * 70).padStart(5, "0")}  ${text}\\r\\n`)
          .join("\n")
      : "";
  const env = { HOME: join(directory, "home") };
  archive = join(directory, "support.tar.gz");
  for (const args of [
    ["history"],
    ["history", "--json"],
    ["logs"],
    ["logs", "--json"],
    ["support", "--out", archive, "--verbose"],
  ]) {
    const { code, stdout, stderr } = await here.ober(args, { before: programs, env });
    expect(code, `${args.join(" ")}: ${stderr}`).toBe(0);
    if (args[0] === "support") break;
    shown += stdout + stderr;
  }
  put(join(directory, "first"), (await run(["tar", "-xzOf", archive])).stdout);
  // A file that does not parse, with comments.
  writeFileSync(
    config,
    `${yaml}\n${comments.join("\n")}\n  broken: [\n  ${plant((x) => `${x}`)}\n${plant((x) => `password: ${x}`)}\n`,
  );
  const again = await here.ober(["support", "--out", archive], { before: programs, env });
  expect(again.code, again.stderr).toBe(0);
  for (const args of [["status"], ["doctor", "--json", "--verbose"], ["why", "--json"]]) {
    const { stdout, stderr } = await here.ober(args, { before: programs, env });
    shown += stdout + stderr;
  }
}, 60_000);
afterAll(async () => {
  await here?.[Symbol.asyncDispose]();
  leave?.();
});

const leaks = (text: string) => planted.filter((secret) => text.includes(secret));

test("more than sixty secrets are planted, each another", () => {
  expect(new Set(planted).size).toBeGreaterThan(100);
});

test("history, logs, errors and --json show none", () => {
  const found = leaks(shown);
  expect(found.map((secret) => shown.split("\n").find((line) => line.includes(secret)))).toEqual([]);
});

test("the archive holds none, and what explains the node", async () => {
  const all = (await run(["tar", "-xzOf", archive])).stdout + readFileSync(join(here.directory, "first"), "utf8");
  expect(leaks(all).map((secret) => all.split("\n").find((line) => line.includes(secret)))).toEqual([]);
  for (const words of [
    ...[
      VIP,
      "Server s3/10.66.0.11:7480 is DOWN, reason: Layer4 timeout",
      "Started ober-http.service",
      "ober health: announced 10.99.0.100",
    ],
    ...[
      'iifname "eth0" tcp dport 22 accept',
      "eth0: link becomes ready",
      "ha_mode: bgp",
      "neighbors: [10.77.0.1]",
      "bind *:443 name s3",
    ],
    ...[
      "neighbor 10.77.0.1 { inherit ober; local-address 10.77.0.11; md5-password [redacted]",
      "lines of other forms left out",
    ],
    ...["priority 100", "ober_s3~ s3/<NOSRV> 0/-1/-1/-1/0 503", "10.66.0.11:7480"],
  ])
    expect(all).toContain(words);
});
