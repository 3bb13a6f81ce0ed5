/**
 * A node that is a full virtual machine: a kernel of its own, so that what a container lacks is really there. Dummy device, fq and BBR, every
 * sysctl, and a watchdog that resets a kernel that has stopped.
 */
import { beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PEM_FILE } from "../lab/certificate.ts";
import { sayProgress } from "../lab/cli.ts";
import { startHold } from "../lab/hold.ts";
import type { Lab } from "../lab/lab.ts";
import { EXECUTABLE, oberYaml } from "../lab/ober.ts";
import { nodeAddress, RUN_DIRECTORY, STORAGE, VIP, VIP_NAME } from "../lab/places.ts";
import { until } from "../lab/process.ts";
import { now, watchRoute } from "../lab/route-watch.ts";
import { BACKEND_PORT } from "../lab/storage.ts";
import { startVm, vmExec, vmIsUp } from "../lab/vm.ts";
import { measured, ROUNDS, sharedLab } from "./_cluster.ts";

const INDEX = 1;
const ADDRESS = nodeAddress(INDEX);
let lab: Lab;
let bootId: string;

/** As an operator types it there. */
const ober = (words: string, accept: readonly number[] = [0], timeoutMs = 300_000) =>
  vmExec(`/usr/local/bin/ober ${words}`, { accept, timeoutMs });

const objectAnswers = () =>
  until(
    "the VIP answers",
    async () => {
      const { stdout } = await lab.client([
        ...["curl", "--silent", "--max-time", "5", "--cacert", "/lab/ca.pem", "--resolve", `${VIP_NAME}:443:${VIP}`],
        ...["--output", "/dev/null", "--write-out", "%{http_code}", `https://${VIP_NAME}/`],
      ]);
      return stdout === "200";
    },
    60_000,
    500,
  );

beforeAll(async () => {
  lab = await sharedLab(1);
  // The machine takes the place and the address of a node.
  await lab.node("n1").powerOff();
  const cargo = join(RUN_DIRECTORY, "cargo");
  mkdirSync(cargo, { recursive: true });
  copyFileSync(EXECUTABLE, join(cargo, "ober"));
  copyFileSync(PEM_FILE, join(cargo, "vip.pem"));
  writeFileSync(join(cargo, "ober.yaml"), oberYaml([ADDRESS], { servers: `10.66.0.[11-13]:${STORAGE.port}` }));
  writeFileSync(join(cargo, "backends.yaml"), oberYaml([ADDRESS], { servers: `10.66.0.[11-13]:${BACKEND_PORT}` }));
  await lab.service("vm", () => startVm(INDEX, cargo, sayProgress()));
  bootId = await vmIsUp(300_000);
  // Under emulation a program takes many seconds to come from the disk for the first time.
  await vmExec("exabgp --version; haproxy -vv; keepalived --version; bird --version", { accept: [0, 1] });
}, 900_000);

test("becomes a node with a dummy device, fq, BBR and every sysctl in force", async () => {
  await vmExec("mount -o ro /dev/vdb /mnt && /mnt/ober bootstrap /opt/ober --yes", { timeoutMs: 300_000 });
  await vmExec("install -m 600 /mnt/vip.pem /opt/ober/etc/certs/vip.pem");
  await ober("config --from /mnt/ober.yaml --yes");
  const watch = await watchRoute(VIP);
  await ober("start");
  await watch.settled([ADDRESS], now(), 60_000);
  await watch.stop();
  await objectAnswers();

  expect((await vmExec("ip -d link show lo-vip")).stdout).toContain("dummy");
  expect((await vmExec("ip -4 -o address show dev lo-vip")).stdout).toContain(`inet ${VIP}/32`);
  await everySysctl();
}, 900_000);

