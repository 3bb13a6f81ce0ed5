/** `ober health` under the real ExaBGP, with a second ExaBGP as its router: what counts is what is seen on the wire. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, HOST } from "../../scripts/build.ts";
import type { HealthState } from "../../src/health/state.ts";
import { freePort, startHaproxy, temporaryDirectory, until } from "../helpers/health.ts";

const PREFIX = "10.99.0.1/32";
const built = temporaryDirectory();
const OBER = process.env["OBER_EXECUTABLE"] ?? join(built.path, "ober");

beforeAll(async () => {
  if (process.env["OBER_EXECUTABLE"] === undefined) await build(HOST, OBER);
}, 60_000);

afterAll(() => built[Symbol.dispose]());

/** The unit's environment, on a port that needs no privileges. */
function environment(port: number, bind?: string): Record<string, string> {
  return {
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    exabgp_daemon_user: "root",
    exabgp_daemon_drop: "false",
    exabgp_api_cli: "false",
    exabgp_api_ack: "true",
    exabgp_log_level: "WARNING",
    exabgp_tcp_port: String(port),
    ...(bind === undefined ? {} : { exabgp_tcp_bind: bind }),
  };
}

/** A router at 127.0.0.1 that writes down every route that it is told, and a node at 127.0.0.2 that runs `ober health`. */
async function startPeers(directory: string, url: string, vips = "10.99.0.1") {
  const port = freePort();
  const seen = join(directory, "seen");
  const stateFile = join(directory, "health.json");
  const recorder = join(directory, "record.sh");
  writeFileSync(seen, "");
  // The shell stays and holds its standard output open: ExaBGP takes a closed one for the death of the process.
  writeFileSync(recorder, `#!/bin/sh\ncat >> ${seen}\nexit\n`);
  chmodSync(recorder, 0o755);
  const routerConfig = join(directory, "router.ini");
  writeFileSync(
    routerConfig,
    `process recorder {
  run ${recorder};
  encoder json;
}
neighbor 127.0.0.2 {
  router-id 127.0.0.1; local-address 127.0.0.1; local-as 65000; peer-as 65001; hold-time 3; passive true;
  family { ipv4 unicast; }
  api {
    processes [ recorder ];
    neighbor-changes;
    receive { parsed; update; }
  }
}
`,
  );
  const nodeConfig = join(directory, "node.ini");
  const configure = (addresses: string) =>
    writeFileSync(
      nodeConfig,
      `process ober {
  run ${OBER} health --url ${url} --state ${stateFile} --drain-flag ${directory}/drain ${addresses};
  encoder text;
}
neighbor 127.0.0.1 {
  router-id 127.0.0.2; local-address 127.0.0.2; local-as 65001; peer-as 65000; hold-time 3;
  family { ipv4 unicast; }
  api { processes [ ober ]; }
}
`,
    );
  configure(vips);
  const start = (config: string, bind?: string) =>
    Bun.spawn(["exabgp", config], {
      env: environment(port, bind),
      stdin: "ignore",
      stdout: Bun.file(`${config}.log`),
      stderr: "ignore",
    });
  const router = start(routerConfig, "127.0.0.1");
  const node = start(nodeConfig);
  return {
    node,
    stateFile,
    /** As the unit does it. */
    reload(addresses: string) {
      configure(addresses);
      node.kill("SIGUSR2");
    },
    state: (): HealthState | undefined =>
      existsSync(stateFile) ? JSON.parse(readFileSync(stateFile, "utf8")) : undefined,
    /** What the router was told of our prefix: "+" an announcement, "-" a withdrawal, "down" a session that ended. */
    wire: () => readFileSync(seen, "utf8").split("\n").flatMap(events),
    async [Symbol.asyncDispose]() {
      for (const exabgp of [node, router]) exabgp.kill("SIGKILL");
      await Promise.all([node.exited, router.exited]);
      const pid = existsSync(stateFile) ? Number(JSON.parse(readFileSync(stateFile, "utf8")).pid) : 0;
      await until("health ended", () => pid === 0 || !existsSync(`/proc/${pid}`));
    },
  };
}

