/**
 * A simulated node: an install path, its own /run, and stand-ins for HAProxy and the programs that ober asks, so that each of them can lie, hang
 * or flood. The executable is the real one.
 */
import { afterAll, beforeAll } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OBER } from "../helpers/ober.ts";
import { run } from "../lab/process.ts";
import { enterNetwork, newNetwork } from "./_ingress.ts";

export const PORT = 8404;
/** This node, and eight others beside it. */
export const OWN = "10.77.0.11";
export const PEERS = Array.from({ length: 8 }, (_, index) => `10.77.0.${12 + index}`);
export const ODD_ONE = "10.77.0.99";
export const VIP = "10.99.0.100";
export const ROUTER = "10.77.0.1";
export const RGWS = ["10.66.0.11:7480", "10.66.0.12:7480"];

const YAML = (mode: "bgp" | "keepalived", nodes: readonly string[]) => `ha_mode: ${mode}
${mode === "bgp" ? `bgp: {local_as: 65001, peer_as: 65000, neighbors: [${ROUTER}], bfd_enabled: true}` : "keepalived: {interface: eth0}"}
nodes: [${nodes.join(", ")}]
vips: [${mode === "bgp" ? VIP : "10.77.0.101"}]
handover: always
backends: [{name: s3, servers: [${RGWS.map((server) => `"${server}"`).join(", ")}]}]
`;

export const STAT = `# pxname,svname,qcur,scur,slim,stot,bin,bout,status,check_status,check_code,check_desc,last_chk,addr,req_tot
ober_s3,FRONTEND,,9,20000,100,1,2,OPEN,,,,,,77
${RGWS.map((server) => `s3,${server},0,2,1000,50,1,2,UP,L7OK,200,Layer7 check passed,OK,${server},\n`).join("")}s3,BACKEND,1,4,2000,100,1,2,UP,,,,,,
`;
export const METRICS = `haproxy_process_build_info{version="3.0.11-1"} 1
haproxy_process_start_time_seconds 1764190000
`;
export const identity = (address: string) => ({
  leaving: false,
  now: 1_764_190_000,
  serves: { at: 1_764_189_999, vips: { [VIP]: 1_764_180_000 } },
  turn: {},
  node: { ober: "1.0.0", config: {}, cluster: { address, members: [OWN, ...PEERS] } },
});
const LOOP = {
  pid: process.pid,
  startedAt: "2026-01-01T12:00:00.000Z",
  updatedAt: "2026-01-01T12:00:00.000Z",
  stopped: false,
  url: `http://127.0.0.1:${PORT}/health`,
  vips: [
    {
      vip: VIP,
      group: "",
      announced: true,
      acknowledged: true,
      since: "2026-01-01T12:00:00.000Z",
      cause: "HAProxy answers",
    },
  ],
  counters: { probes: 1, failures: 0, transitions: 1, acks: 1, ackErrors: 0, ackTimeouts: 0 },
  transitions: [],
  sessions: [{ neighbor: ROUTER, state: "up", since: "2026-01-01T12:00:00.000Z" }],
};
const KEEPALIVED = `------< VRRP Topology >------
 VRRP Instance = ober_101
   State = MASTER
   Last transition = 1764190000.000000 (x)
   Virtual Router ID = 101
   Effective priority = 100
   Virtual IP (1):
     10.77.0.101 dev eth0 scope global
------< VRRP Sockpool >------
`;

