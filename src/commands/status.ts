import { defineCommand } from "citty";
import { saturationText } from "../checks/saturation.ts";
import type { VrrpView } from "../checks/vrrp.ts";
import type { Documents } from "../documents.ts";
import { age, ago } from "../domain/age.ts";
import { several } from "../domain/foreign.ts";
import { togetherInLines } from "../domain/names.ts";
import { UsageError } from "../errors.ts";
import { clusterStatus, clusterText, isClusterWell } from "../node/cluster.ts";
import { problemsIn } from "../node/conditions.ts";
import { isRoot, type Node, thisNode } from "../node/node.ts";
import { type Question, unansweredText } from "../node/sight.ts";
import { isServing, isWell, type NodeStatus, nodeStatus, type ServerStatus } from "../node/status.ts";
import { type Rates, trafficText, withRates } from "../node/traffic.ts";
import { isOnPurpose } from "../node/why.ts";
import { requireSystemd } from "../system/systemd.ts";
import { certificateLines } from "../ui/certificates.ts";
import { cut } from "../ui/fit.ts";
import { type Output, output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";
import { table } from "../ui/table.ts";

export default defineCommand({
  meta: { name: "status", description: "Show what this node serves and why" },
  args: {
    ...globalArgs,
    all: { type: "boolean", description: "Ask every node of the cluster and show how they differ" },
    watch: { type: "boolean", description: "Redraw every second until Ctrl-C" },
    wait: { type: "string", valueHint: "SECONDS", description: "Wait up to this long until every VIP is served" },
  },
  async run({ args }) {
    const patienceMs = waitMs(args.wait);
    if (patienceMs > 0 && (args.all || args.watch)) {
      throw new UsageError("--wait does not go with --all or --watch", "ober status --wait 60");
    }
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
      const text = statusText(present, out, now(), rates.length > 0 ? [trafficText(rates)] : []);
      await out.redraw(cut(out.fit(text), process.stdout.rows));
      await Bun.sleep(1000);
    }
    const status = patienceMs > 0 ? await servingStatus(node, out, patienceMs) : await nodeStatus(node);
    await out.result(status satisfies Documents["status"], () => out.fit(statusText(status, out, now())));
    if (!isWell(status) || (patienceMs > 0 && !isServing(status))) process.exitCode = 1;
  },
});

function waitMs(given: string | undefined): number {
  if (given === undefined) return 0;
  if (/^\d+$/.test(given) && Number(given) >= 1 && Number(given) <= 86_400) return Number(given) * 1000;
  throw new UsageError(`--wait "${given}" is not a number of seconds`, "give a whole number from 1 to 86400");
}

/** Waits until every VIP is served or the time is up. */
async function servingStatus(node: Node, out: Output, patienceMs: number): Promise<NodeStatus> {
  const deadline = performance.now() + patienceMs;
  let told = "";
  for (;;) {
    const status = await nodeStatus(node);
    const waiting = status.service.find(({ served }) => !served);
    if (waiting === undefined || performance.now() > deadline) return status;
    const text = `waiting: ${waiting.vip}: ${waiting.because}`;
    if (text !== told) out.progress(text);
    told = text;
    await Bun.sleep(Math.min(1000, Math.max(0, deadline - performance.now())));
  }
}

async function showCluster(node: Node, out: Output, watch: boolean): Promise<void> {
  while (watch && out.interactive) {
    const text = out.fit(clusterText(await clusterStatus(node), out, new Date()));
    await out.redraw(cut(text, process.stdout.rows));
    await Bun.sleep(1000);
  }
  const cluster = await clusterStatus(node);
  await out.result(cluster satisfies Documents["status --all"], () => out.fit(clusterText(cluster, out, new Date())));
  if (!isClusterWell(cluster)) process.exitCode = 1;
}

const NOT_KNOWN = "not known";

