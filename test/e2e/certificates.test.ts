/**
 * A node that looks after its certificates: HAProxy takes a changed file while it runs, and the timer renews by ACME, twice. Connections from
 * before stay.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { type Authority, acmeTree, DIRECTORY, DOMAIN, startAuthority } from "../contract/_acme.ts";
import { selfSigned } from "../helpers/certificate.ts";
import type { LabNode } from "../lab/lab.ts";
import { inNamespace } from "../lab/network.ts";
import { ober, oberYaml, PREFIX_ON_NODE } from "../lab/ober.ts";
import { SEGMENT, VIP } from "../lab/places.ts";
import { run, until } from "../lab/process.ts";
import { makeServe, measured, PATIENCE, RELEASE, sharedLab } from "./_cluster.ts";

const CERTS = `${PREFIX_ON_NODE}/etc/certs`;
let node: LabNode;
let authority: Authority | undefined;

beforeAll(async () => {
  const lab = await sharedLab();
  node = lab.node(lab.names().at(-1) ?? "");
  await makeServe(node, RELEASE, oberYaml([node.name], { handover: "off" }));
}, 600_000);

afterAll(async () => {
  await authority?.[Symbol.asyncDispose]();
  // Others begin with a machine without certificates of its own.
  await node?.reset();
}, 120_000);

const sh = async (script: string) => (await node.exec(["sh", "-c", script])).stdout.trim();
const ask = (name: string) =>
  `openssl s_client -connect ${VIP}:443 -servername ${name} </dev/null 2>/dev/null | openssl x509 -noout -serial`;
const serial = (name = "s3.example.org") => sh(ask(name));
/** The workers of HAProxy's master: another one after a reload. */
const worker = () => sh("cat /proc/$(systemctl show -p MainPID --value ober-http.service)/task/*/children");
const onNode = (path: string) => join(node.root, path);

/** A connection that is open before and asks for something every few seconds; the statuses of all answers when it is told to end. */
function longConnection() {
  const argv = node.enter(["openssl", "s_client", "-quiet", "-connect", `${VIP}:443`, "-servername", DOMAIN]);
  const child = Bun.spawn([...argv], { stdin: "pipe", stdout: "pipe", stderr: "ignore" });
  const text = child.stdout.text();
  let asked = 0;
  const send = (last: string) => {
    asked++;
    child.stdin.write(`GET /swift/healthcheck HTTP/1.1\r\nHost: s3.example.org\r\n${last}\r\n`);
    child.stdin.flush();
  };
  send("");
  const timer = setInterval(() => send(""), 3000);
  return async () => {
    clearInterval(timer);
    send("Connection: close\r\n");
    const good = [...(await text).matchAll(/HTTP\/1\.1 200 OK/g)].length;
    return { asked, good };
  };
}

function expectAll({ asked, good }: { readonly asked: number; readonly good: number }): void {
  expect(asked).toBeGreaterThan(1);
  expect(good).toBe(asked);
}

test("a changed file is seen by the next connection within a second, a bad one is refused, and a restart serves the same", async () => {
  const before = await serial();
  const [pid, finish] = [await worker(), longConnection()];
  const pem = await selfSigned("s3.example.org");
  const written = performance.now();
  // As operators do: not in one step.
  writeFileSync(onNode(`${CERTS}/vip.pem`), pem);
  // One process in the node that looks every 20 ms: starting one for each look would take longer than what is measured.
  await sh(
    `for i in $(seq 400); do [ "$(${ask("s3.example.org")})" = "${before}" ] || exit 0; sleep 0.02; done; exit 1`,
  );
  const ms = performance.now() - written;
  measured("certificate: from the change of the file to the first connection that sees it", ms);
  expect(ms).toBeLessThan(1500 * PATIENCE);
  const now = await serial();

  writeFileSync(onNode(`${CERTS}/vip.pem`), pem.slice(0, 500));
  await until(
    "the refusal is logged",
    async () =>
      /breaks off.*HAProxy keeps/.test(await sh("journalctl --namespace=ober -u ober-certs --no-pager -o cat")),
    15_000,
  );
  expect(await serial()).toBe(now);
  const status = JSON.parse((await ober(node, ["status", "--json"], { accept: [0, 1] })).stdout);
  expect(status.certificates[0].problems[0].message).toContain("breaks off");
  const doctor = await ober(node, ["doctor", "--only", "certificate"], { accept: [0, 1] });
  expect(doctor.stdout + doctor.stderr).toContain("breaks off");
  writeFileSync(onNode(`${CERTS}/vip.pem`), pem);
  await until(
    "it is well again",
    async () => (await ober(node, ["certs", "check"], { accept: [0, 1] })).code === 0,
    15_000,
  );
  expectAll(await finish());
  expect(await worker()).toBe(pid);
  await node.exec(["systemctl", "restart", "ober-http.service"]);
  await until("it serves again", async () => (await serial()) === now, 15_000);
}, 180_000);

