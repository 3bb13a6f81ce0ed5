/**
 * A day of maintenance on every node in turn, under load from four clients that must not notice it:
 * `bun scripts/bench/day-two.ts [--mode bgp|keepalived] [--rounds N] [--only drain,restart,apply,upgrade,reboot]`.
 * Runs in the lab that `scripts/lab up` has brought up (OBER_LAB_NAME), with the built executable. The clients begin `--short`
 * requests a second on new connections and about as many on kept ones, carry `--transfers` long ones, and one upload of 1 GB
 * after the other, so that one is under way whenever something is changed. Ends with 1 when a request failed.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measured } from "../../test/e2e/_cluster.ts";
import type { LabNode } from "../../test/lab/lab.ts";
import { ober, PREFIX_ON_NODE } from "../../test/lab/ober.ts";
import { SEGMENT_VIPS, VIP } from "../../test/lab/places.ts";
import { until } from "../../test/lab/process.ts";
import { publish } from "../../test/lab/publish.ts";
import { now, watchRoute } from "../../test/lab/route-watch.ts";
import type { TransferRecord } from "../../test/lab/transfer-client.ts";
import { failures, startTransfers } from "../../test/lab/transfers.ts";
import { benchCluster } from "./_cluster.ts";

const EVENTS: Readonly<Record<string, (node: LabNode) => Promise<void>>> = { drain, restart, apply, upgrade, reboot };
const CLIENTS = 4;
const KEPT_PAUSE_MS = 500;

const { values } = parseArgs({
  options: {
    only: { type: "string", default: Object.keys(EVENTS).join(",") },
    mode: { type: "string", default: "bgp" },
    rounds: { type: "string", default: "1" },
    short: { type: "string", default: "60" },
    transfers: { type: "string", default: "24" },
  },
});
const bgp = values.mode === "bgp";
const events = values.only.split(",").map((name) => {
  const bringAbout = EVENTS[name];
  if (bringAbout === undefined) throw new Error(`--only does not know ${name}`);
  return { name, bringAbout };
});
const { nodes, yaml, settled } = await benchCluster(bgp ? "bgp" : "keepalived", "always");

const clients = Array.from({ length: CLIENTS }, (_, index) =>
  startTransfers(bgp ? "client" : "neighbour", {
    addresses: bgp ? [VIP] : SEGMENT_VIPS,
    inFlight: Math.ceil(Number(values.transfers) / CLIENTS),
    seconds: [2, 10],
    shortPerSecond: Number(values.short) / CLIENTS,
    kept: Math.ceil((Number(values.short) * KEPT_PAUSE_MS) / 1000 / CLIENTS),
    keptPauseMs: KEPT_PAUSE_MS,
    // Forty seconds or more each: a node waits at most so long for it when it is drained.
    large: index === 0 ? { bytes: 1e9, bytesPerSecond: 25e6 } : { bytes: 0, bytesPerSecond: 0 },
  }),
);
const records = () => clients.flatMap((client) => client.records());
for (const client of clients) if (!(await client.flow(50, 0, 60_000))) throw new Error("nothing flows");

// Says beside each failure what the router had just done.
const route = await watchRoute(VIP);

for (let round = 0; round < Number(values.rounds); round++) {
  for (const { name, bringAbout } of events) {
    const begin = now();
    for (const node of nodes) {
      await bringAbout(node);
      await settled();
    }
    await tell(`${values.mode}, ${name} of each node in turn`, begin, { round });
  }
}
const all = (await Promise.all(clients.map((client) => client.stop()))).flat();
const { failed, of, errors } = failures(all);
measured(`day two, ${values.mode}: failed in all`, failed, { unit: "requests", of, rounds: values.rounds, errors });
console.log(`${values.mode}: ${failed} of ${of} failed ${JSON.stringify({ ...errors, ...countsOf(all) })}`);
process.exit(failed === 0 ? 0 : 1);

async function tell(what: string, begin: number, details: { readonly round: number }): Promise<void> {
  const seconds = Math.round((now() - begin) / 1000);
  // What was in flight at the end belongs to the next event; it begins with nothing that fails later unseen.
  const since = records().filter(({ end }) => end >= begin);
  const { failed, of, errors } = failures(since);
  measured(`day two, ${what}: failed`, failed, {
    unit: "requests",
    of,
    seconds,
    errors,
    ...countsOf(since),
    ...details,
  });
  console.log(`${what}, ${seconds} s: ${failed} of ${of} failed ${JSON.stringify(errors)}`);
  for (const { begin: at, end, kind, address, error } of since.filter(({ ok }) => !ok).slice(0, 5)) {
    console.log(`  ${kind} to ${address}, ${new Date(at).toISOString()} to ${new Date(end).toISOString()}: ${error}`);
    const states = route.states().filter((state) => state.at > at - 5_000 && state.at < end + 1_000);
    for (const state of states) console.log(`    ${new Date(state.at).toISOString()} ${state.nextHops.join(" ")}`);
  }
}

function countsOf(records: readonly TransferRecord[]) {
  const kinds = new Map<string, number>();
  for (const { kind } of records) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  return { kinds: Object.fromEntries(kinds) };
}

async function drain(node: LabNode): Promise<void> {
  await ober(node, ["drain", "--wait"]);
  await ober(node, ["undrain"]);
}

async function restart(node: LabNode): Promise<void> {
  await ober(node, ["restart"]);
}

/** HAProxy reloads: the interval of its health checks is another one, and the next time the old one again. */
async function apply(node: LabNode): Promise<void> {
  const file = join(node.root, PREFIX_ON_NODE, "etc/ober.yaml");
  const changed = `${yaml}    health_check_interval: 900\n`;
  await Bun.write(file, (await Bun.file(file).text()) === changed ? yaml : changed);
  await ober(node, ["apply", "--yes"]);
}

async function upgrade(node: LabNode): Promise<void> {
  await publish(node, `9.1.${Math.round(Date.now() / 1000)}`);
  const { stdout } = await ober(node, ["upgrade", "--yes"], { timeoutMs: 600_000 });
  if (!stdout.includes("haproxy")) throw new Error(`${node.name} upgraded nothing: ${stdout}`);
}

/** The machine goes down in order when nothing is in flight on it any more, comes back drained, and is taken back. */
async function reboot(node: LabNode): Promise<void> {
  await ober(node, ["drain", "--wait"]);
  await node.exec(["systemctl", "--no-block", "poweroff"]);
  const isGone = () =>
    node.exec(["true"]).then(
      () => false,
      () => true,
    );
  await until(`${node.name} is down`, isGone, 120_000, 200);
  await node.powerOff();
  await node.boot();
  await ober(node, ["undrain"]);
}
