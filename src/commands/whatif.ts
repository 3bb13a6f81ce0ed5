import { defineCommand } from "citty";
import type { Config } from "../config/schema.ts";
import type { Documents } from "../documents.ts";
import { expandHostList } from "../domain/hostlist.ts";
import { payloadOf } from "../domain/load.ts";
import { nearest } from "../domain/nearest.ts";
import type { Carrier, Part } from "../domain/redundancy.ts";
import { UsageError } from "../errors.ts";
import { isRoot, thisNode } from "../node/node.ts";
import { clusterNow, type Redundancy, redundancyOf } from "../node/redundancy.ts";
import { lookAt } from "../node/sight.ts";
import { requireConfig } from "../node/status.ts";
import { type Output, output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";
import { table } from "../ui/table.ts";

/** An answer takes some milliseconds; a node that takes longer is not well. */
const ASK_MS = 1500;

export default defineCommand({
  meta: { name: "whatif", description: "Tell whether the other nodes carry the load if some are down" },
  args: {
    ...globalArgs,
    down: {
      type: "string",
      valueHint: "NODE,RGW:PORT,...",
      description: "Nodes and RGWs that are down; without it, each node in turn",
    },
  },
  async run({ args }) {
    const sight = lookAt({ ...(await thisNode()), isRoot: isRoot() });
    const { config } = await requireConfig(sight);
    const words = args.down === undefined ? [] : expandHostList(args.down);
    const rgws = rgwsOf(config);
    const rgwsDown = words.filter((word) => rgws.includes(word));
    const cluster = await clusterNow(sight, { timeoutMs: ASK_MS, rgwsDown });
    const down = words.filter((word) => !rgws.includes(word)).map((word) => nodeOf(cluster.carriers, word, rgws));
    const answer = redundancyOf(cluster, down, rgwsDown);
    const out = output(args);
    await out.result(answer satisfies Documents["whatif"], () => out.fit(whatifText(answer, out)));
    if (!isCarried(answer)) process.exitCode = 1;
  },
});

const rgwsOf = ({ backends }: Config): readonly string[] => [
  ...new Set(backends.flatMap(({ servers }) => servers.map(({ host, port }) => `${host}:${port}`))),
];

/** A node by its name or address. Throws a UsageError for any other word. */
function nodeOf(carriers: readonly Carrier[], word: string, rgws: readonly string[]): string {
  const found = carriers.find(({ node, address }) => node === word || address === word);
  if (found !== undefined) return found.node;
  const names = [...carriers.map(({ node }) => node), ...rgws];
  const meant = nearest(word, names);
  throw new UsageError(
    `--down: '${word}' is neither a node nor an RGW of this cluster`,
    meant === undefined ? `its nodes: ${carriers.map(({ node }) => node).join(", ")}` : `did you mean ${meant}?`,
  );
}

/** With `--down`: whether the rest carries the load. Without: whether it does whichever node is down. */
const isCarried = ({ carries, each }: Redundancy): boolean =>
  carries === true && each.every((one) => one.carries === true);

/** Pure. */
export function whatifText(answer: Redundancy, { style }: Pick<Output, "style">): string {
  const { down, rgwsDown, remaining, unknown, each, carries } = answer;
  const resources = [...new Set(remaining.flatMap(({ parts }) => parts.map(({ resource }) => resource)))];
  const coloured = (percent: number, text: string) =>
    percent > 100 ? style.red(text) : percent > 80 ? style.yellow(text) : text;
  const rows = remaining.map(({ node, parts }) => [
    node,
    ...resources.map((resource) => {
      const part = parts.find((one) => one.resource === resource);
      return part === undefined ? "" : coloured(part.percent, partText(part));
    }),
  ]);
  const word = (is: boolean | null) =>
    is === null ? style.yellow("not known") : is ? style.green("carries it") : style.red("does not carry it");
  const gone = [...down, ...rgwsDown];
  const lines = [
    `${gone.length === 0 ? "now" : `without ${gone.join(", ")}`}: the rest ${word(carries)}`,
    ...each.map(
      ({ node, carries: is, highest }) =>
        `without ${node}: the rest ${word(is)}${highest === null ? "" : `, ${highest} % at most`}`,
    ),
    spareText(answer, style),
    ...answer.spareRgws.map(({ group, up, spare }) =>
      spare === null ? `RGWs of ${group}: not known` : `RGWs of ${group}: ${spare} of ${up} may fail`,
    ),
    ...unknown.map((text) => `${style.yellow("!!")}  not known: ${text}`),
  ];
  return [
    ...(rows.length === 0 ? [] : [table(["node", ...resources], rows)]),
    lines.join("\n"),
    sourcesText(answer),
  ].join("\n\n");
}

function spareText({ spareNodes }: Redundancy, style: Output["style"]): string {
  if (spareNodes === null) return `N+1 now: ${style.yellow("not known")}`;
  if (spareNodes === 0) return `N+1 now: ${style.red("no")}, no node may fail`;
  const more = spareNodes === 1 ? "1 node may" : `${spareNodes} nodes may`;
  return `N+1 now: ${style.green("yes")}, ${more} fail, whichever`;
}

function partText({ resource, load, capacity, percent }: Part): string {
  return `${amount(resource, load)} of ${amount(resource, capacity)}${UNITS[resource] ?? ""} (${percent} %)`;
}

const UNITS: Readonly<Partial<Record<string, string>>> = { network: " MB/s", cpu: " CPUs" };

function amount(resource: Part["resource"], value: number): string {
  if (resource === "network") return (value / 1e6).toFixed(value < 1e8 ? 1 : 0);
  return resource === "cpu" ? (value / 1000).toFixed(2) : `${value}`;
}

/** Where the numbers come from, for each node. */
function sourcesText({ nodes }: Redundancy): string {
  const rows = nodes.map(({ node, up, minutes, capacity }) => {
    if (capacity === null) return [node, up ? "does not say" : "no answer", "", "", ""];
    const { mbit, said, mtu, clients, cpu } = capacity;
    const payload = payloadOf(capacity);
    const network =
      mbit === undefined || payload === undefined
        ? "not known: set capacity_gbit"
        : `${mbit / 1000} Gbit/s (${said}), MTU ${mtu}: ${(payload / 1e6).toFixed(1)} MB/s of payload`;
    return [
      node,
      up ? timeText(minutes) : `${timeText(minutes)}, out of traffic`,
      network,
      `${clients}`,
      cpu === undefined ? "" : `${cpu / 1000}`,
    ];
  });
  return table(["node", "measured, of 7 days", "network", "connections", "CPUs of HAProxy's unit"], rows);
}

const timeText = (minutes: number): string => (minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`);
