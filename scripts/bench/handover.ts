/**
 * Measures what happens to running transfers when nodes leave, return, die, or are flooded:
 * `bun scripts/bench/handover.ts --only drain|rolling|two|power|flood|large [--mode bgp|keepalived] [--rounds N] [--without]`.
 * Runs in the lab that `scripts/lab up` has brought up (OBER_LAB_NAME), with the built executable; `--without` switches the
 * handover off. `--transfers N` are kept in flight (half uploads, 5 to 60 s each), with `--short N` new short connections a second.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measured } from "../../test/e2e/_cluster.ts";
import type { LabNode } from "../../test/lab/lab.ts";
import { inNamespace } from "../../test/lab/network.ts";
import { ober } from "../../test/lab/ober.ts";
import type { PacketPlan } from "../../test/lab/packet-client.ts";
import { CLIENT, SEGMENT_VIPS, VIP, VIP_NAME } from "../../test/lab/places.ts";
import { run, until } from "../../test/lab/process.ts";
import { now } from "../../test/lab/route-watch.ts";
import { failures, startTransfers } from "../../test/lab/transfers.ts";
import { benchCluster } from "./_cluster.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "drain" },
    mode: { type: "string", default: "bgp" },
    rounds: { type: "string", default: "1" },
    transfers: { type: "string", default: "400" },
    short: { type: "string", default: "50" },
    longest: { type: "string", default: "60" },
    without: { type: "boolean", default: false },
  },
});
const bgp = values.mode === "bgp";
const handover = values.without ? "off" : "always";
const rounds = Number(values.rounds);
/** Bytes of the one large upload. */
const LARGE = 20e9;
const name = `${values.mode}, ${values.only}, handover ${values.without ? "off" : "on"}`;

const { lab, nodes, settled } = await benchCluster(bgp ? "bgp" : "keepalived", handover);

if (values.only === "large") await large();
else await underTransfers();
process.exit(0);

async function underTransfers(): Promise<void> {
  const events: Record<string, (round: number) => Promise<void>> = { drain, rolling, two, power, flood };
  const event = events[values.only];
  if (!event) throw new Error(`--only does not know ${values.only}`);
  const transfers = startTransfers(bgp ? "client" : "neighbour", {
    addresses: bgp ? [VIP] : SEGMENT_VIPS,
    inFlight: Number(values.transfers),
    shortPerSecond: Number(values.short),
    seconds: [5, Number(values.longest)],
  });
  if (!(await transfers.flow(Number(values.transfers) / 2, 0, 120_000))) throw new Error("nothing flows");
  for (let round = 0; round < rounds; round++) {
    const begin = now();
    await event(round);
    await transfers.flow(200, now(), 30_000);
    const { failed, of, errors } = failures(transfers.records().filter(({ end }) => end >= begin));
    measured(`${name}: failed in a round`, failed, { unit: "transfers", round, of, errors });
    console.log(`${name}, round ${round + 1}: ${failed} of ${of} failed ${JSON.stringify(errors)}`);
  }
  const all = failures(await transfers.stop());
  measured(`${name}: failed in all`, all.failed, { unit: "transfers", of: all.of, rounds, errors: all.errors });
  console.log(`${name}: ${all.failed} of ${all.of} failed ${JSON.stringify(all.errors)}`);
}

/** A node is drained, taken back, stopped and started. */
async function drain(round: number): Promise<void> {
  const node = nodes[round % nodes.length] as LabNode;
  await ober(node, ["drain"]);
  await Bun.sleep(5_000);
  await ober(node, ["undrain"]);
  await settled();
  console.log(`${node.name}: ${(await ober(node, ["stop"])).stdout.trim()}`);
  await ober(node, ["start"]);
  await settled();
}

async function rolling(): Promise<void> {
  for (const node of nodes) {
    await ober(node, ["restart"]);
    await settled();
  }
}

async function two(): Promise<void> {
  const [, ...both] = nodes;
  await Promise.all(both.map((node) => ober(node, ["drain", "--wait"])));
  await Promise.all(both.map((node) => ober(node, ["undrain"])));
  await settled();
}

async function power(round: number): Promise<void> {
  const node = nodes[round % nodes.length] as LabNode;
  const { inFlight } = JSON.parse((await ober(node, ["status", "--json"])).stdout) as { inFlight: number };
  console.log(`the node has ${inFlight} requests in flight`);
  await node.powerOff();
  await Bun.sleep(35_000);
  await node.boot();
  await settled();
}

/** Stray packets at 50,000 a second for ten seconds. */
async function flood(): Promise<void> {
  const plan: PacketPlan = { from: CLIENT.address, to: VIP, flood: { perSecond: 50_000, seconds: 10 } };
  const program = join(import.meta.dir, "../../test/lab/packet-client.ts");
  const before = await asked();
  const { stdout } = await run(inNamespace("client", [process.execPath, program, JSON.stringify(plan)]));
  console.log(`${stdout.trim()} stray packets sent; ${(await asked()) - before} shown to the peers`);
}

async function asked(): Promise<number> {
  const said = await Promise.all(nodes.map((node) => ober(node, ["status", "--json"], { accept: [0, 1] })));
  return said.reduce((sum, { stdout }) => sum + (JSON.parse(stdout).handover?.packets.asked ?? 0), 0);
}

/** One large upload at full speed, straight and through another node. */
async function large(): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const moved of [false, true]) {
      const curl = `head -c ${LARGE} /dev/zero | curl -sS --cacert /lab/ca.pem -T - -w '%{http_code} %{time_total}' https://${VIP_NAME}/x`;
      const upload = lab.client(["sh", "-c", curl], { timeoutMs: 300_000 });
      const owner = await until("a node has the upload", ownerOfUpload, 20_000, 50);
      if (moved) await ober(owner, ["drain"]);
      const [, code = "", seconds = ""] = /(\d+) ([\d.]+)$/.exec((await upload).stdout) ?? [];
      if (code !== "200") throw new Error(`the upload ended with ${code}`);
      measured(`${name}: ${moved ? "handed over" : "straight"}`, LARGE / Number(seconds) / 1e6, {
        unit: "MB/s",
        round,
      });
      console.log(`${moved ? "handed over" : "straight"}: ${Math.round(LARGE / Number(seconds) / 1e6)} MB/s`);
      if (moved) await ober(owner, ["undrain"]);
      await settled();
    }
  }
}

async function ownerOfUpload(): Promise<LabNode | undefined> {
  for (const node of nodes) {
    const { inFlight } = JSON.parse((await ober(node, ["status", "--json"])).stdout) as { inFlight: number };
    if (inFlight > 0) return node;
  }
  return undefined;
}
