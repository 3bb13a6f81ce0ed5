import { resolve } from "node:path";
import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { parseAddress } from "../domain/address.ts";
import { toSecond } from "../domain/age.ts";
import {
  compared,
  DRILL_NAMES,
  type DrillName,
  type DrillResult,
  drillOf,
  expectedOf,
  inSeconds,
  isDrillName,
  judgedDrill,
  OUTCOMES,
  SECONDS,
} from "../domain/drills.ts";
import { nearest } from "../domain/nearest.ts";
import { judgedObservation, MOST_SAMPLES } from "../domain/observation.ts";
import { EXIT, OberError, UsageError } from "../errors.ts";
import { changing } from "../node/changing.ts";
import { planDrill, runDrill } from "../node/drill.ts";
import { drillResults } from "../node/drill-record.ts";
import { readGiven, thisNodeAsRoot } from "../node/node.ts";
import { type ObserveRequest, observe } from "../node/observe.ts";
import { turnArgs, waitTurnMs } from "../node/turn.ts";
import { configInForce } from "../node/working-config.ts";
import { onFirstInterrupt } from "../system/interrupts.ts";
import { localSystem } from "../system/local.ts";
import { observationSvg, observationText } from "../ui/observation.ts";
import { type Output, output } from "../ui/output.ts";
import { confirmOrCancel } from "../ui/prompt.ts";
import { dryRunArgs, globalArgs, yesArgs } from "../ui/shared-args.ts";
import { table } from "../ui/table.ts";

const args = {
  ...globalArgs,
  ...yesArgs,
  ...dryRunArgs,
  drill: { type: "positional", required: false, description: `The failure: ${DRILL_NAMES.join(", ")}` },
  target: { type: "positional", required: false, description: "The RGW of rgw-down; the SECONDS of link-down" },
  seconds: {
    type: "string",
    valueHint: "N",
    description: `How long a hang, a drain or an RGW's absence lasts (${SECONDS.usual}; at most ${SECONDS.most}); with --observe how long to ask (60)`,
  },
  ...turnArgs,
  list: { type: "boolean", description: "The results that are kept" },
  show: { type: "string", valueHint: "N", description: "One of them, beside what was measured and the ones before" },
  observe: {
    type: "string",
    valueHint: "VIP",
    description: "On any other machine: send requests to this address (or ADDRESS:PORT) and report what a client sees",
  },
  rate: { type: "string", valueHint: "N", default: "50", description: "Requests a second, at most 1000" },
  path: { type: "string", valueHint: "PATH", default: "/", description: "What to GET" },
  host: { type: "string", valueHint: "NAME", description: "The name for TLS and the Host header" },
  plain: { type: "boolean", description: "Plain HTTP on port 80 instead of TLS on 443" },
  insecure: { type: "boolean", description: "Accept any certificate" },
  ca: { type: "string", valueHint: "FILE", description: "The CA of the certificate, in PEM" },
  timeout: { type: "string", valueHint: "SECONDS", default: "5", description: "When a request has failed" },
  bucket: {
    type: "string",
    valueHint: "NAME",
    description: "Also upload one object there; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are the keys",
  },
  of: { type: "string", valueHint: "DRILL", description: "Compare with what was measured of this drill in BGP mode" },
  svg: { type: "string", valueHint: "FILE", description: "Also write the time line as a picture" },
} as const;

export default defineCommand({
  meta: { name: "drill", description: "Make a failure on purpose, safely, and see what clients see" },
  args,
  async run({ args: given }) {
    const out = output(given);
    const ways = [given.drill, given.observe, given.show, given.list ? "" : undefined];
    if (ways.filter((way) => way !== undefined).length > 1)
      throw new UsageError("a drill, --observe, --list and --show exclude each other", "give one of them");
    if (given.list) return list(out);
    if (given.show !== undefined) return show(out, wholeNumber("--show", given.show, 1, 999_999_999));
    if (given.observe !== undefined) return observeVip(out, given.observe, given);
    if (given.drill === undefined)
      throw new UsageError("`ober drill` needs a failure", `one of ${DRILL_NAMES.join(", ")}; or --observe VIP`);
    return drillHere(out, drillNamed(given.drill), given);
  },
});

function drillNamed(word: string): DrillName {
  if (isDrillName(word)) return word;
  const meant = nearest(word, DRILL_NAMES);
  throw new UsageError(
    `there is no drill '${word}'`,
    meant === undefined ? `one of ${DRILL_NAMES.join(", ")}` : `did you mean ${meant}?`,
  );
}

