import { hostname } from "node:os";
import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { age } from "../domain/age.ts";
import { RGW_CHANGES, type RgwChange, WEIGHTS, type Wish } from "../domain/rgw-wishes.ts";
import { OberError, UsageError } from "../errors.ts";
import { changing } from "../node/changing.ts";
import { isRoot, type Node, thisNode, thisNodeAsRoot } from "../node/node.ts";
import {
  changeRgw,
  listRgws,
  lookAtRgw,
  type RgwChanged,
  type RgwRequest,
  type RgwView,
  requests,
  waitForRgw,
} from "../node/rgw.ts";
import { lookAt } from "../node/sight.ts";
import { requireConfig } from "../node/status.ts";
import { stopArgs, stopOptions } from "../node/stop.ts";
import { configInForce } from "../node/working-config.ts";
import { type Output, output } from "../ui/output.ts";
import { changeArgs, globalArgs } from "../ui/shared-args.ts";
import { table } from "../ui/table.ts";

const ACTIONS = ["list", ...RGW_CHANGES] as const;

export default defineCommand({
  meta: { name: "rgw", description: "Show the RGWs as this node sees them; take one out here, and back" },
  args: {
    ...globalArgs,
    ...changeArgs,
    action: { type: "positional", required: false, default: "list", description: `${ACTIONS.join(", ")} (list)` },
    name: {
      type: "positional",
      required: false,
      description: "The RGW: its host, or host:port, as `ober status` shows it",
    },
    weight: {
      type: "positional",
      required: false,
      description: `With weight: its share of the requests, ${WEIGHTS.least} to ${WEIGHTS.most}; ${WEIGHTS.usual} is usual`,
    },
    group: { type: "string", valueHint: "GROUP", description: "The backend group, if several have that RGW" },
    reason: { type: "string", valueHint: "TEXT", description: "Why, for the history and the status" },
    wait: {
      type: "boolean",
      description: "With drain and disable: return when it has no request of this node in flight",
    },
    timeout: stopArgs.timeout,
    force: { type: "boolean", description: "Take it out although no other RGW of its group takes requests" },
    all: { type: "boolean", description: "Print what to type on each node of the cluster; change nothing" },
  },
  async run({ args }) {
    const action = ACTIONS.find((known) => known === args.action);
    if (action === undefined)
      throw new UsageError(`\`ober rgw\` does not know '${args.action}'`, `ober rgw ${ACTIONS.join("|")}`);
    const out = output(args);
    const leaves = action === "drain" || action === "disable";
    const belongs = [
      ["--wait", args.wait, leaves, "drain and disable"],
      ["--force", args.force, leaves, "drain and disable"],
      ["--all", args.all, action !== "list", RGW_CHANGES.join(", ")],
      ["--group", args.group, action !== "list", RGW_CHANGES.join(", ")],
      ["--reason", args.reason, action !== "list" && action !== "undrain", "drain, disable and weight"],
    ] as const;
    for (const [flag, given, fits, to] of belongs)
      if (given && !fits) throw new UsageError(`${flag} goes with ${to}`, "ober rgw --help");
    if (action !== "weight" && args.weight !== undefined)
      throw new UsageError(`\`ober rgw ${action}\` does not take '${args.weight}'`);
    if (action === "list") {
      if (args.name !== undefined) throw new UsageError(`\`ober rgw list\` does not take '${args.name}'`);
      return list(await thisNode(), out);
    }
    if (args.name === undefined)
      throw new UsageError(`\`ober rgw ${action}\` needs the name of an RGW`, "ober rgw list");
    const request: RgwRequest = {
      change: action,
      name: args.name,
      group: args.group,
      weight: action === "weight" ? weightGiven(args.weight) : undefined,
      reason: args.reason ?? "",
      force: args.force === true,
    };
    const { timeoutMs } = stopOptions({ timeout: args.timeout });
    const node = await thisNodeAsRoot();
    if (args.all) return showAll(node, out, request, args.wait === true);
    return change(node, out, request, args.wait ? timeoutMs : undefined);
  },
});

