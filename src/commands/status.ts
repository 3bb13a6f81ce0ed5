import { defineCommand } from "citty";
import { saturationState, saturationText } from "../checks/saturation.ts";
import type { VrrpView } from "../checks/vrrp.ts";
import type { Documents } from "../documents.ts";
import { age, toSecond } from "../domain/age.ts";
import { togetherInLines } from "../domain/names.ts";
import { clusterStatus, clusterText } from "../node/cluster.ts";
import { isRoot, type Node, thisNode } from "../node/node.ts";
import { type Question, unansweredText } from "../node/sight.ts";
import { type NodeStatus, nodeStatus, type ServerStatus } from "../node/status.ts";
import { type Rates, trafficText, withRates } from "../node/traffic.ts";
import { requireSystemd } from "../system/systemd.ts";
import { certificateLines } from "../ui/certificates.ts";
import { type Output, output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";
import { table } from "../ui/table.ts";

export default defineCommand({
  meta: { name: "status", description: "Show what this node serves and why" },
  args: {
    ...globalArgs,
    all: { type: "boolean", description: "Ask every node of the cluster, and show in what they differ" },
    watch: { type: "boolean", description: "Redraw every second until Ctrl-C" },
  },
  async run({ args }) {
    const node = await thisNode();
    await requireSystemd(node.system);
    const out = output(args);
    if (args.all) return showCluster(node, out, args.watch === true);
    const now = () => new Date();
    let rates: readonly Rates[] = [];
    let last: { readonly traffic: NodeStatus["traffic"]; readonly at: number } | undefined;
    while (args.watch && out.interactive) {
      const present = await nodeStatus(node);
      const at = performance.now();
      const { traffic } = present;
      rates = last ? withRates(rates, { before: last.traffic, now: traffic, seconds: (at - last.at) / 1000 }) : [];
      last = { traffic, at };
      const text = [...(rates.length > 0 ? [trafficText(rates)] : []), statusText(present, out, now())].join("\n\n");
      await out.redraw(out.fit(text));
      await Bun.sleep(1000);
    }
    const status = await nodeStatus(node);
    await out.result(status satisfies Documents["status"], () => out.fit(statusText(status, out, now())));
    const split = status.vrrp?.suspicions.some(({ certain }) => certain) === true;
    if (!status.healthy.ok || split) process.exitCode = 1;
  },
});

async function showCluster(node: Node, out: Output, watch: boolean): Promise<void> {
  while (watch && out.interactive) {
    await out.redraw(out.fit(clusterText(await clusterStatus(node), out, new Date())));
    await Bun.sleep(1000);
  }
  const cluster = await clusterStatus(node);
  await out.result(cluster satisfies Documents["status --all"], () => out.fit(clusterText(cluster, out, new Date())));
  const silent = cluster.nodes.some(({ serves, leaving }) => !serves && leaving !== true);
  if (silent || cluster.unanswered.length > 0) process.exitCode = 1;
}

const NOT_KNOWN = "not known";

/** The one screen. */
export function statusText(status: NodeStatus, { style }: Pick<Output, "style">, now: Date): string {
  const good = (ok: boolean, text: string) => (ok ? style.green(text) : style.red(text));
  const ago = (time: number | string | undefined) =>
    time === undefined ? "" : age(now.getTime() - new Date(time).getTime());
  const unknown = (question: Question) => status.unanswered.some((one) => one.question === question);
  const sections = [
    `${style.bold("node")}  ${good(status.healthy.ok, status.healthy.ok ? "healthy" : "not healthy")}: ${status.healthy.reason}${status.drained ? `, ${style.yellow("drained")}` : ""}${status.held ? `, ${style.yellow("held back")}` : ""}, ${status.transfers} in flight`,
    ...(status.unanswered.length === 0
      ? []
      : [status.unanswered.map((one) => `${style.yellow("!!")}  ${unansweredText(one)}`).join("\n")]),
    ...(status.units.length === 0
      ? []
      : [
          table(
            ["unit", "state", "since", "restarts"],
            status.units.map(({ name, active, sub, since, restarts }) => [
              name,
              good(active === "active", `${active} (${sub})`),
              ago(since),
              `${restarts}`,
            ]),
          ),
        ]),
    ...(status.vrrp ? vrrpSections(status.vrrp, { style, ago }) : []),
    ...(status.vips.length === 0
      ? []
      : [
          table(
            ["vip", "backend", "address", "route", "since", "cause"],
            status.vips.map((vip) => [
              vip.vip,
              vip.backend,
              unknown("addresses") ? NOT_KNOWN : good(vip.onInterface, vip.onInterface ? "present" : "missing"),
              good(vip.announced && vip.acknowledged, routeWord(vip)),
              ago(vip.since),
              vip.cause,
            ]),
          ),
        ]),
    ...(status.neighbors.length === 0
      ? []
      : [
          table(
            ["neighbor", "bgp", "bfd"],
            status.neighbors.map(({ neighbor, session, bfd }) => [
              neighbor,
              !session && unknown("sessions") ? NOT_KNOWN : good(session, session ? "connected" : "down"),
              ["off", "needs root", NOT_KNOWN].includes(bfd) ? bfd : good(bfd === "Up", bfd),
            ]),
          ),
        ]),
    ...(saturationState(status.clients) === "free" && status.clients.queued === 0 && status.clients.clientsAtLimit === 0
      ? []
      : [`${style.yellow("!!")}  clients: ${saturationText(status.clients)}`]),
    serversText(status, good),
    ...nameLines(status, style),
    ...status.oldWorkers.map(
      ({ pid, uptime, connections }) =>
        `old HAProxy worker ${pid} (started ${uptime} ago) finishes ${connections} connections from before a reload`,
    ),
    ...(status.handover ? [handoverText(status.handover)] : []),
    ...(status.held ? [style.yellow(`${status.held.reason}; ${status.held.fix}`)] : []),
    ...certificateLines(status, { style, now }),
    ...(status.transitions.length === 0 ? [] : [transitionsText(status.transitions.slice(-3))]),
  ];
  const unseen = isRoot()
    ? []
    : [style.dim("BFD, VRRP, the handover, old workers and the generation are shown to root only: sudo ober status")];
  return [...sections, ...unseen].join("\n\n");
}

function serversText({ backends }: NodeStatus, good: (ok: boolean, text: string) => string): string {
  const rows = backends.flatMap(({ name, servers }) =>
    servers.map((server) => [name, server.name, stateWord(server, good), lastCheck(server)]),
  );
  return rows.length === 0
    ? "RGWs: not known, HAProxy says nothing"
    : table(["backend", "server", "state", "last check"], rows);
}

/** Names of RGWs that do not resolve, or whose address is from before. */
function nameLines({ backends }: NodeStatus, style: Output["style"]): readonly string[] {
  const troubled = backends.flatMap(({ servers }) =>
    servers.flatMap(({ name, nameProblem: remark }) => (remark === undefined ? [] : [{ name, remark }])),
  );
  if (troubled.length === 0) return [];
  return [
    togetherInLines(troubled)
      .map((line) => `${style.yellow("!!")} ${line}`)
      .join("\n"),
  ];
}

/** HAProxy's word where it says enough. */
const stateWord = ({ state, status }: ServerStatus, good: (ok: boolean, text: string) => string) =>
  state === "busy" || state === "drained" ? state : good(state === "serves", status);

const lastCheck = ({ state, check, reason }: ServerStatus) =>
  state === "busy" || state === "drained" ? `${check}: ${reason}` : check;

const transitionsText = (transitions: NodeStatus["transitions"]): string =>
  table(
    ["time", "vip", "happened"],
    transitions.map(({ at, vips, from, to, cause }) => [toSecond(at), vips.join(" "), `${from} -> ${to}: ${cause}`]),
  );

/** One line: to whom packets go, and what came. */
function handoverText({ loaded, packets, flows }: NonNullable<NodeStatus["handover"]>): string {
  if (!loaded) return "handover of connections: not in force; `ober doctor` says why";
  const now = Object.entries(flows).map(([peer, count]) => `${count} connections to ${peer}`);
  const { sent, asked, served, lost } = packets;
  return `handover of connections: ${now.join(", ") || "none now"}; packets: ${sent} handed on, ${asked} asked about, ${served} taken over, ${lost} nobody's`;
}

function vrrpSections(
  { vips, peers, suspicions }: VrrpView,
  { style, ago }: Pick<Output, "style"> & { ago: (time: string | undefined) => string },
): readonly string[] {
  const state = (word: string) =>
    word === "MASTER" ? style.green(word) : ["BACKUP", "needs root"].includes(word) ? word : style.red(word);
  return [
    ...suspicions.map(({ certain, text }) => `${certain ? style.red("XX") : style.yellow("!!")} ${text}`),
    table(
      ["vip", "vrid", "owner", "here", "priority", "held by", "since"],
      vips.map((vip) => [
        vip.vip,
        `${vip.vrid}`,
        vip.owner,
        state(vip.state),
        vip.effectivePriority === vip.priority ? `${vip.priority}` : `${vip.effectivePriority} of ${vip.priority}`,
        vip.holder ?? HOLDER_UNKNOWN[vip.state] ?? "nobody known",
        ago(vip.since),
      ]),
    ),
    ...(peers.length === 0
      ? []
      : [
          table(
            ["peer", "last heard", "holds"],
            peers.map(({ peer, heard, holds, answers }) => [
              peer,
              heard === undefined ? silence(answers) : `${ago(heard)} ago`,
              holds.join(" "),
            ]),
          ),
        ]),
  ];
}

const HOLDER_UNKNOWN: Readonly<Record<string, string>> = { FAULT: "not seen from here", "needs root": "" };

/** A peer that holds nothing here says nothing; whether its machine answers ARP tells the rest. */
function silence(answers: boolean | undefined): string {
  if (answers === undefined) return "silent";
  return answers ? "silent, answers ARP" : "silent, no answer to ARP";
}

function routeWord({ announced, leaving, acknowledged }: NodeStatus["vips"][number]): string {
  if (leaving && acknowledged) return "announced as the last choice";
  if (announced) return acknowledged ? "announced" : "announced, not confirmed";
  return acknowledged ? "withdrawn" : "not announced";
}
