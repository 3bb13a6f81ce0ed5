/** The machine itself: programs, ports, clock, disk, kernel. */
import type { Config } from "../config/schema.ts";
import { parseAddress } from "../domain/address.ts";
import { FOREIGN_UNITS, UNIT } from "../domain/units.ts";
import { orUndefined } from "../errors.ts";
import type { Sight } from "../node/sight.ts";
import { HAPROXY_PACKAGES, packageManager, requireSupportedOs } from "../packages/os.ts";
import { connectionLimits } from "../render/limits.ts";
import { parseSysctl } from "../render/sysctl.ts";
import { httpStatus } from "../system/http.ts";
import { missingInterpreter } from "../system/programs.ts";
import { readSysctl } from "../system/sysctl.ts";
import type { System } from "../system/system.ts";
import { requireSystemd } from "../system/systemd.ts";
import { fail, pass, skip, type Verdict, warn } from "./check.ts";

/** Whether systemd runs this machine, and its version, from the program of process 1. */
export async function checkSystemd({ system }: Sight): Promise<Verdict> {
  await requireSystemd(system);
  const { stdout } = await system.run(["systemctl", "--version"], { accept: [0, 1] });
  const version = /^systemd (\d+)/.exec(stdout)?.[1];
  return pass(version === undefined ? "running" : `${version}, running`);
}

export async function checkPrograms({ system, programs, paths }: Sight): Promise<Verdict> {
  // It still runs, and its version may be known from before: this is seen only when it is started again.
  const interpreter = await missingInterpreter(system, "exabgp");
  if (interpreter !== undefined)
    return fail(
      `exabgp does not start: ${interpreter}, which runs it, is missing`,
      await ownerFix(system, interpreter),
    );
  const { haproxy, exabgp, keepalived, bird } = await programs();
  if (!haproxy || !exabgp || !keepalived || !bird) {
    const missing = Object.entries({ haproxy, exabgp, keepalived, bird }).flatMap(([name, found]) =>
      found ? [] : [name],
    );
    return fail(`${missing.join(", ")} not installed`, await installFix(system, missing, paths?.prefix));
  }
  const text = `HAProxy ${haproxy.version.text}, ExaBGP ${exabgp.text}, keepalived ${keepalived.text}, BIRD ${bird.text}`;
  return exabgp.major >= 6
    ? fail(`${text}: ExaBGP 6 is not usable`, "install ExaBGP 4.2.21 or later, but before 6")
    : pass(text);
}

/** A package that is installed and has lost its program is none that bootstrap would install. */
async function installFix(system: System, programs: readonly string[], prefix = "/opt/ober"): Promise<string> {
  const os = await orUndefined(() => requireSupportedOs(system));
  if (os !== undefined) {
    const names = programs.flatMap((program) => packagesOf(program));
    const broken = await packageManager(system, os).installed(names);
    if (broken.length > 0) return `${AGAIN[os.family]} ${broken.join(" ")}`;
  }
  return `ober bootstrap ${prefix}; it installs what is missing`;
}

const AGAIN = { debian: "apt-get install --reinstall -y", rhel: "dnf reinstall -y" } as const;

/** For a file that its package has lost. */
async function ownerFix(system: System, file: string): Promise<string> {
  const os = await orUndefined(() => requireSupportedOs(system));
  const ask = os?.family === "rhel" ? ["rpm", "-qf", "--qf", "%{NAME}: ", file] : ["dpkg", "-S", file];
  const { stdout } = await system.run(ask, { accept: [0, 1, 127] });
  const name = /^([a-z0-9][\w.+-]*)(?::\w+)?: /.exec(stdout)?.[1];
  return os === undefined || name === undefined ? `install ${file} again` : `${AGAIN[os.family]} ${name}`;
}

const packagesOf = (program: string): readonly string[] => PACKAGES.get(program) ?? [program];

const PACKAGES: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ["haproxy", HAPROXY_PACKAGES],
  // Debian's `exabgp` has the service; the program is in the other one.
  ["exabgp", ["python3-exabgp", "exabgp"]],
  ["bird", ["bird2", "bird"]],
]);

/** With OpenSSL 3, a core does about half as many TLS handshakes as with AWS-LC. */
export async function checkTls({ programs }: Sight): Promise<Verdict> {
  const { haproxy } = await programs();
  if (!haproxy) return skip("HAProxy is not installed");
  return haproxy.features.includes("OPENSSL_AWSLC")
    ? pass("AWS-LC")
    : pass("OpenSSL; AWS-LC would be faster, where HAProxy's vendor has packages for this system");
}

