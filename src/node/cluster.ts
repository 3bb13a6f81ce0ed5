import { hostname } from "node:os";
import {
  askCluster,
  askPeers,
  clusterMembers,
  type Drift,
  driftOf,
  ownMember,
  type PeerStatus,
} from "../checks/peers.ts";
import type { Config } from "../config/schema.ts";
import { age } from "../domain/age.ts";
import { several } from "../domain/foreign.ts";
import { EVERY_VIP } from "../domain/serves.ts";
import { OberError, orUndefined } from "../errors.ts";
import type { Style } from "../ui/output.ts";
import { table } from "../ui/table.ts";
import { isRoot, type Node } from "./node.ts";
import { lookAt, type Unanswered, unansweredText } from "./sight.ts";
import { requireConfig } from "./status.ts";
import type { Instead } from "./working-config.ts";
import { insteadFix, insteadText } from "./working-config.ts";

/** Every node as it describes itself. This is the document of `status --all --json`: its keys are stable. */
export type ClusterStatus = {
  readonly nodes: readonly PeerStatus[];
  /** VIPs that no node serves: clients get no answer there. */
  readonly unserved: readonly string[];
  readonly drift: readonly Drift[];
  /** What replaces an ober.yaml that cannot be used; absent if ober.yaml is usable. */
  readonly instead?: Instead;
  /** Why this node could not determine its own identity; the other nodes are shown anyway. */
  readonly unanswered: readonly Unanswered[];
};

/** An answer takes some milliseconds; a node that takes longer is not well. */
const ASK_MS = 1500;

/** HAProxy does not know what the node serves until a second or two after a start or reload. */
const SETTLE_MS = 2_000;
const isFresh = ({ serves, announces, leaving, since }: PeerStatus): boolean =>
  serves && !leaving && announces.length === 0 && Date.now() - Date.parse(since ?? "") < 5 * SETTLE_MS;

/** Asks every node, with `ask`. Throws an OberError if `ober.yaml` names no other node. */
export async function clusterStatus(node: Node, ask = askPeers): Promise<ClusterStatus> {
  const sight = lookAt({ ...node, isRoot: isRoot() });
  const { config, instead } = await requireConfig(sight);
  const place = await orUndefined(sight.place);
  // HAProxy of this node has its identity from its configuration.
  const own = ownMember();
  const address = place?.address ?? (await askCluster(own, config.stats_port, ASK_MS))?.address ?? own.address;
  const members = clusterMembers(config, { resolved: {}, ...place, hostname: hostname(), address });
  if (members.length < 2) {
    throw new OberError("ober.yaml names no other node", { hint: "list all of them under `nodes`, then ober apply" });
  }
  let nodes = await ask(members, config, ASK_MS);
  if (nodes.some(isFresh)) {
    await node.system.clock.sleep(SETTLE_MS);
    nodes = await ask(members, config, ASK_MS);
  }
  const drift = driftOf(nodes);
  const unserved = unservedVips(config, nodes);
  return { nodes, unserved, drift, ...(instead === undefined ? {} : { instead }), unanswered: sight.unanswered() };
}

/** VIPs that no node announces or stands by for. A node that leaves traffic does neither. Pure. */
function unservedVips({ vips }: Pick<Config, "vips">, nodes: readonly PeerStatus[]): readonly string[] {
  const announced = new Set(nodes.flatMap(({ announces }) => announces));
  return announced.has(EVERY_VIP) ? [] : vips.map(({ address }) => address).filter((vip) => !announced.has(vip));
}

/** Whether clients reach every node that is not leaving traffic. Decides the exit code. */
export const isClusterWell = ({ nodes, unanswered, unserved }: ClusterStatus): boolean =>
  unanswered.length === 0 &&
  unserved.length === 0 &&
  nodes.every(({ serves, announces, leaving }) => leaving === true || (serves && announces.length > 0));

export function clusterText(
  { nodes, unserved, drift, unanswered, instead }: ClusterStatus,
  { style }: { readonly style: Style },
  now: Date,
): string {
  const groups = [...new Set(nodes.flatMap(({ backends }) => backends.map(({ name }) => name)))];
  const rows = nodes.map((node) => [
    node.own ? style.bold(node.node) : node.node,
    stateWord(node, style),
    node.since === undefined ? "" : age(now.getTime() - Date.parse(node.since)),
    `${node.inFlight ?? ""}`,
    ...groups.map((group) => {
      const found = node.backends.find(({ name }) => name === group);
      if (found === undefined) return "";
      const more = [found.busy > 0 ? `${found.busy} busy` : "", found.drained > 0 ? `${found.drained} drained` : ""];
      const text = [`${found.up} of ${found.servers}`, ...more.filter((part) => part)].join(", ");
      return found.up === found.servers && found.busy === 0
        ? text
        : found.up === 0
          ? style.red(text)
          : style.yellow(text);
    }),
    node.ober ?? "",
    node.haproxy ?? "",
  ]);
  const lines = [
    ...(unserved.length === 0
      ? []
      : [line(style.red("XX"), `no node serves ${several(unserved, NAMED)}`, "ober why on any node", style)]),
    ...(instead === undefined
      ? []
      : [line(style.red("XX"), `this node: ${insteadText(instead)}`, insteadFix(instead), style)]),
    ...unanswered.map((one) => line(style.yellow("!!"), `this node: ${unansweredText(one)}`, "ober doctor", style)),
    ...nodes.flatMap(({ node, reason, fix, answers }) =>
      reason === undefined
        ? []
        : [line(answers ? style.yellow("!!") : style.red("XX"), `${node}: ${reason}`, fix, style)],
    ),
    ...drift.map(({ node, text, fix }) => line(style.yellow("!!"), `${node}: ${text}`, fix, style)),
  ];
  const heading = ["node", "state", "up", "in flight", ...groups.map((group) => `rgw ${group}`), "ober", "HAProxy"];
  const all =
    nodes.every(({ answers }) => answers) &&
    unserved.length === 0 &&
    drift.length + unanswered.length === 0 &&
    instead === undefined;
  return [
    table(heading, rows),
    ...(lines.length > 0 ? [lines.join("\n")] : []),
    ...(all ? ["all nodes are alike"] : []),
  ].join("\n\n");
}

/** Longer lists are shown as a number. */
const NAMED = 4;

const line = (sign: string, text: string, fix: string | undefined, style: Style) =>
  `${sign}  ${text}${fix === undefined ? "" : `\n    ${style.cyan("fix:")} ${fix}`}`;

function stateWord({ answers, serves, announces, leaving }: PeerStatus, style: Style): string {
  if (!answers) return style.red("no answer");
  if (leaving) return style.yellow("leaving");
  if (!serves) return style.red("cannot serve");
  return announces.length > 0 ? style.green("serves") : style.red("not reached");
}
