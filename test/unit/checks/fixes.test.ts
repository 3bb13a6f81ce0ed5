/** The fix fits the fault: judged by what the machine and the segment say. */
import { expect, test } from "bun:test";
import type { Trouble } from "../../../src/checks/check.ts";
import { checkLink } from "../../../src/checks/link.ts";
import { checkPorts, checkPrograms } from "../../../src/checks/machine.ts";
import { checkExecutable } from "../../../src/checks/node-files.ts";
import { vrrpVerdict } from "../../../src/checks/segment.ts";
import { backendsVerdict } from "../../../src/checks/service.ts";
import type { VrrpView } from "../../../src/checks/vrrp.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import { lookAt } from "../../../src/node/sight.ts";
import { temporarySystem } from "../../helpers/system.ts";

const PATHS = pathsOf("/opt/ober");
const BGP = `bgp: {local_as: 65001, peer_as: 65000, neighbors: [10.77.0.1]}
vips: [10.99.0.100]
backends: [{name: s3, servers: ["10.66.0.11:7480"]}]
`;
const fixOf = (verdict: object) => (verdict as Partial<Trouble>).fix;

const ADDRESSES = JSON.stringify([{ ifname: "eth0", addr_info: [{ local: "10.77.0.11", prefixlen: 24 }] }]);
const ON_LINK = { dst: "10.77.0.0/24", dev: "eth0", prefsrc: "10.77.0.11" };

test.each([
  ["no route but those of its networks", [ON_LINK], "fail"],
  ["a default route that leads nowhere", [ON_LINK, { type: "unreachable", dst: "default", dev: "lo" }], "fail"],
  ["a default route", [ON_LINK, { dst: "default", gateway: "10.77.0.1", dev: "eth0" }], "pass"],
  ["a default route over several routers", [{ dst: "default", nexthops: [{ gateway: "10.77.0.1" }] }], "pass"],
  ["a default route without a router", [{ dst: "default", dev: "ppp0" }], "pass"],
  ["a route to the clients alone", [{ dst: "10.88.0.0/24", via: { family: "inet6", host: "fe80::1" } }], "pass"],
])("a machine in BGP mode with %s", async (_, routes, status) => {
  using system = temporarySystem(([, ...words]) =>
    words.includes("-4") ? JSON.stringify(routes) : words.includes("-6") ? "[]" : ADDRESSES,
  );
  await system.makeDirectory(PATHS.etc);
  await system.writeAtomic(PATHS.config, BGP);
  await system.makeDirectory("/sys/class/net/eth0");
  for (const [name, text] of [
    ["operstate", "up"],
    ["carrier", "1"],
    ["flags", "0x1003"],
  ] as const)
    await system.writeAtomic(`/sys/class/net/eth0/${name}`, text);
  const verdict = await checkLink(lookAt({ system, paths: PATHS, isRoot: true }));
  expect(verdict.status).toBe(status as typeof verdict.status);
  expect(fixOf(verdict)?.split(";")[0]).toBe(status === "fail" ? "ip route add default via 10.77.0.1" : undefined);
});

test.each([
  ["0::/system.slice/nginx.service", "systemctl disable --now nginx.service"],
  ["0::/user.slice/user-0.slice/session-3.scope", "kill 12"],
  ["0::/", "kill 12"],
])("a listener in %s ends by its own means", async (cgroup, fix) => {
  using system = temporarySystem(() => 'LISTEN 0 511 0.0.0.0:443 0.0.0.0:* users:(("nginx",pid=12,fd=6))\n');
  await system.makeDirectory("/proc/12");
  await system.writeAtomic("/proc/12/cgroup", `${cgroup}\n`);
  const verdict = await checkPorts(lookAt({ system, paths: PATHS, isRoot: true }));
  expect(verdict.detail).toStartWith("nginx (pid 12) on 443 listens too");
  expect(fixOf(verdict)).toBe(fix);
});