export async function checkForeignUnits({ allUnits }: Sight): Promise<Verdict> {
  const foreign: readonly string[] = FOREIGN_UNITS;
  const states = (await allUnits()).filter(({ name }) => foreign.includes(name));
  const running = states.filter(({ active }) => active === "active").map(({ name }) => name);
  if (running.length > 0) {
    return fail(
      `${running.join(", ")} ${running.length === 1 ? "runs" : "run"} beside ober's own`,
      `systemctl disable --now ${running.join(" ")} && systemctl mask ${running.join(" ")}`,
      [
        ["systemctl", "disable", "--now", ...running],
        ["systemctl", "mask", ...running],
      ],
    );
  }
  const open = states.filter(({ load }) => load === "loaded").map(({ name }) => name);
  return open.length === 0
    ? pass("masked")
    : warn(`${open.join(", ")} may start`, `systemctl mask ${open.join(" ")}`, [["systemctl", "mask", ...open]]);
}

/** With SO_REUSEPORT two HAProxies can share a port; each then takes some of the connections. */
export async function checkPorts(sight: Sight): Promise<Verdict> {
  const { system, isRoot } = sight;
  if (!isRoot) return skip("needs root");
  const ports = [443, 80, (await orUndefined(sight.config))?.stats_port ?? 8404];
  const { stdout } = await system.run(["ss", "-Hltnp", ports.map((port) => `sport = :${port}`).join(" or ")]);
  const owners = new Map(
    stdout.split("\n").flatMap((line) => {
      const port = /:(\d+)\s/.exec(line)?.[1];
      return [...line.matchAll(/\("([^"]+)",pid=(\d+)/g)].map(
        ([, name, pid = ""]) => [`${name} (pid ${pid}) on ${port}`, pid] as const,
      );
    }),
  );
  if (owners.size === 0) return skip("nothing listens");
  const foreign: Listener[] = [];
  for (const [text, pid] of owners) {
    const cgroup = (await system.read(`/proc/${pid}/cgroup`)) ?? "";
    if (!cgroup.includes(UNIT.http)) foreign.push({ text, pid, unit: /\/([\w.@\\-]+\.service)$/m.exec(cgroup)?.[1] });
  }
  return foreign.length === 0
    ? pass(`ober-http alone on ${ports.join(", ")}`)
    : fail(
        `${foreign.map(({ text }) => text).join(", ")} listens too, and takes some of the connections`,
        endFix(foreign),
      );
}

/** A process that listens on a port of HAProxy's, and the unit that it belongs to. */
type Listener = { readonly text: string; readonly pid: string; readonly unit: string | undefined };

/** A process of a unit would be started again. */
function endFix(listeners: readonly Listener[]): string {
  const units = new Set(listeners.flatMap(({ unit }) => unit ?? []));
  const pids = new Set(listeners.filter(({ unit }) => unit === undefined).map(({ pid }) => pid));
  return [
    ...(units.size > 0 ? [`systemctl disable --now ${[...units].join(" ")}`] : []),
    ...(pids.size > 0 ? [`kill ${[...pids].join(" ")}`] : []),
  ].join(" && ");
}

export async function checkSysctl({ system, paths }: Sight): Promise<Verdict> {
  const text = paths && (await system.read(paths.sysctl));
  if (text === undefined) return skip("not bootstrapped");
  const wrong: string[] = [];
  for (const [key, value] of parseSysctl(text)) {
    const now = await readSysctl(system, key);
    if (now !== value) wrong.push(`${key} is ${now ?? "not in this kernel"}`);
  }
  return wrong.length === 0
    ? pass("in force")
    : warn(wrong.join("; "), `sysctl -p ${paths?.sysctl}`, [["/usr/lib/systemd/systemd-sysctl", paths?.sysctl ?? ""]]);
}

export async function checkDescriptors(sight: Sight): Promise<Verdict> {
  const config = await sight.config();
  if (!config) return skip("not configured");
  const { mainPid } = await sight.unit(UNIT.http);
  if (mainPid === 0) return skip("HAProxy does not run");
  const limits = (await sight.system.read(`/proc/${mainPid}/limits`)) ?? "";
  return descriptorsVerdict(Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 0), config);
}

/** With fewer file descriptors than `max_connections` needs, HAProxy serves fewer clients without a message. Pure. */
export function descriptorsVerdict(descriptors: number, config: Pick<Config, "max_connections" | "backends">): Verdict {
  const { clients } = connectionLimits(config, { descriptors });
  return clients >= config.max_connections
    ? pass(`${descriptors}`)
    : fail(
        `only ${descriptors}: enough for ${clients} connections of clients, not for ${config.max_connections} (max_connections)`,
        "raise LimitNOFILE: systemctl edit ober-http.service; or lower max_connections in ober.yaml",
      );
}

