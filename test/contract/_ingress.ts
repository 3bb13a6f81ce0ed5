/**
 * The ingress alone: HAProxy of a Debian suite with the configuration that ober renders, in a network of its own. The network belongs to
 * the thread of the tests: every socket that they open and every program that they start is in it, and it is gone when they leave.
 */
import { dlopen, FFIType } from "bun:ffi";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseConfig } from "../../src/config/schema.ts";
import { parseYaml } from "../../src/config/store.ts";
import { pathsOf } from "../../src/domain/paths.ts";
import { serverStateFile } from "../../src/domain/server-state.ts";
import { haproxyCommand, parseStat } from "../../src/haproxy/socket.ts";
import { renderHaproxy } from "../../src/render/haproxy.ts";
import { findPrograms } from "../../src/system/programs.ts";
import { selfSigned } from "../helpers/certificate.ts";
import { run, until } from "../lab/process.ts";
import { type ParserTree, parserSystem } from "./_parsers.ts";

export const VIPS = ["10.99.0.100", "10.99.0.101"] as const;
/** The node's own address, and the network that its monitoring is in. */
export const NODE = "10.77.0.11";
export const NETWORK = "10.77.0.0/24";
/** A source inside the node's network, and one outside. */
export const INSIDE = "10.77.0.50";
export const OUTSIDE = "10.88.0.2";
export const STATS_PORT = 8404;
/** The canary address of the node, and another node's. */
export const CANARY = "10.99.1.1";
export const OTHER_CANARY = "10.99.1.2";
/** Addresses of eight servers of the first group, and of one of the second. */
export const SERVERS = Array.from({ length: 8 }, (_, index) => `10.66.0.${11 + index}`);
export const ARCHIVE = "10.66.1.11";
export const SERVER_PORT = 7480;

/** The unit's LimitNOFILE, or what this machine allows. */
export const DESCRIPTORS = Math.min(
  1_048_576,
  Number(/^Max open files +\d+ +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]),
);

const CLONE_NEWNET = 0x40000000;

/**
 * Moves this thread into a network of its own with all addresses above. The function that it returns moves it back. Builds the
 * trees before, because that network is isolated.
 */
export async function enterNetwork(trees: readonly ParserTree[]): Promise<() => void> {
  for (const tree of trees) await parserSystem(tree);
  const { leave } = await newNetwork();
  for (const address of [...VIPS, NODE, INSIDE, OUTSIDE, CANARY, OTHER_CANARY, ...SERVERS, ARCHIVE]) {
    await run(["ip", "address", "add", `${address}/32`, "dev", "lo"]);
  }
  await run(["sysctl", "-q", "net.ipv4.ip_local_port_range=1024 65535", "net.core.somaxconn=65535"]);
  return leave;
}

/** Moves this thread into a network of its own with nothing in it but `lo`. `former` is the descriptor of the one before, until `leave`. */
export async function newNetwork(): Promise<{ readonly former: number; leave(): void }> {
  const { symbols } = dlopen("libc.so.6", {
    unshare: { args: [FFIType.i32], returns: FFIType.i32 },
    setns: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  });
  const former = openSync("/proc/thread-self/ns/net", "r");
  if (symbols.unshare(CLONE_NEWNET) !== 0) throw new Error("no network of its own: is this root?");
  await run(["ip", "link", "set", "lo", "up"]);
  return {
    former,
    leave() {
      if (symbols.setns(former, 0) !== 0) throw new Error("no way back to the former network");
      closeSync(former);
    },
  };
}

export type IngressOptions = {
  /** Servers of the first group; the first of SERVERS alone unless told. */
  readonly servers?: readonly string[];
  /** The servers of the first group as ober.yaml has them, in YAML's flow style, in the place of `servers`. */
  readonly entries?: string;
  readonly tls?: BackendTls;
  /** More keys of the first group, and of ober.yaml itself, in YAML's flow style: "max_requests: 8". */
  readonly group?: string;
  readonly config?: string;
  /** A last change of the rendered text, for times too long for a test. Throws if the text no longer contains what it replaces. */
  readonly edit?: readonly (readonly [from: string, to: string])[];
};

/** The first group by TLS, verified against this CA (PEM) and for this name. */
type BackendTls = { readonly ca: string; readonly sni: string };

export type Ingress = Awaited<ReturnType<typeof startIngress>>;