/** The programs' output on a healthy node; `$1` and so on are their arguments. */
const PROGRAMS: Readonly<Record<string, string>> = {
  systemctl: `case "$*" in
*show*) for unit in "$@"; do case $unit in *.service|*.timer|*.path)
  printf 'Id=%s\\nLoadState=loaded\\nActiveState=active\\nSubState=running\\nUnitFileState=enabled\\nMainPID=%s\\nNRestarts=0\\nActiveEnterTimestamp=@1764190000\\nResult=success\\n\\n' "$unit" "$STAGE_PID";; esac; done;;
*kill*) mkdir -p /tmp && cp "$STAGE/keepalived.data" /tmp/keepalived.data;;
esac`,
  ss: `case "$*" in
*:179*) echo "0 0 ${OWN}:41234 ${ROUTER}:179";;
*-Hltn*) echo "LISTEN 3 4096 0.0.0.0:443 0.0.0.0:*";;
esac`,
  birdc: `echo "${ROUTER} eth0 Up 12:00:00.000 0.100 0.300"`,
  nft: "printf 'table ip ober {\\n\\tcounter sent {\\n\\t\\tpackets 12 bytes 1200\\n\\t}\\n}\\n'",
  keepalived: 'case "$*" in *signum*) echo 36;; *) echo "Keepalived v2.3.3" >&2;; esac',
  haproxy: 'case "$*" in *-v*) echo "HAProxy version 3.0.11-1 2025/11/18";; esac',
  exabgp: 'echo "ExaBGP : 4.2.25"',
  bird: 'echo "BIRD version 2.17.1" >&2',
  journalctl: 'echo "nothing happened"',
  timedatectl: "echo yes",
};

export type Handler = (request: string, socket: net.Socket) => void;