/** The one screen: headline, VIPs, problems, sessions and backends, verdict. `live` (with --watch) follows the VIPs. */
export function statusText(
  status: NodeStatus,
  { style }: Pick<Output, "style">,
  now: Date,
  live: readonly string[] = [],
): string {
  const good = (ok: boolean, text: string) => (ok ? style.green(text) : style.red(text));
  const since = (time: number | string | undefined) =>
    time === undefined ? "" : age(now.getTime() - new Date(time).getTime());
  const unknown = (question: Question) => status.unanswered.some((one) => one.question === question);
  const problems = problemLines(status, style);
  const sections = [
    headline(status, style),
    ...(status.unanswered.length === 0
      ? []
      : [status.unanswered.map((one) => `${style.yellow("!!")}  ${unansweredText(one)}`).join("\n")]),
    ...(status.vrrp ? vrrpSections(status.vrrp, { style, since }) : []),
    ...(status.vips.length === 0
      ? []
      : [
          table(
            ["vip", "backend", "address", "route", "since", "cause"],
            status.vips.map((vip) => [
              vip.vip,
              vip.backend,
              unknown("addresses") ? NOT_KNOWN : good(vip.onInterface, vip.onInterface ? "present" : "missing"),
              routeWord(vip, status.service, good),
              since(vip.since),
              vip.cause,
            ]),
          ),
        ]),
    ...live,
    ...(problems.length === 0 ? [] : [problems.join("\n")]),
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
    ...(status.clients.queued === 0 ? [] : [`${style.yellow("!!")}  clients: ${saturationText(status.clients)}`]),
    serversText(status, good),
    ...nameLines(status, style),
    ...errorLines(status, style),
    ...(status.units.length === 0
      ? []
      : [
          table(
            ["unit", "state", "since", "restarts"],
            status.units.map(({ name, active, sub, since: at, restarts }) => [
              name,
              good(active === "active", `${active} (${sub})`),
              since(at),
              `${restarts}`,
            ]),
          ),
        ]),
    ...status.oldWorkers.map(
      ({ pid, uptime, connections }) =>
        `old HAProxy worker ${pid} (started ${uptime} ago) finishes ${connections} connections from before a reload`,
    ),
    ...(status.handover ? [handoverText(status.handover)] : []),
    ...certificateLines(status, { style, now }),
    ...(status.transitions.length === 0 ? [] : [transitionsText(status.transitions.slice(-3), now)]),
  ];
  const unseen = isRoot()
    ? []
    : [style.dim("BFD, VRRP, the handover, old workers and the generation are shown to root only: sudo ober status")];
  return [...sections, ...unseen, verdictLine(status, style)].join("\n\n");
}

/** One line: whether this node serves clients as it should. */
function headline(status: NodeStatus, style: Output["style"]): string {
  const { service, transfers } = status;
  const away = service.filter(({ served }) => !served);
  const [first] = away;
  const node = style.bold("node");
  const flight = `${transfers} in flight`;
  if (first === undefined) return `${node}  ${style.green("serving")}: ${servingText(status)}, ${flight}`;
  const because = isOnPurpose(first) ? style.yellow(first.because) : style.red(first.because);
  const fix = first.fix === null ? "" : `\n      ${style.cyan("fix:")} ${first.fix}`;
  const which = several(
    away.map(({ vip }) => vip),
    NAMED,
  );
  const word = first.unknown
    ? style.yellow("not known")
    : away.length < service.length
      ? style.red("serving in part")
      : style.red("not serving");
  return `${node}  ${word}: ${which}: ${because}, ${flight}${fix}`;
}

/** The routers that the VIPs are announced to, or the VIPs that this node holds. */
function servingText({ mode, service, neighbors, vrrp }: NodeStatus): string {
  const named = (vips: readonly { readonly vip: string }[]) =>
    vips.length > NAMED ? `${vips.length} VIPs` : vips.map(({ vip }) => vip).join(", ");
  if (mode === "bgp") {
    const routers = neighbors.filter(({ session }) => session).map(({ neighbor }) => neighbor);
    return `${named(service)} announced to ${routers.join(", ")}`;
  }
  const masters = (vrrp?.vips ?? []).filter(({ state }) => state === "MASTER");
  const others = (vrrp?.vips ?? []).filter(({ state }) => state !== "MASTER");
  const parts = [
    ...(masters.length > 0 ? [`MASTER of ${named(masters)}`] : []),
    ...(others.length > 0 ? [`BACKUP for ${named(others)}`] : []),
  ];
  return parts.join(", ");
}

/** Above this, VIPs are counted, not named. */
const NAMED = 4;
/** How many problems one screen shows; `ober doctor` has them all. */
const TOLD = 5;

/** The problems, each with its fix, except the one that the headline names. */
function problemLines({ findings, service }: NodeStatus, style: Output["style"]): readonly string[] {
  const named = new Set(service.map(({ reason }) => reason));
  const problems = problemsIn(findings).filter(({ id, unknown }) => !named.has(id) && unknown !== true);
  const lines = problems.slice(0, TOLD).map(({ title, detail, fix, status }) => {
    const sign = status === "fail" ? style.red("XX") : style.yellow("!!");
    return `${sign}  ${title}: ${detail.split("\n")[0]}\n    ${style.cyan("fix:")} ${fix}`;
  });
  const more = problems.length - TOLD;
  return more > 0 ? [...lines, `    and ${more} more: ober doctor`] : lines;
}

/** The last line. */
function verdictLine(status: NodeStatus, style: Output["style"]): string {
  const { service, findings } = status;
  const served = service.filter((one) => one.served).length;
  const count = problemsIn(findings).length;
  const what = served === service.length ? "all VIPs served" : `${served} of ${service.length} VIPs served`;
  const wrong =
    count === 0 ? "nothing is wrong" : `${count} ${count === 1 ? "thing needs" : "things need"} attention: ober doctor`;
  const colour = !isWell(status) ? style.red : count > 0 || !isServing(status) ? style.yellow : style.green;
  // If the headline's reason is the only problem, it has been said.
  return style.bold(colour(count === 0 && served < service.length ? what : `${what}; ${wrong}`));
}