function weightGiven(given: string | undefined): number {
  const { least, most } = WEIGHTS;
  if (given !== undefined && /^\d{1,3}$/.test(given) && Number(given) >= least && Number(given) <= most)
    return Number(given);
  const what =
    given === undefined
      ? "`ober rgw weight` needs a weight"
      : `the weight "${given}" is not a whole number from ${least} to ${most}`;
  throw new UsageError(
    what,
    `ober rgw weight NAME 50; ${WEIGHTS.usual} is usual, and \`ober rgw drain\` sends it nothing`,
  );
}

async function change(node: Node, out: Output, request: RgwRequest, waitMs: number | undefined): Promise<void> {
  const config = await configInForce(node, out);
  const { changes, ...before } = await lookAtRgw(node, config, request);
  const done = changes
    ? await changing(node.paths.prefix, "rgw", () => changeRgw(node, out, config, request))
    : { ...before, changed: false, notKept: null };
  const { group, server, inForce } = done;
  const document: RgwChanged = { ...done, change: request.change, weight: request.weight ?? null };
  const text = doneText(document, config.backends.length > 1);
  if (waitMs === undefined) return out.result(document satisfies Documents["rgw drain"], text);
  const left = inForce ? await waitForRgw(node, { group, server }, { timeoutMs: waitMs, tell: out.progress }) : 0;
  if (left > 0) {
    throw new OberError(
      `${server} is out, but ${requests(left)} of this node ${left === 1 ? "is" : "are"} still running there`,
      {
        hint: `wait longer: ober rgw ${request.change} ${server} --wait --timeout SECONDS`,
      },
    );
  }
  await out.result({ ...document, left } satisfies Documents["rgw drain"], `${text}; nothing is in flight there`);
}

const DONE: Readonly<Record<RgwChange, string>> = {
  drain: "gets no new requests from this node",
  disable: "gets no requests and no checks from this node",
  undrain: "gets requests from this node again, once its checks pass",
  weight: "",
};

function doneText({ change: what, group, server, weight, changed, inForce }: RgwChanged, several: boolean): string {
  const name = several ? `${server} of ${group}` : server;
  const said = what === "weight" ? `has the weight ${weight}, of ${WEIGHTS.usual}, on this node` : DONE[what];
  const again =
    what === "drain" || what === "disable"
      ? `; \`ober rgw undrain ${server}${several ? ` --group ${group}` : ""}\` takes it back`
      : "";
  const when = inForce ? "" : "; HAProxy does not answer: it holds from its next start";
  return `${name} ${said}${changed ? "" : ", as before"}${again}${when}`;
}

