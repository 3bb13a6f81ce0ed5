/** What ober does must not depend on whose environment it got: cron's, that of `sudo -E`, or that of a machine whose /tmp runs nothing. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { LabNode } from "../lab/lab.ts";
import { ober } from "../lab/ober.ts";
import { nodeAlone, switchOff } from "./_cluster.ts";

const PASSWORD = "hunter2 of the routers";
const LOGIN = "/root/.ober/login";

let node: LabNode;

beforeAll(async () => {
  node = await nodeAlone();
}, 600_000);

afterAll(async () => {
  await node?.exec(["sh", "-c", `umount /tmp/noexec; rm -rf ${LOGIN} /tmp/noexec`], { accept: [0, 1, 32] });
  await switchOff(node);
}, 120_000);

const sh = (script: string) => node.exec(["sh", "-c", script], { accept: [0, 1, 2, 126] });
const login = (text: string) => sh(`mkdir -p -m 700 /root/.ober && umask 077 && printf '%s' '${text}' > ${LOGIN}`);

test("cron's PATH hides no program", async () => {
  const { code, stdout, stderr } = await sh("env -i PATH=/usr/bin:/bin /usr/local/bin/ober apply --dry-run");
  expect([code, stdout.trim(), stderr]).toEqual([0, "nothing would change", ""]);
}, 60_000);

test("the password for BGP is root's, whatever HOME says", async () => {
  await login(`bgp_password=${PASSWORD}\n`);
  await ober(node, ["apply", "--yes"]);
  const { stdout } = await sh("env HOME=/home/ann /usr/local/bin/ober apply --dry-run");
  expect(stdout.trim()).toBe("nothing would change");
  expect((await sh("cat /opt/ober/etc/bgp/config.ini")).stdout).toContain(PASSWORD);
}, 60_000);

test.each([
  ["BGP_PASSWORD=x\n", "the key must be in small letters: bgp_password"],
  ["bgp_password=\n", "the password is empty: remove the line"],
  ["bgp_password=x # of the routers\n", "a comment must be on its own line"],
])(
  "a login file that means something else than it says is refused: %j",
  async (text, said) => {
    await login(text);
    const { code, stderr } = await sh("/usr/local/bin/ober apply --yes");
    expect([code, stderr]).toEqual([1, expect.stringContaining(`${LOGIN}: line 1: ${said}`)]);
    await login(`bgp_password=${PASSWORD}\n`);
  },
  60_000,
);

test("a /tmp that runs no programs hinders neither `test` nor `upgrade --self`", async () => {
  await sh(
    "mkdir -p /tmp/noexec && mount -t tmpfs -o noexec tmpfs /tmp/noexec && cp /opt/ober/bin/ober /tmp/noexec/newer",
  );
  await sh("echo >> /tmp/noexec/newer");
  const { code } = await sh("/tmp/noexec/newer --version");
  expect(code).not.toBe(0);
  const { stdout } = await sh("TMPDIR=/tmp/noexec /usr/local/bin/ober test --json");
  const { findings } = JSON.parse(stdout) as { findings: readonly { readonly id: string; readonly status: string }[] };
  expect(findings.find(({ id }) => id === "parsers")?.status).toBe("pass");
  await sh("TMPDIR=/tmp/noexec /usr/local/bin/ober upgrade --self /tmp/noexec/newer");
  const sums = await sh("sha256sum < /tmp/noexec/newer; sha256sum < /opt/ober/bin/ober");
  const [newer, present] = sums.stdout.trim().split("\n");
  expect(present).toBe(newer);
  expect((await sh("ls /opt/ober/bin /opt/ober/var")).stdout).not.toMatch(/candidate|test-|upgrade-/);
}, 120_000);