/** Certificates and signed requests depend on the time of day: S3 refuses a request that is 15 minutes off. */
const CLOCK_FAIL_MS = 5 * 60_000;
/** The Date of an answer has a resolution of one second, and the answer itself takes time. */
const CLOCK_WARN_MS = 3_000;

export async function checkClock(sight: Sight): Promise<Verdict> {
  const { code, stdout } = await sight.system.run(["timedatectl", "show", "--property=NTPSynchronized", "--value"], {
    accept: [0, 1, 127],
  });
  const config = await orUndefined(sight.config);
  return clockVerdict(code === 0 ? stdout.trim() === "yes" : undefined, config && (await clockOfBackend(config)));
}

/** `synchronized` is what systemd says of the kernel's clock, `other` the clock of an RGW; undefined if not known. */
export function clockVerdict(
  synchronized: boolean | undefined,
  other: { readonly name: string; readonly aheadMs: number } | undefined,
): Verdict {
  const fix = "timedatectl set-ntp true; whether its servers answer: timedatectl timesync-status, or chronyc sources";
  if (other && Math.abs(other.aheadMs) > CLOCK_WARN_MS) {
    const seconds = Math.round(Math.abs(other.aheadMs) / 1000);
    const text = `${other.name} is ${seconds} s ${other.aheadMs > 0 ? "ahead of" : "behind"} this machine`;
    return (Math.abs(other.aheadMs) > CLOCK_FAIL_MS ? fail : warn)(
      text,
      `on the one whose clock is wrong (date -u): ${fix}`,
    );
  }
  if (synchronized === false) return warn("the clock is not synchronized", fix);
  const agrees = other && `agrees with ${other.name}`;
  const said = [synchronized ? "synchronized" : undefined, agrees].filter((part) => part);
  return said.length === 0 ? skip("there is no clock to compare with") : pass(said.join(", "));
}

async function clockOfBackend({ backends }: Config) {
  const [group] = backends;
  const server = group?.servers.find(({ host }) => parseAddress(host)) ?? group?.servers[0];
  if (!group || !server) return undefined;
  const name = `${server.host.includes(":") ? `[${server.host}]` : server.host}:${server.port}`;
  const url = `${group.tls ? "https" : "http"}://${name}${group.health_check_path}`;
  // Only the RGW's clock matters here: other checks report an RGW that does not answer or is not trusted.
  const { date } = (await orUndefined(() => httpStatus(url, 1500, { trust: { verify: false } }))) ?? {};
  return date === undefined ? undefined : { name, aheadMs: date - Date.now() };
}

/** Below the first bound nothing can be applied or logged any more; below the second it is a matter of time. */
const DISK_FAIL_KIB = 16 * 1024;
const DISK_WARN_KIB = 256 * 1024;

export async function checkDisk({ system, paths }: Sight): Promise<Verdict> {
  const places = [paths?.var ?? "/", "/var/log", "/run"];
  const { stdout } = await system.run(["df", "-Pk", ...places], { accept: [0, 1] });
  const disks = stdout
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => line.split(/\s+/))
    .map(([, size = "", , available = "", , mount = ""]) => ({ size: Number(size), free: Number(available), mount }));
  const scarce = disks.filter(({ free }) => free < DISK_WARN_KIB).sort((a, b) => a.free - b.free);
  const [worst] = scarce;
  if (worst === undefined) {
    const each = new Map(disks.map(({ size, free, mount }) => [mount, Math.round((100 * free) / Math.max(1, size))]));
    return pass(`ok, ${[...each].map(([mount, percent]) => `${mount} ${percent} %`).join(", ")} free`);
  }
  const text = [...new Set(scarce.map(({ free, mount }) => `${mount} has ${Math.floor(free / 1024)} MiB left`))].join(
    ", ",
  );
  return (worst.free < DISK_FAIL_KIB ? fail : warn)(
    text,
    `make room on ${worst.mount}; what is large: du -xh --max-depth=2 ${worst.mount} | sort -h | tail`,
  );
}

/** A package upgrade replaces a program on the disk; the old one keeps running until its unit restarts. */
export async function checkReplaced(sight: Sight): Promise<Verdict> {
  if ((await sight.config()) === undefined) return skip("not configured");
  if (!sight.isRoot) return skip("needs root");
  const units = (await sight.units()).filter(({ mainPid }) => mainPid > 0);
  const old: string[] = [];
  for (const { name, mainPid } of units) {
    if ((await sight.system.readLink(`/proc/${mainPid}/exe`))?.endsWith(" (deleted)")) old.push(name);
  }
  return old.length === 0
    ? pass("every unit runs the program that is installed")
    : warn(`${old.join(", ")} runs a program that was replaced since it started`, "ober restart");
}