function wholeNumber(flag: string, given: string, least: number, most: number): number {
  if (/^\d{1,9}$/.test(given) && Number(given) >= least && Number(given) <= most) return Number(given);
  throw new UsageError(`${flag} "${given}" is not a whole number from ${least} to ${most}`);
}

type Given = {
  readonly target?: string | undefined;
  readonly seconds?: string | undefined;
  readonly waitTurn?: string | undefined;
  readonly yes?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
};

/** The drill's word after its name, and how long it lasts. Throws a UsageError. */
function timesGiven(drill: DrillName, { target, seconds }: Given): { target: string | undefined; seconds: number } {
  const { target: wanted, lasts } = drillOf(drill);
  if (wanted === undefined && target !== undefined) throw new UsageError(`${drill} does not take '${target}'`);
  if (wanted !== undefined && target === undefined)
    throw new UsageError(`${drill} needs ${wanted.name}: ${wanted.what}`, `ober drill ${drill} ${wanted.name}`);
  if (!lasts && seconds !== undefined) throw new UsageError(`${drill} ends by itself`, "leave --seconds out");
  const isTime = wanted?.name === "SECONDS";
  if (isTime && seconds !== undefined) throw new UsageError(`${drill} has its seconds already`, "leave --seconds out");
  const text = isTime ? (target ?? "") : (seconds ?? String(SECONDS.usual));
  const length = wholeNumber(isTime ? "SECONDS" : "--seconds", text, SECONDS.least, SECONDS.most);
  return { target: isTime ? undefined : target, seconds: length };
}

async function drillHere(out: Output, drill: DrillName, given: Given): Promise<void> {
  const { target, seconds } = timesGiven(drill, given);
  const waitMs = waitTurnMs(given.waitTurn);
  const node = await thisNodeAsRoot();
  const config = await configInForce(node, out);
  await planDrill(node, config, { drill, target });
  const { title, does, back, lasts } = drillOf(drill);
  const plan = `${title}${target === undefined ? "" : ` (${target})`}: ober ${does}${lasts ? `, for ${seconds} s` : ""}; then ${back}`;
  const document = { drill, result: null, remarks: [], changed: false } satisfies Documents["drill"];
  if (given.dryRun) return out.result({ ...document, changed: true }, plan);
  if (!given.yes) {
    out.progress(plan);
    await confirmOrCancel("Do this on this node now?", { initial: false });
  }
  const result = await changing(node.paths.prefix, "drill", () =>
    runDrill(node, out, config, { drill, target, seconds, waitMs }),
  );
  if (result === undefined)
    return out.result({ ...document, changed: true }, "the machine reboots; after that: ober drill --list");
  const remarks = judgedDrill(result, await drillResults(node.system, node.paths));
  // The answer comes first; a script sees by the code that the node needs help.
  if (result.outcome !== "done") process.exitCode = EXIT.failed;
  await out.result({ drill, result, remarks, changed: true } satisfies Documents["drill"], () =>
    textOf(result, remarks),
  );
}

const textOf = (result: DrillResult, remarks: readonly string[]): string =>
  [`${result.number}  ${nameOf(result)}: ${OUTCOMES[result.outcome]}`, ...remarks.map((line) => `   ${line}`)].join(
    "\n",
  );

const nameOf = ({ drill, target, seconds }: DrillResult): string =>
  [drill, ...(target === undefined ? [] : [target]), ...(seconds === 0 ? [] : [`for ${seconds} s`])].join(" ");

async function list(out: Output): Promise<void> {
  const { system, paths } = await thisNodeAsRoot();
  const results = await drillResults(system, paths);
  const time = (ms: number | null) => (ms === null ? "" : inSeconds(ms));
  await out.result({ results } satisfies Documents["drill --list"], () =>
    results.length === 0
      ? "no drill was made on this node"
      : table(
          ["number", "when", "by", "drill", "gone after", "back after", "outcome"],
          results.map((one) => [
            ...[String(one.number), toSecond(one.at), one.by, nameOf(one), time(one.goneMs), time(one.backMs)],
            OUTCOMES[one.outcome],
          ]),
        ),
  );
}

async function show(out: Output, number: number): Promise<void> {
  const { system, paths } = await thisNodeAsRoot();
  const results = await drillResults(system, paths);
  const result = results.find((one) => one.number === number);
  if (result === undefined) throw new OberError(`there is no result ${number}`, { hint: "ober drill --list" });
  const remarks = judgedDrill(result, results);
  await out.result({ result, remarks } satisfies Documents["drill --show"], () =>
    [`${toSecond(result.at)} by ${result.by}`, textOf(result, remarks)].join("\n"),
  );
}

