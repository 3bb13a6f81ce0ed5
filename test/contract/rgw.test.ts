/** One RGW taken out and back with the real HAProxy of every Debian suite: at run time, over reloads and over restarts. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import net from "node:net";
import { parseConfig } from "../../src/config/schema.ts";
import { parseServersState } from "../../src/domain/server-state.ts";
import { prepareNames } from "../../src/haproxy/server-names.ts";
import { serverRows, serversOf } from "../../src/haproxy/socket.ts";
import type { Node } from "../../src/node/node.ts";
import { changeRgw, lookAtRgw, type RgwRequest, rgwViews, waitForRgw } from "../../src/node/rgw.ts";
import { readWishes } from "../../src/system/rgw-wishes.ts";
import { heard } from "../helpers/output.ts";
import { until } from "../lab/process.ts";
import { enterNetwork, type Ingress, SERVER_PORT, SERVERS, startIngress, VIPS } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { get, OK, request, startServer } from "./_peers.ts";

const FILE = `/tmp/ober-ingress-${process.pid}/servers.state`;
const MASTER = `/tmp/ober-rgw-${process.pid}.sock`;
const [ONE = "", TWO = ""] = SERVERS;
const nameOf = (address: string) => `${address}:${SERVER_PORT}`;
const CONFIG = parseConfig(
  {
    ha_mode: "bgp",
    bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.77.0.1"] },
    vips: [VIPS[0]],
    backends: [{ name: "s3", servers: [nameOf(ONE), nameOf(TWO)] }],
  },
  "ober.yaml",
);
const asked = (change: RgwRequest["change"], name = ONE, more: Partial<RgwRequest> = {}): RgwRequest => ({
  ...{ change, name, reason: "", force: false },
  ...more,
});

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let leave: () => void;
  let ingress: Ingress;
  /** A master without old workers: these tests start HAProxy without its socket. */
  let master: net.Server;
  const servers: Awaited<ReturnType<typeof startServer>>[] = [];
  /** Requests that each server has got, and what ends the slow one. */
  const got: Record<string, number> = {};
  let finish: (() => void) | undefined;

  beforeAll(async () => {
    leave = await enterNetwork([tree]);
    for (const address of [ONE, TWO]) {
      servers.push(
        await startServer(address, ({ head, socket }) => {
          got[address] = (got[address] ?? 0) + 1;
          if (!head.startsWith("GET /slow ")) return void socket.write(OK);
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf.");
          finish = () => void socket.write("whole");
        }),
      );
    }
    master = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      socket.resume();
      socket.on("end", () => socket.end("#<PID> <type>\n# old workers\n"));
    });
    await new Promise<void>((resolve) => master.listen(MASTER, resolve));
    ingress = await startIngress(tree, {
      servers: [ONE, TWO],
      edit: [["server-state-file /run/ober/servers.state", `server-state-file ${FILE}`]],
    });
  }, 600_000);
  afterAll(async () => {
    await ingress?.[Symbol.asyncDispose]();
    for (const server of servers) await server[Symbol.asyncDispose]();
    master?.close();
    rmSync(MASTER, { force: true });
    leave?.();
  });
  /** Both serve, and nothing is kept. */
  beforeEach(async () => {
    await ingress.files.remove(ingress.paths.rgwWishes);
    ingress.put(FILE, "1\n");
    await ingress.restart();
    await until("both serve", async () => (await states()).every((text) => / UP L7OK 100$/.test(text)), 10_000);
  }, 30_000);

  const node = (): Node => ({
    system: ingress.files,
    paths: {
      ...ingress.paths,
      haproxySocket: ingress.socket,
      masterSocket: MASTER,
      serverState: FILE,
    } as Node["paths"],
  });
  const change = (one: RgwRequest) => changeRgw(node(), heard(), CONFIG, one);
  const states = async () =>
    serverRows(await ingress.stat(), "s3").map(
      ({ svname, status, check_status, weight }) => `${svname} ${status} ${check_status?.replace("* ", "")} ${weight}`,
    );
  const prepare = () => prepareNames(node(), new Date());
  const wishes = async () => (await readWishes(ingress.files, ingress.paths)).wishes;
  /** How many of so many new requests each server gets. */
  const share = async (count: number) => {
    const before = { ...got };
    for (let left = count; left > 0; left--) expect((await request(get())).status).toBe(200);
    return [ONE, TWO].map((address) => (got[address] ?? 0) - (before[address] ?? 0));
  };

  test("a drained RGW gets no new request, and ends a running one in peace; undrain brings it back", async () => {
    // The other one is out while the slow request comes, so that this one gets it.
    await change(asked("disable", TWO));
    const slow = request(get("/slow"));
    await until("the slow request runs", () => finish !== undefined, 5_000);
    await change(asked("undrain", TWO));
    await until("the other one serves", async () => / UP L7OK/.test((await states())[1] ?? ""), 10_000);
    expect(await change(asked("drain", ONE, { reason: "disks" }))).toEqual({
      ...{ group: "s3", server: nameOf(ONE), changed: true, inForce: true, notKept: null },
    });
    expect(await share(10)).toEqual([0, 10]);
    const rgw = { group: "s3", server: nameOf(ONE) };
    const told: string[] = [];
    expect(await waitForRgw(node(), rgw, { timeoutMs: 0, tell: () => {} })).toBe(1);
    const waited = waitForRgw(node(), rgw, { timeoutMs: 20_000, tell: (line) => told.push(line) });
    await until("it waits", () => told.length > 0, 5_000);
    finish?.();
    expect((await slow).body.toString()).toBe("half.whole");
    expect(await waited).toBe(0);
    expect(told).toEqual([`waiting for 1 request of ${nameOf(ONE)}`]);
    const { reason } = serversOf(await ingress.stat(), "s3", await wishes())[0] ?? {};
    expect(reason).toMatch(/^taken out by \S+ \(ober rgw drain\): disks$/);
    expect(await lookAtRgw(node(), CONFIG, asked("drain"))).toMatchObject({ changes: false });
    await change(asked("undrain"));
    expect((await share(20)).every((count) => count > 5)).toBe(true);
    expect(await wishes()).toEqual([]);
  }, 60_000);

  test("drain, disable and weight hold over a reload and a restart, and so does their end", async () => {
    await change(asked("drain"));
    await change(asked("weight", TWO, { weight: 50 }));
    const drained = [/ DRAIN .* 100$/, / UP L7OK 50$/];
    const become = async (what: string, patterns: readonly RegExp[]) =>
      until(what, async () => (await states()).every((text, index) => patterns[index]?.test(text)), 10_000);
    await become("they hold at once", drained);
    expect(await prepare()).toEqual([]);
    await ingress.reload();
    await become("they hold after a reload", drained);
    await ingress.restart();
    await become("they hold after a restart", drained);
    await change(asked("disable"));
    await prepare();
    await ingress.restart();
    await become("it is in maintenance after a restart", [/ MAINT /, / UP L7OK 50$/]);
    expect(await share(4)).toEqual([0, 4]);
    await change(asked("undrain"));
    await change(asked("weight", TWO, { weight: 100 }));
    // One that was not checked begins with a small weight (slowstart).
    await become("both serve at once", [/ UP L7OK \d+$/, / UP L7OK 100$/]);
    await prepare();
    await ingress.reload();
    await become("both serve after a reload", [/ UP L7OK 100$/, / UP L7OK 100$/]);
  }, 90_000);

  test("a weight is a share of the requests that come at the same time", async () => {
    await change(asked("weight", ONE, { weight: 25 }));
    // Requests that last, so that the least connected one is what counts.
    const before = { ...got };
    const slow = Array.from({ length: 20 }, () => request(get("/slow"), { timeoutMs: 30_000 }).catch(() => undefined));
    await until(
      "all run",
      () => (got[ONE] ?? 0) + (got[TWO] ?? 0) === (before[ONE] ?? 0) + (before[TWO] ?? 0) + 20,
      10_000,
    );
    const rows = rgwViews({
      ...CONFIG,
      rows: await ingress.stat(),
      wishes: [],
      errors: undefined,
      uptime: 0,
      now: 0,
    }).rgws;
    expect(rows.map(({ weight, inFlight }) => [weight, inFlight])).toEqual([
      [25, 4],
      [100, 16],
    ]);
    await ingress.restart();
    await Promise.all(slow);
  }, 60_000);

  test("a drained RGW that goes down is drained, and stays so when it is up again", async () => {
    await change(asked("drain"));
    const state = async () => serversOf(await ingress.stat(), "s3", await wishes())[0];
    await ingress.say(`set server s3/${nameOf(ONE)} health down`);
    expect(await state()).toMatchObject({ status: expect.stringMatching(/^DOWN/), state: "drained" });
    const isUp = async () => (await state())?.status === "DRAIN";
    await until("its checks find it again", isUp, 10_000);
    expect(await share(4)).toEqual([0, 4]);
  }, 30_000);

  test("the last one of the group is not taken out, and a weight from before weights were of 100 counts for nothing", async () => {
    await change(asked("drain"));
    await expect(change(asked("disable", TWO))).rejects.toThrow("no other RGW of s3 takes requests");
    await change(asked("disable", TWO, { force: true }));
    expect((await request(get())).status).toBe(503);
    await ingress.files.remove(ingress.paths.rgwWishes);
    const line = (address: string) =>
      `0 s3 0 ${nameOf(address)} ${address} 1 0 1 1 86400 1 0 1 6 0 0 0 - ${SERVER_PORT} -\n`;
    ingress.put(FILE, `1\n${line(ONE)}${line(TWO)}`);
    await ingress.restart();
    const live = parseServersState(await ingress.say("show servers state")).filter(({ backend }) => backend === "s3");
    expect(live.map(({ weight, configuredWeight }) => [weight, configuredWeight])).toEqual([
      [100, 100],
      [100, 100],
    ]);
  }, 60_000);
});
