import { hostname } from "node:os";
import { askCluster, askPeers, clusterMembers, type Drift, driftOf, type PeerStatus } from "../checks/peers.ts";
import { age } from "../domain/age.ts";
import { OberError } from "../errors.ts";
import { impatient } from "../system/impatient.ts";
import type { Output } from "../ui/output.ts";
import { table } from "../ui/table.ts";
import { gatherPlace } from "./facts.ts";
import { currentConfig, type Node } from "./node.ts";
import { PROGRAM_MS, sight, type Unanswered, unansweredText } from "./sight.ts";

/** Every node as it says of itself; the document of `status --all --json`, so its keys are a promise. */
export type ClusterStatus = {
  readonly nodes: readonly PeerStatus[];
  readonly drift: readonly Drift[];
  /** Why this node could not find out who it is; the others are shown all the same. */
  readonly unanswered: readonly Unanswered[];
};

/** An answer takes some milliseconds; a node that takes longer is not well. */
const ASK_MS = 1500;

/** Asks every node. Throws an OberError where `ober.yaml` names no other. */
export async function clusterStatus(node: Node): Promise<ClusterStatus> {
  const { config } = await currentConfig(node);
  const { ask, unanswered } = sight();
  const system = impatient(node.system, PROGRAM_MS);
  const place = await ask("addresses", () => gatherPlace({ ...node, system }, config), undefined);
  // Its HAProxy has been told who it is.
  const own = { node: hostname(), address: "127.0.0.1", own: true };
  const address = place?.address ?? (await askCluster(own, config.stats_port, ASK_MS))?.address ?? own.address;
  const members = clusterMembers(config, { resolved: {}, ...place, hostname: hostname(), address });
  if (members.length < 2) {
    throw new OberError("ober.yaml names no other node", { hint: "list all of them under `nodes`, then ober apply" });
  }
  const nodes = await askPeers(members, config, ASK_MS);
  return { nodes, drift: driftOf(nodes), unanswered: unanswered() };
}

export function clusterText(
  { nodes, drift, unanswered }: ClusterStatus,
  { style }: Pick<Output, "style">,
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
    ...unanswered.map((one) => line(style.yellow("!!"), `this node: ${unansweredText(one)}`, "ober doctor", style)),
    ...nodes.flatMap(({ node, reason, fix, answers }) =>
      reason === undefined
        ? []
        : [line(answers ? style.yellow("!!") : style.red("XX"), `${node}: ${reason}`, fix, style)],
    ),
    ...drift.map(({ node, text, fix }) => line(style.yellow("!!"), `${node}: ${text}`, fix, style)),
  ];
  const heading = ["node", "state", "up", "in flight", ...groups.map((group) => `rgw ${group}`), "ober", "HAProxy"];
  const all = nodes.every(({ answers }) => answers) && drift.length + unanswered.length === 0;
  return [
    table(heading, rows),
    ...(lines.length > 0 ? [lines.join("\n")] : []),
    ...(all ? ["all nodes are alike"] : []),
  ].join("\n\n");
}

const line = (sign: string, text: string, fix: string | undefined, style: Output["style"]) =>
  `${sign}  ${text}${fix === undefined ? "" : `\n    ${style.cyan("fix:")} ${fix}`}`;

function stateWord({ answers, serves, leaving }: PeerStatus, style: Output["style"]): string {
  if (!answers) return style.red("no answer");
  if (leaving) return style.yellow("leaving");
  return serves ? style.green("serves") : style.red("cannot serve");
}