type ObserveGiven = Given & {
  readonly rate: string;
  readonly path: string;
  readonly timeout: string;
  readonly host?: string | undefined;
  readonly plain?: boolean | undefined;
  readonly insecure?: boolean | undefined;
  readonly ca?: string | undefined;
  readonly bucket?: string | undefined;
  readonly of?: string | undefined;
  readonly svg?: string | undefined;
};

async function observeVip(out: Output, vip: string, given: ObserveGiven): Promise<void> {
  const request = await requestOf(vip, given);
  const { target, rate, seconds } = request;
  const drill = given.of === undefined ? undefined : drillNamed(given.of);
  out.progress(
    `asking ${target.address}:${target.port} ${rate} times a second for ${seconds} s; Ctrl-C ends it earlier`,
  );
  const system = localSystem();
  let over = false;
  const forget = onFirstInterrupt(() => {
    over = true;
  });
  const { samples, durationMs, lateMs } = await observe(system.clock, request, () => over);
  forget();
  const seen = judgedObservation(samples, durationMs, lateMs);
  // Clients that are spread over nodes are answered by others meanwhile: the way of those that are not counts.
  const longest = Math.max(seen.longestGapMs, seen.newPathMs ?? 0);
  const remark = drill === undefined ? undefined : compared(longest, expectedOf(drill, "bgp"));
  const said = remark === undefined || drill === undefined ? undefined : `${drill}: ${remark}`;
  if (given.svg !== undefined) {
    const title = `${target.address}:${target.port}, ${rate} requests a second`;
    await system.writeAtomic(resolve(given.svg), observationSvg(seen, title), { mode: 0o644 });
  }
  const { address, port } = target;
  await out.result({ address, port, ...seen, remark: said ?? null } satisfies Documents["drill --observe"], () =>
    observationText(seen, process.stdout.columns || 80, said),
  );
}

const PRINTABLE = /^[\x21-\x7e]{1,1024}$/;

/** Throws a UsageError for what cannot be asked. */
async function requestOf(vip: string, given: ObserveGiven): Promise<ObserveRequest> {
  const { plain = false, insecure = false, path, bucket } = given;
  const [, address = vip, , portGiven] = /^\[?([^[\]]*?)(\]?:(\d{1,5}))?\]?$/.exec(vip) ?? [];
  if (parseAddress(address) === undefined)
    throw new UsageError(`--observe "${vip}" is not an address`, "a VIP, such as 10.0.0.100 or 10.0.0.100:8443");
  const port = portGiven === undefined ? (plain ? 80 : 443) : wholeNumber("--observe", portGiven, 1, 65_535);
  const rate = wholeNumber("--rate", given.rate, 1, 1000);
  const seconds = wholeNumber("--seconds", given.seconds ?? "60", 1, 3600);
  if (rate * seconds > MOST_SAMPLES)
    throw new UsageError(
      `${rate * seconds} requests are too many`,
      `rate times seconds may be ${MOST_SAMPLES} at most`,
    );
  if (plain && (insecure || given.ca !== undefined)) throw new UsageError("--plain has no certificate to judge");
  if (!path.startsWith("/") || !PRINTABLE.test(path))
    throw new UsageError(`--path "${path}" is not a path`, "begin with /, and percent-encode blanks");
  if (given.host !== undefined && !/^[\w.-]{1,253}$/.test(given.host))
    throw new UsageError(`--host "${given.host}" is not a name`, "such as s3.example.org");
  const {
    AWS_ACCESS_KEY_ID: accessKey,
    AWS_SECRET_ACCESS_KEY: secretKey,
    AWS_SESSION_TOKEN: sessionToken,
  } = process.env;
  if (bucket !== undefined && (!accessKey || !secretKey))
    throw new UsageError("--bucket needs keys", "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  const ca = given.ca === undefined ? undefined : await readGiven({ system: localSystem() }, resolve(given.ca));
  const literal = address.includes(":") ? `[${address}]` : address;
  const hasUsualPort = port === (plain ? 80 : 443);
  return {
    target: { address, port, tls: plain ? undefined : { servername: given.host, verify: !insecure, ca } },
    host: `${given.host ?? literal}${hasUsualPort ? "" : `:${port}`}`,
    ...{ path, rate, seconds },
    timeoutMs: wholeNumber("--timeout", given.timeout, 1, 60) * 1000,
    ...(bucket === undefined || !accessKey || !secretKey
      ? {}
      : { upload: { bucket, credentials: { accessKey, secretKey, sessionToken } } }),
  };
}
