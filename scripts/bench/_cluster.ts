/** Three nodes that serve, in the lab that `scripts/lab up` has brought up, before backends that know every byte. */
import { CLUSTER_NODES, makeServe } from "../../test/e2e/_cluster.ts";
import { attach } from "../../test/lab/lab.ts";
import { addressesOn } from "../../test/lab/network.ts";
import { oberYaml, prepareClients, vrrpYaml, waitForNextHops } from "../../test/lab/ober.ts";
import { SEGMENT_VIPS } from "../../test/lab/places.ts";
import { until } from "../../test/lab/process.ts";
import { BACKEND_PORT } from "../../test/lab/storage.ts";

export async function benchCluster(mode: "bgp" | "keepalived", handover: "always" | "off") {
  const lab = attach();
  const nodes = CLUSTER_NODES.map((name) => lab.node(name));
  for (const index of [1, 2, 3]) if (!(`backend${index}` in lab.services())) await lab.startBackend(index);
  const options = { handover, servers: `rgw[1-3]:${BACKEND_PORT}` } as const;
  // The load comes from few addresses.
  const yaml = `max_connections_per_client: 0\n${(mode === "bgp" ? oberYaml : vrrpYaml)(CLUSTER_NODES, options)}`;
  /** Every node is in the router's route, or has one of the VIPs. */
  const settled = async () => {
    if (mode === "bgp") return void (await waitForNextHops(nodes, 60_000));
    const places = async () => (await Promise.all(nodes.map(({ name }) => addressesOn(name)))).map(vipsAmong);
    await until("each node has a VIP", async () => (await places()).every((vips) => vips.length === 1), 30_000, 100);
  };
  await Promise.all(nodes.map((node) => makeServe(node, "trixie", yaml)));
  await settled();
  await prepareClients();
  return { lab, nodes, yaml, settled };
}

function vipsAmong(addresses: readonly string[]): readonly string[] {
  return addresses.filter((address) => (SEGMENT_VIPS as readonly string[]).includes(address));
}
