/** Canary addresses: faults between the nodes and the router that leave every check good are named, by the node itself and by the others. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { CanaryState } from "../../src/health/state.ts";
import type { LabNode } from "../lab/lab.ts";
import { cutCable, mendCable } from "../lab/network.ts";
import { ober } from "../lab/ober.ts";
import { SHARED_DIRECTORY } from "../lab/places.ts";
import { until } from "../lab/process.ts";
import { birdc } from "../lab/router.ts";
import { type Cluster, measured, PATIENCE, ROUNDS, runningCluster } from "./_cluster.ts";

/** Inside the network that the lab's router takes. The second node's address is the third, without the first of the network. */
const CANARY = "10.99.0.0/28";
const ADDRESS = "10.99.0.2";
const NAMED_MS = 15_000 * PATIENCE;
const ROUTER_FILE = join(SHARED_DIRECTORY, "bird.conf");

describe("nodes with canary addresses", () => {
  let cluster: Cluster;
  let good = "";
  const [first, faulty] = [() => cluster.nodes[0] as LabNode, () => cluster.nodes[1] as LabNode];

  beforeAll(async () => {
    cluster = await runningCluster({ canary: CANARY });
    good = await Bun.file(ROUTER_FILE).text();
    await allGood();
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  const canaryOf = async (node: LabNode): Promise<CanaryState | undefined> =>
    JSON.parse((await node.exec(["cat", "/run/ober-bgp/health.json"])).stdout).canary;
  const allGood = () =>
    until(
      "every node fetches the canaries of the others",
      async () => {
        const states = await Promise.all(cluster.nodes.map(canaryOf));
        const isWhole = (sightings: CanaryState["seenBy"] = []) =>
          sightings.length === cluster.nodes.length - 1 && sightings.every(({ ok }) => ok);
        return states.every((state) => isWhole(state?.seen) && isWhole(state?.seenBy));
      },
      60_000,
    );

  const bird = async (text: string) => {
    await Bun.write(ROUTER_FILE, text);
    expect(await birdc("configure")).toContain("Reconfigur");
  };
  const filtered = (rule: string) => bird(good.replace("filter vips {", `filter vips {\n  ${rule}`));
  const asMended = () => bird(good);

  type Fault = { readonly cause: () => Promise<unknown>; readonly mend: () => Promise<unknown>; readonly own: boolean };
  const FAULTS: Readonly<Record<string, Fault>> = {
    "a prefix filter on the router": {
      cause: () => filtered(`if net = ${ADDRESS}/32 then reject;`),
      mend: asMended,
      own: true,
    },
    "a wrong next hop on the router": {
      cause: () => filtered(`if net = ${ADDRESS}/32 then { gw = 10.77.0.99; accept; }`),
      mend: asMended,
      own: true,
    },
    "a reverse path filter on the node": {
      cause: async () => {
        await faulty().exec(["ip", "link", "add", "rp0", "type", "veth", "peer", "name", "rp1"]);
        for (const link of ["rp0", "rp1"]) await faulty().exec(["ip", "link", "set", link, "up"]);
        await faulty().exec(["sysctl", "-q", "-w", "net.ipv4.conf.eth0.rp_filter=1"]);
        await faulty().exec(["ip", "route", "add", CANARY, "dev", "rp0"]);
      },
      mend: async () => {
        await faulty().exec(["ip", "link", "delete", "rp0"]);
        await faulty().exec(["sysctl", "-q", "-w", "net.ipv4.conf.eth0.rp_filter=0"]);
      },
      own: true,
    },
    "a dead link": { cause: () => cutCable(faulty().name), mend: () => mendCable(faulty().name), own: false },
  };
  const names = ROUNDS > 1 ? Object.keys(FAULTS) : Object.keys(FAULTS).slice(0, 2);

  test.each(names)(
    "name %s within 15 s",
    async (name) => {
      const { cause, mend, own } = FAULTS[name] as Fault;
      await cause();
      const from = performance.now();
      try {
        const isNamed = async () => {
          const { seen = [] } = (await canaryOf(first())) ?? {};
          return seen.some((one) => one.node === faulty().address && !one.ok);
        };
        await until(`another node names ${name}`, isNamed, NAMED_MS);
        const others = performance.now() - from;
        if (own) {
          const isOwn = async () => {
            const { seenBy = [] } = (await canaryOf(faulty())) ?? {};
            return seenBy.length > 0 && seenBy.every(({ ok }) => !ok);
          };
          await until(`the node itself names ${name}`, isOwn, NAMED_MS);
          measured(`canary: ${name} named by the node itself`, performance.now() - from);
          const { stdout } = await ober(faulty(), ["why"], { accept: [0, 1] });
          expect(stdout).toContain(`cannot fetch this node's canary ${ADDRESS}`);
        }
        measured(`canary: ${name} named by another node`, others);
        const { stdout } = await ober(first(), ["status"], { accept: [0, 1] });
        expect(stdout).toContain(`the canary ${ADDRESS} of ${faulty().address} cannot be fetched`);
      } finally {
        await mend();
      }
      await allGood();
    },
    120_000,
  );
});