/** Starts HAProxy of a tree as the unit does, master and worker, and waits until it serves. Dispose it at the end. */
export async function startIngress(tree: ParserTree, options: IngressOptions = {}) {
  const system = await parserSystem(tree);
  const { haproxy } = await findPrograms(system);
  if (!haproxy) throw new Error("the tree has no haproxy");
  const prefix = `/tmp/ober-ingress-${process.pid}`;
  // From outside the tree a socket's path could be longer than the 107 bytes that the kernel takes.
  const outside = `/tmp/ober-tree-${process.pid}`;
  rmSync(outside, { force: true });
  rmSync(system.root + prefix, { recursive: true, force: true });
  symlinkSync(system.root, outside);
  const paths = { ...pathsOf(prefix), haproxySocket: `${prefix}/haproxy.sock` } as ReturnType<typeof pathsOf>;
  const config = parseConfig(
    parseYaml(
      `bgp: {local_as: 65001, peer_as: 65000, neighbors: [10.77.0.1], canary: 10.99.1.0/28}
vips: [${VIPS[0]}, {address: ${VIPS[1]}, backend: archive}]
backends:
  - {name: s3, servers: [${options.entries ?? (options.servers ?? SERVERS.slice(0, 1)).map((server) => `"${server}:${SERVER_PORT}"`).join(", ")}]${options.tls ? `, tls: true, ca_file: ${prefix}/ca.pem, sni: ${options.tls.sni}` : ""}${options.group ? `, ${options.group}` : ""}}
  - {name: archive, servers: ["${ARCHIVE}:${SERVER_PORT}"]}
${options.config ?? ""}
`,
      "ober.yaml",
    ),
    "ober.yaml",
  );
  const put = (path: string, content: string) => {
    mkdirSync(dirname(system.root + path), { recursive: true });
    writeFileSync(system.root + path, content);
  };
  const rendered = renderHaproxy(
    config,
    {
      ober: "1.2.3",
      haproxy,
      networks: [NETWORK],
      memory: 64 * 2 ** 30,
      descriptors: DESCRIPTORS,
      address: NODE,
      addresses: [],
      resolved: {},
    },
    paths,
  );
  for (const { path, content } of rendered) put(path, content);
  const text = (options.edit ?? []).reduce(
    (now, [from, to]) => {
      if (!now.includes(from)) throw new Error(`haproxy.cfg no longer says "${from}"`);
      return now.replaceAll(from, to);
    },
    readFileSync(system.root + paths.haproxyConfig, "utf8"),
  );
  put(paths.haproxyConfig, text);
  if (options.tls) put(`${prefix}/ca.pem`, options.tls.ca);
  // As `ober names --prepare` leaves it before each start.
  put(
    paths.serverState,
    serverStateFile([], () => []),
  );
  const certificate = `${paths.certs}/s3.pem`;
  put(certificate, await selfSigned("s3.example.org"));

  const socket = `${outside}${paths.haproxySocket}`;
  const log = join(system.root, prefix, "log");
  const spawn = () => {
    const output = openSync(log, "a");
    const argv = [
      "prlimit",
      `--nofile=${DESCRIPTORS}`,
      "chroot",
      system.root,
      "haproxy",
      "-W",
      "-f",
      paths.haproxyConfig,
    ];
    const started = Bun.spawn(argv, { stdin: "ignore", stdout: output, stderr: output });
    closeSync(output);
    return started;
  };
  let child = spawn();
  const say = (command: string) => haproxyCommand(socket, command, 10_000);
  const pidOf = async () => Number(/^Pid: (\d+)$/m.exec(await say("show info"))?.[1] ?? 0);
  const reloadUntil = (what: string, done: () => boolean | Promise<boolean>) => {
    let askedAt = Number.NEGATIVE_INFINITY;
    const ask = async () => {
      if (performance.now() - askedAt > 2_000) {
        askedAt = performance.now();
        process.kill(child.pid, "SIGUSR2");
      }
      return done();
    };
    return until(what, ask, 20_000, 5);
  };
  const end = async () => {
    child.kill("SIGTERM");
    await child.exited;
    rmSync(outside, { force: true });
    rmSync(system.root + prefix, { recursive: true, force: true });
  };
  try {
    await until("HAProxy serves", pidOf, 15_000);
  } catch (error) {
    const said = readFileSync(log, "utf8");
    await end();
    throw new Error(`HAProxy does not start: ${said}`, { cause: error });
  }
  return {
    /** The files of the tree; `say`, the runtime socket; `paths` as HAProxy sees them. */
    files: system,
    paths,
    text,
    /** What ober renders, without the last changes of `text`. */
    rendered,
    socket,
    certificate,
    version: haproxy.version,
    say,
    put,
    master: () => child.pid,
    /** The process that takes new connections. */
    worker: pidOf,
    /** Every worker, old ones too. */
    workers: () => childrenOf(child.pid),
    log: () => readFileSync(log, "utf8"),
    stat: async () => parseStat(await say("show stat")),
    /** Asks for a reload as the unit does, until `done`: a master that is busy with the last one may lose the signal. */
    reloadUntil,
    /** Reloads; returns when a new worker serves. */
    async reload() {
      const before = await pidOf();
      await reloadUntil("a new worker serves", async () => (await pidOf()) !== before);
    },
    /** Restarts HAProxy, so that the files decide. */
    async restart() {
      const before = await pidOf();
      child.kill("SIGTERM");
      await child.exited;
      child = spawn();
      // The former worker may answer once more before it is gone.
      await until("HAProxy serves again", async () => ![0, before].includes(await pidOf()), 15_000);
    },
    [Symbol.asyncDispose]: end,
  };
}

export function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.trim().split(" ").filter(Boolean).map(Number);
}

/** Resident memory of a process, in MB. */
export function residentMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1000;
}
