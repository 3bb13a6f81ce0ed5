import { assets } from "../assets.ts";
import type { Config } from "../config/schema.ts";
import { familyOf, parseAddress } from "../domain/address.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { nodeAddresses } from "../domain/nodes.ts";
import type { Paths } from "../domain/paths.ts";
import { OberError } from "../errors.ts";
import type { RenderedFile } from "./file.ts";
import { fill } from "./template.ts";

/** How many nodes fit into the seven bits that identify the asking node. */
const MOST_NODES = 127;
const ANSWER = 0x80;

/** The nftables table that forwards packets of running connections to the node that has the connection. */
export function renderHandover(config: Config, facts: NodeFacts, paths: Paths): RenderedFile {
  const codes = handoverCodes([...handoverPeers(config, facts), facts.address]);
  const own = codes.get(facts.address) ?? 0;
  const peers = [...codes].filter(([address]) => address !== facts.address);
  const lines = (text: (code: number, address: string) => string) =>
    peers.map(([address, code]) => `    ${text(code, address)}`).join("\n");
  const content = fill(assets.handoverRules, {
    config: paths.config,
    vips: config.vips.map(({ address }) => address).join(", "),
    flow: FLOW,
    backFlow: "ip daddr . tcp dport . ip saddr . tcp sport",
    ownAsk: upperByte(own),
    toPeers: peers.map(([address]) => ` dup to ${address}`).join(""),
    answers: lines(
      (code, address) =>
        `ip id & 0xff00 == ${upperByte(code | ANSWER)} ${FLOW} @asked update @owner { ${FLOW} : ${address} } delete @asked { ${FLOW} } delete @grace { ${FLOW} } delete @silent { ${FLOW} } drop`,
    ),
    questions: lines(
      (code, address) =>
        `ip id & 0xff00 == ${upperByte(code)} ip ttl set 2 ip id set ${upperByte(own | ANSWER)} dup to ${address} accept`,
    ),
  });
  const file = { path: paths.handoverRules, content, mode: 0o644 };
  return config.handover === "always" ? file : { ...file, optional: true };
}

const FLOW = "ip saddr . tcp sport . ip daddr . tcp dport";

/**
 * Addresses of the other nodes that may have connections: `nodes`, or in keepalived mode the peers if `nodes` is empty.
 * Throws an OberError for a node without an IPv4 address.
 */
export function handoverPeers(
  config: Pick<Config, "ha_mode" | "nodes" | "keepalived">,
  facts: Pick<NodeFacts, "address" | "resolved">,
): readonly string[] {
  const listed = config.nodes.length === 0 && config.ha_mode === "keepalived" ? config.keepalived.peers : config.nodes;
  const peers = nodeAddresses(listed, facts).filter((node) => node !== facts.address);
  const strange = [facts.address, ...peers].find((node) => familyOf(node) !== 4);
  if (strange === undefined) return peers;
  throw new OberError(`the node ${strange} has no IPv4 address, so connections cannot be handed over to it`, {
    hint: "give it one, or disable the handover: `handover: off`",
  });
}

/**
 * Numbers of the nodes, 1 to 127: the last byte of the address without its first bit, or the next free number if that is 0 or taken. So the
 * nodes mostly agree even while only some of them know a new one.
 */
export function handoverCodes(nodes: readonly string[]): ReadonlyMap<string, number> {
  const numberOf = (node: string) => parseAddress(node)?.value ?? 0n;
  const sorted = [...new Set(nodes)].sort((a, b) => (numberOf(a) < numberOf(b) ? -1 : 1));
  if (sorted.length > MOST_NODES) {
    throw new OberError(`there are ${sorted.length} nodes; the connection handover supports ${MOST_NODES}`, {
      hint: "disable the handover: `handover: off`",
    });
  }
  const taken = new Set<number>();
  return new Map(
    sorted.map((node) => {
      let code = Math.max(1, Number(numberOf(node) & 0x7fn));
      while (taken.has(code)) code = (code % MOST_NODES) + 1;
      taken.add(code);
      return [node, code] as const;
    }),
  );
}

/** A code in the upper byte of the IP identification; the lower byte counts the segments of a large packet. */
const upperByte = (code: number) => `0x${(code << 8).toString(16).padStart(4, "0")}`;