/** An HTTP/1.0 server's answers, by path. */
export const answering =
  (bodies: Readonly<Record<string, string>>): Handler =>
  (request, socket) => {
    const path = request.split(" ")[1] ?? "";
    const body = bodies[path];
    socket.end(
      body === undefined
        ? "HTTP/1.0 404 no\r\n\r\n"
        : `HTTP/1.0 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  };

export const well = (address: string): Handler =>
  answering({
    "/health": "ok",
    "/ober": JSON.stringify(identity(address)),
    "/stats;csv": STAT,
    "/metrics?scope=global": METRICS,
  });

/** Sockets that are open, to be ended with the stage. */
export async function listen(at: net.ListenOptions, handler: () => Handler) {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    let text = "";
    let taken = false;
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (taken || !/\n/.test(text)) return;
      taken = true;
      handler()(text, socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(at, resolve));
  return {
    stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

export type Said = {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
  readonly rssMb: number;
};

/** Needs a network namespace of its own with the addresses (see `enterNetwork`). Dispose it at the end. */
export async function stage(mode: "bgp" | "keepalived", nodes: readonly string[]) {
  const directory = mkdtempSync(join(tmpdir(), "ober-stage-"));
  const prefix = join(directory, "node");
  for (const place of [
    "node/bin",
    "node/etc/certs",
    "node/var",
    "run/systemd/system",
    "run/ober",
    "run/ober-bgp",
    "bin",
    "pids",
  ])
    mkdirSync(join(directory, place), { recursive: true });
  const executable = join(prefix, "bin/ober");
  copyFileSync(OBER[0] ?? "", executable);
  chmodSync(executable, 0o755);
  writeFileSync(join(prefix, "var/journal.json"), JSON.stringify({ version: 1, directories: [], steps: [] }));
  writeFileSync(join(prefix, "etc/ober.yaml"), YAML(mode, nodes));
  writeFileSync(join(directory, "keepalived.data"), KEEPALIVED);
  const state = join(directory, "run/ober-bgp/health.json");
  let written = "";
  /** As the loop does while it runs; not where a test has put something else. */
  const beat = () => {
    if (written !== "" && readFileSync(state, "utf8") !== written) return;
    written = JSON.stringify({ ...LOOP, updatedAt: new Date().toISOString() });
    writeFileSync(`${state}.new`, written);
    renameSync(`${state}.new`, state);
  };
  beat();
  for (const [name, body] of Object.entries(PROGRAMS)) program(join(directory, "bin"), name, body);

  const haproxy = { say: (command: string) => (command.startsWith("show stat") ? STAT : "") };
  const own = { handler: well(OWN) };
  const servers = [
    await listen(
      { path: join(directory, "run/ober/haproxy.sock") },
      () => (text, socket) => socket.end(haproxy.say(text)),
    ),
    await listen({ path: join(directory, "run/ober/master.sock") }, () => (_, socket) => socket.end("")),
    await listen({ host: "127.0.0.1", port: PORT }, () => own.handler),
  ];
  return {
    directory,
    prefix,
    haproxy,
    own,
    /** A directory of programs that stand before the others in PATH. */
    programs(name: string, bodies: Readonly<Record<string, string>>): string {
      const place = join(directory, name);
      mkdirSync(place, { recursive: true });
      for (const [program_, body] of Object.entries(bodies)) program(place, program_, body);
      return place;
    },
    /** Runs ober on the node. `before` is a directory of programs, `within` a shell's words that run `"$@"` in their own way. */
    async ober(
      args: readonly string[],
      options: { before?: string; env?: Readonly<Record<string, string>>; within?: string } = {},
    ): Promise<Said> {
      const path = [options.before, join(directory, "bin"), "/usr/sbin:/usr/bin:/sbin:/bin"].filter(Boolean).join(":");
      const time = join(directory, `time-${crypto.randomUUID()}`);
      const inside = `mount --bind "$STAGE/run" /run && mount -t tmpfs tmpfs /var/lib && ${options.within ?? 'exec "$@"'}`;
      beat();
      const begin = performance.now();
      const child = Bun.spawn(
        ["unshare", "--mount", "sh", "-c", inside, "sh", "python3", "-c", MEASURE, time, executable, ...args],
        {
          env: { PATH: path, STAGE: directory, STAGE_PID: `${process.pid}`, HOME: "/nonexistent", ...options.env },
          stdin: "ignore",
          stdout: "pipe",
          stderr: "pipe",
        },
      );
      const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
      const [kib = "0", ms = `${performance.now() - begin}`] = existsSync(time)
        ? readFileSync(time, "utf8").split(" ")
        : [];
      return { code, stdout, stderr, ms: Number(ms), rssMb: Number(kib) / 1024 };
    },
    async [Symbol.asyncDispose]() {
      for (const server of servers) server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Runs a program and writes its peak of resident memory in KiB and its time in ms to a file. */
const MEASURE = `import os, sys, time
begin = time.monotonic()
pid = os.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
open(sys.argv[1], "w").write("%d %.1f" % (usage.ru_maxrss, (time.monotonic() - begin) * 1000))
os._exit(os.waitstatus_to_exitcode(status) & 255)
`;

/** A program whose pid, and what it leaves behind in \`$!\`, is written down. */
function program(place: string, name: string, body: string): void {
  const file = join(place, name);
  writeFileSync(file, `#!/bin/sh\necho $$ >> "$STAGE/pids/$(basename "$(dirname "$0")")"\n${body}\n`);
  chmodSync(file, 0o755);
}

/** Among these tests: a node in BGP mode beside eight others that are well, in networks of its own, until the last of them is done. */
export function stageAmongPeers(): () => Awaited<ReturnType<typeof stage>> {
  const servers: { stop(): void }[] = [];
  let leave: () => void;
  let node: Awaited<ReturnType<typeof stage>>;
  beforeAll(async () => {
    leave = await enterStage(async () => {
      for (const peer of PEERS) servers.push(await listen({ host: peer, port: PORT }, () => well(peer)));
    });
    node = await stage("bgp", [OWN, ...PEERS]);
  }, 60_000);
  afterAll(async () => {
    for (const server of servers) server.stop();
    await node?.[Symbol.asyncDispose]();
    leave?.();
  });
  return () => node;
}

/**
 * A network of its own for this process, and another one across a cable where the other nodes are: `start` is called while the process is
 * there, and what it listens on stays. Returns the way back.
 */
export async function enterStage(start: () => Promise<void>): Promise<() => void> {
  const leave = await enterNetwork([]);
  const others = await newNetwork();
  await run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
  await run(["ip", "link", "set", "eth1", "netns", `/proc/${process.pid}/fd/${others.former}`]);
  await run(["ip", "link", "set", "eth0", "up"]);
  for (const address of [...PEERS, ODD_ONE, ROUTER])
    await run(["ip", "address", "add", `${address}/24`, "dev", "eth0"]);
  await start();
  others.leave();
  await run(["ip", "link", "set", "eth1", "name", "eth0"]);
  await run(["ip", "link", "set", "eth0", "up"]);
  await run(["ip", "address", "add", `${OWN}/24`, "dev", "eth0"]);
  await run(["ip", "route", "add", "default", "via", ROUTER]);
  return leave;
}