test("a file that HAProxy refuses is told before the next start needs it, and by that start", async () => {
  const file = `${CERTS}/vip.pem`;
  const [before, pid] = [await serial(), await worker()];
  const good = readFileSync(onNode(file), "utf8");
  const said = async (...argv: readonly string[]) => {
    const { code, stdout, stderr } = await ober(node, argv, { accept: [0, 1] });
    return { code, text: stdout + stderr };
  };
  // Whoever rebuilds the blocks finds nothing wrong with it.
  writeFileSync(onNode(file), good.split("\n").toSpliced(4, 0, "").join("\n"));
  await until("it is refused", async () => (await said("certs", "check")).code === 1, 15_000);
  const blank = `${file}: block 1 (CERTIFICATE) has a blank line inside (line 5), which OpenSSL reads as the end of a header`;
  for (const command of [["certs"], ["status"], ["doctor", "--only", "certificate"], ["why"]])
    expect((await said(...command)).text).toContain(blank);
  expect((await said("certs", "check", file)).text).toContain("judged by HAProxy");
  const [reload, restart] = [await said("certs", "reload"), await said("restart")];
  expect([reload.code, restart.code]).toEqual([1, 1]);
  expect(restart.text).toContain(blank);
  expect([await serial(), await worker()]).toEqual([before, pid]);

  // Somebody restarts HAProxy all the same, or the machine starts.
  await node.exec(["systemctl", "restart", "ober-http.service"], { accept: [0, 1] });
  const reason = `HAProxy cannot start: ${blank}`;
  await until(
    "why says so",
    async () => (await said("why")).text.includes(`is not served from this node: ${blank}`),
    15_000,
  );
  expect(await sh("journalctl --namespace=ober -u ober-http --no-pager -o cat")).toContain(reason);
  const { certificates } = JSON.parse((await ober(node, ["certs", "--json"])).stdout);
  await sh(certificates[0].problems[0].fix);
  await until("it serves again, by itself", async () => (await serial()) === before, 30_000);
  expect((await said("certs", "check")).code).toBe(0);
}, 120_000);

test("the timer gets certificates by ACME, and renews twice; connections from before stay, and no key is anywhere to be read", async () => {
  const tree = await acmeTree();
  authority = await startAuthority(tree, { address: SEGMENT.router, within: inNamespace("router", []) });
  // So short a life is renewed while a test waits.
  await authority.pebble({ certificateValidityPeriod: 45 });
  await giveNsupdate(tree);
  copyFileSync(authority.caFile, onNode("root/acme-ca.pem"));
  copyFileSync(authority.keyFile, onNode("root/tsig.key"));
  chmodSync(onNode("root/tsig.key"), 0o600);
  writeFileSync(onNode("etc/resolv.conf"), `nameserver ${SEGMENT.router}\n`);
  writeFileSync(onNode("etc/hosts"), `${readFileSync(onNode("etc/hosts"), "utf8")}${SEGMENT.router} ca.example.test\n`);
  const timer = onNode("etc/systemd/system/ober-renew.timer.d");
  mkdirSync(timer, { recursive: true });
  writeFileSync(
    join(timer, "often.conf"),
    "[Timer]\nOnActiveSec=\nOnUnitInactiveSec=\nOnActiveSec=3s\nOnUnitInactiveSec=3s\nRandomizedDelaySec=0\nAccuracySec=100ms\n",
  );

  rmSync(onNode(`${CERTS}/vip.pem`));
  const certs = `certs: {acme_enabled: true, acme_domain: ${DOMAIN}, acme_names: ["*.${DOMAIN}"], acme_server: "${DIRECTORY}", acme_ca_file: /root/acme-ca.pem, rfc2136_server: ${SEGMENT.router}, rfc2136_key_file: /root/tsig.key, acme_dns_timeout: 30}\n`;
  writeFileSync(onNode("root/ober.yaml"), oberYaml([node.name], { handover: "off" }) + certs);
  const said = await ober(node, ["config", "--from", "/root/ober.yaml", "--yes"]);
  expect(said.stderr).toContain("signed by itself");
  expect(await sh("ober certs")).toContain("self-signed placeholder");
  const [first, pid] = [await serial(DOMAIN), await worker()];
  const finish = longConnection();

  const seen = new Set([first]);
  await until(
    "a certificate has come and was renewed twice",
    async () => seen.add(await serial(DOMAIN)).size >= 4,
    150_000,
  );
  expectAll(await finish());
  expect(await worker()).toBe(pid);
  const listed = JSON.parse((await ober(node, ["certs", "list", "--json"])).stdout);
  expect(listed.certificates[0]).toMatchObject({
    file: `${CERTS}/ober.pem`,
    placeholder: false,
    names: expect.arrayContaining([DOMAIN, `*.${DOMAIN}`]),
  });
  expect(listed.renewal.failures).toBe(0);

  // The CA goes away: the failure is seen, and the old certificate stays.
  await authority.stopPebble();
  await until(
    "the failure is told",
    async () => /renewal failed.*cannot be reached/.test((await ober(node, ["status"], { accept: [0, 1] })).stdout),
    60_000,
  );
  expect((await ober(node, ["doctor", "--only", "renewal"], { accept: [0, 1] })).stdout).toContain("cannot be reached");
  expect((await ober(node, ["metrics"])).stdout).toMatch(/^ober_certificate_renewal_failures [1-9]/m);

  await nothingLeaks();
}, 400_000);