test.each([
  ["exabgp", "ii  exabgp\n", "apt-get install --reinstall -y exabgp"],
  ["nothing", "", "ober bootstrap /opt/ober; it installs what is missing"],
])("a missing program of which dpkg has %s installed", async (_, dpkg, fix) => {
  using system = temporarySystem(([program = "", ...words]) => {
    if (program === "dpkg-query") return { code: dpkg === "" ? 1 : 0, stdout: dpkg, stderr: "" };
    if (program === "/bin/sh" && words.includes("exabgp")) return { code: 1, stdout: "", stderr: "" };
    if (program === "/bin/sh") return `/usr/sbin/${words.at(-1)}\n`;
    return "HAProxy version 3.0.1\nKeepalived v2.3.3\nBIRD version 2.17\n";
  });
  await system.makeDirectory("/etc");
  await system.writeAtomic("/etc/os-release", 'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian 13"\n');
  const verdict = await checkPrograms(lookAt({ system, paths: PATHS, isRoot: true }));
  expect(verdict.detail).toBe("exabgp not installed");
  expect(fixOf(verdict)).toBe(fix);
});

test.each([
  ["/opt/ober/bin/ober", "mv /opt/away /opt/ober"],
  ["/usr/bin/env", "mv /usr/local/bin/ober /usr/local/bin/ober.before && ln -s /opt/away/bin/ober /usr/local/bin/ober"],
])("an installation in /opt/away, with a link to %s", async (target, fix) => {
  using system = temporarySystem();
  const paths = pathsOf("/opt/away");
  for (const directory of ["/opt/away/bin", "/opt/away/var", "/usr/local/bin"]) await system.makeDirectory(directory);
  await system.writeAtomic(paths.journal, "{}");
  await system.writeAtomic(paths.executable, "", { mode: 0o755 });
  await system.symlink(target, paths.link);
  expect(fixOf(await checkExecutable(lookAt({ system, paths, isRoot: true })))).toBe(fix);
});

const server = (svname: string, status: string, last_chk: string) => ({
  pxname: "s3",
  svname,
  status,
  check_status: "L4CON",
  last_chk,
});

test.each([
  ["No route to host", "give this machine a route to rgw1:7480"],
  ["Network is unreachable", "give this machine a route to rgw1:7480"],
  ["Connection refused", "start that RGW"],
])("an RGW that is out because of '%s'", (said, fix) => {
  const rows = [server("rgw1:7480", "DOWN", said), server("rgw2:7480", "UP", "")];
  expect(fixOf(backendsVerdict(["s3"], rows))).toStartWith(fix);
});

test.each([
  [["DRAIN", "UP"], "when the work is done: ober rgw undrain rgw1:7480 --group s3"],
  [["MAINT", "UP"], "when the work is done: ober rgw undrain rgw1:7480 --group s3"],
  [["DRAIN", "DRAIN"], "when the work is done: ober rgw undrain rgw1:7480 --group s3"],
  [["NOLB", "UP"], "when the work is done, remove the file of rgw_healthcheck_disabling_path there"],
  [["DRAIN", "DOWN"], "start the RGWs"],
])("RGWs that are %j", (words, fix) => {
  const rows = words.map((word, index) => server(`rgw${index + 1}:7480`, word, ""));
  expect(fixOf(backendsVerdict(["s3"], rows))).toStartWith(fix);
});

const VIP = {
  vip: "10.77.0.102",
  vrid: 52,
  owner: "10.77.0.12",
  state: "BACKUP",
  priority: 90,
  effectivePriority: 90,
  holder: "10.77.0.12",
  onInterface: false,
  since: undefined,
} as const;

test.each([
  [true, "10.77.0.102 is on this machine although keepalived is BACKUP for it", "ip addr del 10.77.0.102/32 dev eth0"],
  [
    false,
    "two machines answer for 10.77.0.102: 10.77.0.12 (02:00:00:00:00:12) and a machine with the address 02:00:00:00:00:99",
    "take the VIP off the machine with the address 02:00:00:00:00:99",
  ],
  [
    false,
    "two machines answer for 10.77.0.102: 10.77.0.12 (02:00:00:00:00:12) and 10.77.0.13 (02:00:00:00:00:13)",
    "let IP protocol 112",
  ],
  [false, "this node takes no part for 10.77.0.102", "ober doctor --only haproxy,link"],
])("a VIP that is here: %p, and '%s'", (onInterface, text, fix) => {
  const view: VrrpView = { vips: [{ ...VIP, onInterface }], peers: [], suspicions: [{ certain: true, text }] };
  expect(fixOf(vrrpVerdict(view, "eth0"))).toStartWith(fix);
});