/** There is no way to the other nodes but an operator's own. */
async function showAll(node: Node, out: Output, request: RgwRequest, wait: boolean): Promise<void> {
  const config = await configInForce(node, out);
  const { group, server } = await lookAtRgw(node, config, { ...request, force: true });
  const { change: action, weight, reason, force } = request;
  const words = [
    ...["ober", "rgw", action, server],
    ...(weight === undefined ? [] : [`${weight}`]),
    ...(config.backends.length > 1 ? ["--group", group] : []),
    ...(reason === "" ? [] : ["--reason", quoted(reason)]),
    ...(wait ? ["--wait"] : []),
    ...(force ? ["--force"] : []),
  ];
  const command = words.join(" ");
  const listed = [...new Set([...config.nodes, ...(config.ha_mode === "keepalived" ? config.keepalived.peers : [])])];
  const nodes = listed.length === 0 ? [hostname()] : listed;
  const type = nodes.map((one) => ({ node: one, command: `ssh ${one} sudo ${quotedForSsh(command)}` }));
  await out.result({ type, changed: false } satisfies Documents["rgw drain"], () =>
    [
      "ober does not reach the other nodes; type this, one node after another (it is harmless where it was done already):",
      ...type.map((one) => one.command),
    ].join("\n"),
  );
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
/** ssh hands its words to a shell once more. */
const quotedForSsh = (command: string) => (command.includes("'") ? quoted(command) : command);

const NOT_KNOWN = "not known";

async function list(node: Node, out: Output): Promise<void> {
  const sight = lookAt({ ...node, isRoot: isRoot() });
  const { config } = await requireConfig(sight);
  const { rgws, stale } = await listRgws(sight, config);
  await out.result({ rgws, stale } satisfies Documents["rgw"], () =>
    [
      table(
        ["group", "rgw", "state", "weight", "in flight", "queue", "req/s", "errors", "response", "since", "check"],
        rgws.map((one) => rowOf(one, out.style, sight.now)),
      ),
      ...remarksOf(rgws, stale, sight.now).map((line) => `${out.style.yellow("!!")}  ${line}`),
      "response: the mean of HAProxy's last 1,024 requests; p50 and p99 of the last minute: not known, HAProxy does not tell them",
    ].join("\n\n"),
  );
}

function rowOf(view: RgwView, style: Output["style"], now: number): readonly string[] {
  const { state, errors, errorsSeconds, responseMs, since } = view;
  const or = (value: number | null) => (value === null ? NOT_KNOWN : `${value}`);
  const word = state === "unknown" ? NOT_KNOWN : state;
  const colour = {
    serves: style.green,
    busy: style.yellow,
    drained: style.yellow,
    out: style.red,
    unknown: style.yellow,
  }[state];
  const failed =
    errors === null ? NOT_KNOWN : `${errors.failed + errors.broken} of ${errors.requests} in ${errorsSeconds} s`;
  return [
    ...[view.group, serverText(view), colour(word), or(view.weight), or(view.inFlight), or(view.queued)],
    ...[or(view.requestsPerSecond), failed, responseMs.mean === null ? NOT_KNOWN : `${responseMs.mean} ms`],
    ...[since === null ? NOT_KNOWN : age(now - Date.parse(since)), view.check],
  ];
}

/** A server by its name, and which address that is. */
const serverText = ({ server, address }: RgwView) =>
  address === null || address === server ? server : `${server} (${address})`;

/** Why RGWs do not serve, and what operators want; each wish once, whatever number of addresses a name has. Pure. */
export function remarksOf(rgws: readonly RgwView[], stale: readonly Wish[], now: number): readonly string[] {
  const ago = ({ at }: Wish) => `${age(now - Date.parse(at))} ago`;
  const why = ({ by, reason }: Wish) => `by ${by}${reason === "" ? "" : `: ${reason}`}`;
  const isOneGroup = new Set([...rgws, ...stale].map(({ group }) => group)).size < 2;
  const undrain = ({ server, group }: Wish) => `ober rgw undrain ${server}${isOneGroup ? "" : ` --group ${group}`}`;
  const lines = rgws.flatMap(({ server, state, status, reason, wishes }) => {
    const out = wishes.find(({ wish }) => wish !== "weight");
    const told = wishes.map((one) =>
      one.wish === "weight"
        ? `${one.server} has the weight ${one.weight} since ${ago(one).replace(/ ago$/, "")}, ${why(one)}`
        : `${one.server} was taken out ${ago(one)} ${why(one)} (${undrain(one)})${state === "serves" || state === "busy" ? "; HAProxy was told otherwise since" : ""}`,
    );
    const isToldAlready = state === "drained" && out !== undefined && /^(DRAIN|MAINT)/.test(status);
    const itself = state === "serves" || state === "unknown" || isToldAlready;
    return [...told, ...(itself ? [] : [`${server} is ${state}: ${reason}`])];
  });
  const gone = stale.map(
    (one) =>
      `${one.server} of ${one.group} is not in ober.yaml any more, and a wish for it is still kept (${undrain(one)})`,
  );
  return [...new Set([...lines, ...gone])];
}
