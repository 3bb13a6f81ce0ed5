/** Load comes back: clients that keep their connections are on all nodes again within a minute after one of them was away, and no request fails. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CA_FILE } from "../lab/certificate.ts";
import type { KeepPlan, KeepReport } from "../lab/keep-client.ts";
import type { LabNode } from "../lab/lab.ts";
import { inNamespace } from "../lab/network.ts";
import { ober } from "../lab/ober.ts";
import { LOG_DIRECTORY, VIP, VIP_NAME } from "../lab/places.ts";
import { end, type ProcessRecord, run, startDetached, until } from "../lab/process.ts";
import { type Cluster, measured, ROUNDS, runningCluster, SERVERS, sharedLab, startBackends } from "./_cluster.ts";

const CLIENTS = 200;
const MEAN = CLIENTS / 3;
/** Requests of a long run. */
const REQUESTS = 50_000;

let cluster: Cluster;
let client: ProcessRecord | undefined;
const log = () => join(LOG_DIRECTORY, "keep-client.log");

beforeAll(async () => {
  await startBackends(await sharedLab());
  cluster = await runningCluster({ servers: SERVERS });
}, 300_000);
afterAll(async () => {
  if (client !== undefined) await end(client, 5_000);
  await cluster?.watch.stop();
});

const report = (): KeepReport | undefined => {
  const lines = readFileSync(log(), "utf8").trimEnd().split("\n");
  const last = lines.at(-1) ?? "";
  return last.startsWith("{") ? (JSON.parse(last) as KeepReport) : undefined;
};
const connectionsOf = async ({ address }: LabNode): Promise<number> => {
  const { stdout } = await run(inNamespace("router", ["curl", "-s", "-m", "3", `http://${address}:8404/ober`]));
  return JSON.parse(stdout).load.connections;
};
const spread = () => Promise.all(cluster.nodes.map(connectionsOf));

test("200 clients that keep their connections are even within a minute after a node was away", async () => {
  const plan: KeepPlan = {
    address: VIP,
    port: 443,
    serverName: VIP_NAME,
    caFile: CA_FILE,
    clients: CLIENTS,
    pauseMs: 400,
  };
  const argv = inNamespace("client", [
    process.execPath,
    join(import.meta.dir, "../lab/keep-client.ts"),
    JSON.stringify(plan),
  ]);
  client = startDetached(argv, log());
  const back = cluster.nodes[2] as LabNode;
  await until("all clients are connected", async () => (await spread()).reduce((a, b) => a + b) >= CLIENTS - 2, 30_000);
  await ober(back, ["drain"]);
  await until("all clients are on the other nodes", async () => (await connectionsOf(back)) === 0, 30_000);
  const before = report()?.opened ?? 0;
  await ober(back, ["undrain"]);
  const from = performance.now();
  const isEven = async () => (await spread()).every((count) => Math.abs(count - MEAN) <= MEAN / 10);
  await until("the clients are even", isEven, 60_000, 1_000);
  measured("rebalance: 200 kept connections even within 10 % after a node is back", performance.now() - from);
  const opened = (report()?.opened ?? 0) - before;
  measured("rebalance: connections opened anew for it", opened, { unit: "connections" });
  // Each that is closed goes to the node that is back once in three times: three are closed for each that it gets.
  expect(opened).toBeLessThan(2 * CLIENTS);
  if (ROUNDS > 1) await until("many requests", () => (report()?.requests ?? 0) >= REQUESTS, 240_000, 1_000);
  await end(client, 5_000);
  expect(report()?.failed).toEqual({});
  measured("rebalance: requests without a failure", report()?.requests ?? 0, { unit: "requests" });
}, 400_000);
