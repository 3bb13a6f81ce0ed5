/** 250 VIPs taken away from a node in service at once, and given back: the session stays, and the VIP that stays is never withdrawn. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { HealthState } from "../../src/health/state.ts";
import type { LabNode } from "../lab/lab.ts";
import { configure, ober, oberYaml } from "../lab/ober.ts";
import { VIP } from "../lab/places.ts";
import { until } from "../lab/process.ts";
import { now, type RouteWatch, watchRoute } from "../lab/route-watch.ts";
import { makeServe, measured, RELEASE, ROUNDS, SPARE_NODE, sharedLab, switchOff } from "./_cluster.ts";

const MANY = Array.from({ length: 250 }, (_, i) => `10.99.0.${i + 1}`);
const LAST = "10.99.0.250";
const TIMES = ROUNDS > 1 ? 10 : 1;

let node: LabNode;
let watches: readonly RouteWatch[] = [];

const yamlOf = (vips: readonly string[]) =>
  oberYaml([node.name], { handover: "off" }).replace(`vips: [${VIP}]`, `vips: [${vips.join(", ")}]`);

beforeAll(async () => {
  node = (await sharedLab()).node(SPARE_NODE);
  await makeServe(node, RELEASE, yamlOf([VIP]));
  watches = await Promise.all([VIP, LAST].map(watchRoute));
  await until("the VIP at the router", () => here(watches[0]), 30_000);
  const written = () =>
    health().then(
      () => true,
      () => false,
    );
  await until("the loop has written its state", written, 10_000);
}, 300_000);

afterAll(async () => {
  for (const watch of watches) await watch.stop();
  await switchOff(node);
}, 120_000);

const here = (watch: RouteWatch | undefined) => watch?.states().at(-1)?.nextHops.includes(node.address) === true;
const health = async () =>
  JSON.parse((await node.exec(["cat", "/run/ober-bgp/health.json"])).stdout) as HealthState & { pid: number };
const exabgp = async () =>
  (await node.exec(["systemctl", "show", "-p", "MainPID", "-p", "NRestarts", "ober-bgp.service"])).stdout;

test("`config` from 1 VIP to 250 and back keeps the session, and the VIP that stays", async () => {
  const [stays, comes] = watches;
  const [process, begin] = [await exabgp(), now()];
  for (let round = 0; round < TIMES; round++) {
    for (const vips of [[...MANY], [VIP]]) {
      const before = (await health()).pid;
      const changed = now();
      await configure(node, yamlOf(vips));
      await until(
        `${vips.length} VIPs confirmed and nothing to clear`,
        async () => {
          const state = await health();
          const done = state.vips.length === vips.length && state.vips.every(({ acknowledged }) => acknowledged);
          return done && state.pid !== before && state.clearing === undefined;
        },
        60_000,
      );
      await until("the router has followed", () => here(comes) === vips.includes(LAST), 20_000);
      const { acks, ackTimeouts } = (await health()).counters;
      const what = `from ${vips.length === 1 ? "250 VIPs to 1" : "1 VIP to 250"}`;
      // One more each second while nothing changes.
      const repeated = Math.ceil((now() - changed) / 1_000);
      expect(acks + ackTimeouts - repeated).toBeLessThanOrEqual(3 * 250);
      measured(`config ${what}: commands to ExaBGP`, acks + ackTimeouts, { unit: "commands", round });
      measured(`config ${what}: until all is confirmed and the router has followed`, now() - changed, { round });
    }
    // Longer than the watchdog has patience.
    await Bun.sleep(5_000);
    expect(await exabgp()).toBe(process);
  }
  const gone = stays?.states().filter(({ at, nextHops }) => at > begin && !nextHops.includes(node.address));
  expect(gone).toEqual([]);
  expect((await ober(node, ["status"], { accept: [0, 1] })).stdout).toContain("announced");
}, 900_000);