/** RGWs that answered clients with errors in the last minute. */
function errorLines({ errors }: NodeStatus, style: Output["style"]): readonly string[] {
  const bad = (errors?.of ?? []).filter(({ failed, broken }) => failed + broken > 0);
  if (errors === undefined || bad.length === 0) return [];
  return [
    table(
      ["errors", "requests", "5xx", "broken off"],
      bad.map(({ name, requests, failed, broken }) => [
        `${name} in ${errors.seconds} s`,
        `${requests}`,
        failed > 0 ? style.yellow(`${failed}`) : "0",
        broken > 0 ? style.yellow(`${broken}`) : "0",
      ]),
    ),
  ];
}

function serversText({ backends }: NodeStatus, good: (ok: boolean, text: string) => string): string {
  const rows = backends.flatMap(({ name, servers }) =>
    servers.map((server) => [name, server.name, stateWord(server, good), placeWord(server), lastCheck(server)]),
  );
  const isPlaced = rows.some(([, , , place]) => place !== "");
  return rows.length === 0
    ? "RGWs: unknown, HAProxy does not answer"
    : table(
        ["backend", "server", "state", "zone", "last check"].filter((head) => isPlaced || head !== "zone"),
        isPlaced ? rows : rows.map((row) => row.toSpliced(3, 1)),
      );
}

/** "b, far"; empty for a server without a zone that is not far. */
const placeWord = ({ zone, far }: ServerStatus) =>
  [...(zone === undefined ? [] : [zone]), ...(far ? ["far"] : [])].join(", ");

/** Names of RGWs that do not resolve, or whose address is stale. */
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

/** The state of a server; HAProxy's own word where that is enough. */
const stateWord = ({ state, status }: ServerStatus, good: (ok: boolean, text: string) => string) =>
  state === "busy" || state === "drained" ? state : good(state === "serves", status);

const lastCheck = ({ state, check, reason }: ServerStatus) =>
  state === "busy" || state === "drained" ? `${check}: ${reason}` : check;

const transitionsText = (transitions: NodeStatus["transitions"], now: Date): string =>
  table(
    ["happened", "vip", "what"],
    transitions.map(({ at, vips, from, to, cause }) => [
      ago(now.getTime() - Date.parse(at)),
      several(vips, NAMED, " "),
      `${from} -> ${to}: ${cause}`,
    ]),
  );

/** One line: where packets are handed to, and what has happened to them. */
function handoverText({ loaded, packets, flows }: NonNullable<NodeStatus["handover"]>): string {
  if (!loaded) return "connection handover: not active; see: ober doctor --only handover";
  const now = Object.entries(flows).map(([peer, count]) => `${count} connections to ${peer}`);
  if (now.length === 0) return "connection handover: idle";
  const { sent, asked, served, lost } = packets;
  return `connection handover: ${now.join(", ")}; packets: ${sent} handed on, ${asked} asked about, ${served} taken over, ${lost} unknown to every node`;
}

function vrrpSections(
  { vips, peers, suspicions }: VrrpView,
  { style, since }: Pick<Output, "style"> & { since: (time: string | undefined) => string },
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
        vip.holder ?? HOLDER_UNKNOWN[vip.state] ?? "not known",
        since(vip.since),
      ]),
    ),
    ...(peers.length === 0
      ? []
      : [
          table(
            ["peer", "last heard", "holds"],
            peers.map(({ peer, heard, holds, answers }) => [
              peer,
              heard === undefined ? silence(answers) : `${since(heard)} ago`,
              holds.join(" "),
            ]),
          ),
        ]),
  ];
}

const HOLDER_UNKNOWN: Readonly<Record<string, string>> = { FAULT: "not seen from here", "needs root": "" };

/** A VRRP peer in BACKUP is silent; whether its machine answers ARP tells a live one from a dead one. */
function silence(answers: boolean | undefined): string {
  if (answers === undefined) return "silent";
  return answers ? "silent, answers ARP" : "silent, no answer to ARP";
}

function routeWord(
  { vip, announced, lastChoice, heldDownUntil, acknowledged }: NodeStatus["vips"][number],
  service: NodeStatus["service"],
  good: (ok: boolean, text: string) => string,
): string {
  const lost = service.some((one) => one.vip === vip && one.reason === "bgp");
  if (lost && announced) return good(false, "announced to no router");
  if (lastChoice !== null && acknowledged) {
    const left = heldDownUntil === null ? "" : ` for ${age(Date.parse(heldDownUntil) - Date.now())} more`;
    return good(lastChoice === "leaving", `announced as the last choice${left}`);
  }
  if (announced) return good(acknowledged, acknowledged ? "announced" : "announced, not confirmed");
  return good(false, acknowledged ? "withdrawn" : "not announced");
}