function events(line: string): string[] {
  if (!line.startsWith("{")) return [];
  const { type, neighbor } = JSON.parse(line);
  if (type === "state" && neighbor.state === "down") return ["down"];
  const update = neighbor?.message?.update;
  const announced = JSON.stringify(update?.announce ?? {}).includes(PREFIX) ? ["+"] : [];
  const withdrawn = JSON.stringify(update?.withdraw ?? {}).includes(PREFIX) ? ["-"] : [];
  return [...announced, ...withdrawn];
}

test("a repeated announcement is confirmed and says nothing on the wire", async () => {
  using directory = temporaryDirectory();
  await using haproxy = await startHaproxy(directory.path);
  await using peers = await startPeers(directory.path, haproxy.url);
  await until("the route at the router", () => peers.wire().includes("+"), 20_000);
  await until("five confirmations", () => (peers.state()?.counters.acks ?? 0) >= 6, 20_000);
  expect(peers.state()?.vips).toMatchObject([{ announced: true, acknowledged: true }]);
  expect(peers.wire()).toEqual(["+"]);
}, 60_000);

test("a crash of HAProxy reaches the router, and its return too, over one session", async () => {
  using directory = temporaryDirectory();
  await using first = await startHaproxy(directory.path);
  await using peers = await startPeers(directory.path, first.url);
  await until("the route at the router", () => peers.wire().includes("+"), 20_000);
  await first.kill();
  await until("the withdrawal at the router", () => peers.wire().includes("-"), 2_000);
  await using _second = await startHaproxy(directory.path, "alone", first.port);
  await until("the route again", () => peers.wire().at(-1) === "+", 10_000);
  expect(peers.wire()).not.toContain("down");
}, 60_000);

test("the death of the health process is repaired by its successor without a change on the wire", async () => {
  using directory = temporaryDirectory();
  await using haproxy = await startHaproxy(directory.path);
  await using peers = await startPeers(directory.path, haproxy.url);
  await until("the route at the router", () => peers.wire().includes("+"), 20_000);
  const first = await until("the state", () => peers.state());
  process.kill(first.pid, "SIGKILL");
  await until(
    "a successor that is confirmed",
    () => {
      const state = peers.state();
      return state !== undefined && state.pid !== first.pid && state.vips[0]?.acknowledged;
    },
    20_000,
  );
  expect(peers.wire()).toEqual(["+"]);
}, 60_000);

test("a successor that finds HAProxy dead clears the route that its predecessor left", async () => {
  using directory = temporaryDirectory();
  await using haproxy = await startHaproxy(directory.path);
  await using peers = await startPeers(directory.path, haproxy.url);
  await until("the route at the router", () => peers.wire().includes("+"), 20_000);
  const { pid } = await until("the state", () => peers.state());
  // Stopped first, so that it cannot withdraw when HAProxy dies.
  process.kill(pid, "SIGSTOP");
  await haproxy.kill();
  process.kill(pid, "SIGKILL");
  await until("the withdrawal at the router", () => peers.wire().at(-1) === "-", 10_000);
  expect(peers.wire()).not.toContain("down");
}, 60_000);

test("the end of ExaBGP ends the health process", async () => {
  using directory = temporaryDirectory();
  await using haproxy = await startHaproxy(directory.path);
  await using peers = await startPeers(directory.path, haproxy.url);
  const { pid } = await until("the state", () => peers.state(), 20_000);
  peers.node.kill("SIGKILL");
  await until("health ended", () => !existsSync(`/proc/${pid}`), 5_000);
  expect(peers.state()).toMatchObject({ stopped: true, vips: [{ announced: false, cause: "health process ended" }] });
}, 60_000);

test("a reload with other VIPs withdraws the one that is gone and keeps the one that stays", async () => {
  using directory = temporaryDirectory();
  await using haproxy = await startHaproxy(directory.path);
  await using peers = await startPeers(directory.path, haproxy.url, "10.99.0.1 10.99.0.2");
  await until("the route at the router", () => peers.wire().includes("+"), 20_000);
  await until("both confirmed", () => peers.state()?.vips.every(({ acknowledged }) => acknowledged), 20_000);
  peers.reload("10.99.0.2");
  await until("the withdrawal at the router", () => peers.wire().at(-1) === "-", 10_000);
  peers.reload("10.99.0.1 10.99.0.2");
  await until("the route again", () => peers.wire().at(-1) === "+", 10_000);
  // ExaBGP says what stays once more at a reload; nothing that stays is withdrawn.
  expect(peers.wire().filter((event) => event !== "+")).toEqual(["-"]);
}, 60_000);