/** nsupdate(1), its libraries and their loader from the tree of the name server: a lab's node has no bind9-dnsutils in its repository. */
async function giveNsupdate(tree: string): Promise<void> {
  const { stdout } = await run(["chroot", tree, "ldd", "/usr/bin/nsupdate"]);
  const libraries = [...stdout.matchAll(/(?:=>|^)\s+(\/\S+) \(/gm)].map(([, file = ""]) => file);
  const loader = basename(libraries.find((file) => file.includes("/ld-linux")) ?? "");
  mkdirSync(onNode("opt/nsupdate"), { recursive: true });
  for (const file of ["/usr/bin/nsupdate", ...libraries])
    copyFileSync(tree + file, onNode(`opt/nsupdate/${basename(file)}`));
  writeFileSync(
    onNode("usr/bin/nsupdate"),
    `#!/bin/sh\nexec /opt/nsupdate/${loader} --library-path /opt/nsupdate /opt/nsupdate/nsupdate "$@"\n`,
    { mode: 0o755 },
  );
  for (const file of ["nsupdate", loader]) chmodSync(onNode(`opt/nsupdate/${file}`), 0o755);
}

/** Lines of every private key and secret of the node, looked for wherever anybody but root could come to see them. */
async function nothingLeaks(): Promise<void> {
  const keys = [
    `${CERTS}/ober.pem`,
    ...readdirSync(onNode(`${PREFIX_ON_NODE}/var/acme`))
      .filter((name) => name.endsWith(".pem"))
      .map((name) => `${PREFIX_ON_NODE}/var/acme/${name}`),
  ];
  const lines = keys.flatMap(
    (file) => /PRIVATE KEY-----\n([\s\S]*?)\n-----END/.exec(readFileSync(onNode(file), "utf8"))?.[1]?.split("\n") ?? [],
  );
  const tsig = /secret "(.*?)"/.exec(readFileSync(onNode("root/tsig.key"), "utf8"))?.[1] ?? "";
  expect(lines.length).toBeGreaterThan(3);
  await ober(node, ["support", "--out", "/root/support.tar.gz"]);
  const texts = [
    await sh("journalctl --namespace='*' --no-pager -o cat"),
    await sh("tar -xzOf /root/support.tar.gz"),
    await sh(
      "ober status --json; ober certs check --json; ober doctor --json; ober history; ober apply --dry-run; true",
    ),
    await sh(
      `cat ${PREFIX_ON_NODE}/var/history ${PREFIX_ON_NODE}/var/generations/* ${PREFIX_ON_NODE}/var/acme/state.json /run/ober/certificates.json`,
    ),
    // What stands on a command line while it runs.
    await sh(
      "(ober certs renew --force >/dev/null 2>&1 & for i in $(seq 50); do cat /proc/[0-9]*/cmdline; sleep 0.02; done | tr '\\0' ' '; wait)",
    ),
  ];
  expect(texts.map((text) => [...lines, tsig].filter((secret) => text.includes(secret)).length)).toEqual(
    texts.map(() => 0),
  );
  expect(existsSync(onNode("root/support.tar.gz"))).toBe(true);
}