test(
  "holds idle and active connections within the unit's limits",
  async () => {
    const [idle, active] = [ROUNDS * 200, ROUNDS * 20];
    // One process may have no more descriptors than the machine of the tests allows it.
    const clients = Math.ceil((idle + active) / 12_000);
    for (const index of [1, 2, 3]) await lab.startBackend(index);
    await ober("config --from /mnt/backends.yaml --yes");
    const holds = Array.from({ length: clients }, () =>
      startHold({
        idle: Math.round(idle / clients),
        active: Math.round(active / clients),
        opening: 8,
        pauseMs: 45_000,
      }),
    );
    const count = (kind: "idle" | "active") => holds.reduce((sum, hold) => sum + hold.last()[kind], 0);
    const failed = () => holds.map((hold) => hold.last().failed);
    const nothingFailed = () => failed().every((each) => Object.keys(each).length === 0);
    await until(
      "all are open, or one has failed",
      () => !nothingFailed() || (count("idle") === idle && count("active") === active),
      ROUNDS * 15_000 + 60_000,
      1_000,
    );
    // Long enough for every idle one to carry another request, and to have ended if HAProxy had taken it for abandoned.
    await Bun.sleep(65_000);
    const { stdout } = await vmExec(
      "pid=$(pgrep -n -P $(systemctl show -p MainPID --value ober-http.service)); ls /proc/$pid/fd | wc -l; sed -n 's/^VmRSS: *//p' /proc/$pid/status; sed -n 's/^Max open files *//p' /proc/$pid/limits",
    );
    const [descriptors = "", memory = "", limit = ""] = stdout.trim().split("\n");
    await Promise.all(holds.map((hold) => hold.stop()));
    measured("vm: memory of HAProxy that holds connections", Number.parseInt(memory, 10) / 1000, {
      unit: "MB",
      idle,
      active,
      descriptors: Number(descriptors),
      limit,
      requests: holds.reduce((sum, hold) => sum + hold.last().requests, 0),
    });
    expect(failed()).toEqual(holds.map(() => ({})));
    expect(Number(descriptors)).toBeGreaterThan(idle + active);
    await ober("config --from /mnt/ober.yaml --yes");
    await objectAnswers();
  },
  ROUNDS * 25_000 + 600_000,
);

test("is reset by the watchdog when its kernel stops, and serves again without a hand", async () => {
  expect((await vmExec("systemctl show -p RuntimeWatchdogUSec --value")).stdout.trim()).toBe("10s");
  expect((await vmExec("cat /sys/class/watchdog/watchdog0/identity")).stdout.trim()).toBe("i6300ESB timer");
  const watch = await watchRoute(VIP);
  // A panic that does not reboot by itself: the kernel stands still for good.
  await vmExec(
    "echo 1 > /proc/sys/kernel/sysrq; sysctl -qw kernel.panic=0; (sleep 1; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 &",
  );
  const stopped = now();
  await watch.settled([], stopped, 60_000);
  const withdrawn = now();
  const again = await vmIsUp(600_000);
  expect(again).not.toBe(bootId);
  await watch.settled([ADDRESS], stopped, 300_000);
  measured("vm: from the end of the route to its return after a kernel panic", now() - withdrawn);
  await watch.stop();
  await objectAnswers();
  await everySysctl();
  expect((await vmExec("tc qdisc show dev eth0")).stdout).toContain("qdisc fq ");
  const doctor = JSON.parse((await ober("doctor --json", [0, 1])).stdout) as {
    findings: { status: string }[];
  };
  expect(doctor.findings.filter(({ status }) => status === "fail")).toEqual([]);
}, 900_000);

test("is given back without the device", async () => {
  await ober("uninstall --yes");
  expect((await vmExec("ip link show lo-vip", { accept: [1] })).stderr).toContain("does not exist");
  expect((await vmExec("ls /etc/systemd/system /etc/sysctl.d")).stdout).not.toContain("ober");
}, 300_000);

/** What the file asks for is what the kernel has. */
async function everySysctl(): Promise<void> {
  const { stdout } = await vmExec(
    "sed -n 's/^\\([a-z0-9_.]*\\) *= */\\1 /p' /etc/sysctl.d/99-herr-ober.conf | while read -r key value; do echo \"$key|$value|$(sysctl -n $key)\"; done",
  );
  const lines = stdout.trim().split("\n");
  expect(lines.length).toBeGreaterThan(10);
  const flat = (text = "") =>
    text
      .trim()
      .split(/[\s,]+/)
      .join(" ");
  const refused = lines.filter((line) => {
    const [, wanted, found] = line.split("|");
    return flat(wanted) !== flat(found);
  });
  expect(refused).toEqual([]);
  expect(stdout).toContain("net.ipv4.tcp_congestion_control|bbr|bbr");
  expect(stdout).toContain("net.core.default_qdisc|fq|fq");
}
