/** Whether running connections can be handed over, as far as this node can see. */
import { inSubnet } from "../domain/address.ts";
import { hasHandover, UNIT } from "../domain/units.ts";
import type { Sight } from "../node/sight.ts";
import { handoverPeers } from "../render/handover.ts";
import { nextRouter } from "../system/addresses.ts";
import { askArp } from "../system/arp.ts";
import { handoverRefusal } from "../system/handover.ts";
import { parseIpRoutes } from "../system/ip-json.ts";
import { isInstalled } from "../system/programs.ts";
import { readSysctl } from "../system/sysctl.ts";
import type { System } from "../system/system.ts";
import { fail, pass, skip, type Verdict, warn } from "./check.ts";

/** On a healthy segment, an ARP answer takes less than a millisecond. */
const ASK_MS = 500;

/** The first obstacle to the handover, the worst first. */
export async function checkHandover(sight: Sight): Promise<Verdict> {
  const { system, paths, isRoot } = sight;
  const config = await sight.config();
  if (!config || !paths) return skip("not configured");
  if (config.handover === "off") return skip("switched off");
  if (!hasHandover(config)) {
    return warn(
      "the other nodes are not known: a drain cuts transfers",
      "list all nodes under `nodes` in ober.yaml, then: ober apply",
    );
  }
  if ((await sight.unit(UNIT.handover)).active !== "active") return skip("ober-handover does not run");
  if (!isRoot) return skip("needs root");
  if (!(await isInstalled(system, "nft")))
    return warn("nft is not installed: a drain cuts transfers", "ober bootstrap");
  const [state, place] = await Promise.all([sight.handover(), sight.place()]);
  if (!state?.loaded) return whyMissing(system, paths.handoverRules);
  if (!place) return skip("not configured");
  const peers = handoverPeers(config, place);
  // The kernel is asked for the route only to a peer outside this machine's networks.
  const far = peers.filter((peer) => !place.networks.some((network) => inSubnet(peer, network)));
  const ways = await Promise.all(far.map(async (peer) => ({ peer, gateway: await nextRouter(system, peer) })));
  const routed = ways.filter(({ gateway }) => gateway !== undefined).map(({ peer }) => peer);
  if (routed.length > 0) {
    return fail(
      `${routed.join(", ")} is behind a router: connections are handed over on one segment only`,
      "correct `nodes` in ober.yaml, or `handover: off`",
    );
  }
  const strict = await isStrict(system, place.interface);
  if (strict) return warn(strict, `sysctl -w net.ipv4.conf.${place.interface}.rp_filter=2`);
  const { packets, flows } = state;
  if (packets.stranger > 0) {
    return warn(
      `${packets.stranger} packets came from a node that is not in this node's list`,
      "put the same ober.yaml on every node, then on each: ober apply",
    );
  }
  const answers = await askArp(place.interface, peers, ASK_MS);
  const silent = peers.filter((peer) => !answers.has(peer));
  const count = Object.values(flows).reduce((sum, number) => sum + number, 0);
  const text = `${peers.length} peers; ${count === 0 ? "idle" : `${count} connections on their way to one`}`;
  return silent.length === 0 ? pass(text) : warn(`${text}; no answer from ${silent.join(", ")}`, `ping ${silent[0]}`);
}

/** Why the table does not exist although its unit ran. */
async function whyMissing(system: System, rules: string): Promise<Verdict> {
  const refusal = await handoverRefusal(system, rules);
  return refusal === undefined
    ? fail("its table is gone: the ruleset was flushed", "systemctl restart ober-handover.service", [
        ["systemctl", "restart", UNIT.handover],
      ])
    : warn(
        `this kernel does not take the rules, a drain cuts transfers: ${refusal}`,
        "a kernel with nf_tables, nft_socket and nft_dup_ipv4",
      );
}

/** Peers forward packets of clients: a strict reverse-path filter drops them unless the route to the client uses the same interface. */
async function isStrict(system: System, link: string): Promise<string | undefined> {
  const values = await Promise.all(["all", link].map((name) => readSysctl(system, `net.ipv4.conf.${name}.rp_filter`)));
  const routes = (await system.run(["ip", "-json", "route", "show", "default"], { accept: [0, 1, 2] })).stdout;
  const ways = parseIpRoutes(routes).map(({ dev }) => dev);
  if (Math.max(...values.map(Number)) !== 1 || ways.every((dev) => dev === link)) return undefined;
  return `rp_filter is strict on ${link} and clients are reached by ${ways.join(", ")}: packets from peers are dropped`;
}
