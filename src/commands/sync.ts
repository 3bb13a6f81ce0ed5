import { posix } from "node:path";
import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { isAddress } from "../domain/address.ts";
import { parseSources, readAllowList } from "../domain/allow-list.ts";
import { OberError, UsageError } from "../errors.ts";
import { changing } from "../node/changing.ts";
import { LISTS, type ListChange, type ListName, listFile, mayPass, syncLists, type Wanted } from "../node/lists.ts";
import { type Node, readGiven, thisNodeAsRoot } from "../node/node.ts";
import { type Output, output } from "../ui/output.ts";
import { terminalPrompts } from "../ui/prompt.ts";
import { changeArgs, dryRunArgs, globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "sync", description: "Set who may use plain HTTP and who may speak BGP, at once and without a reload" },
  args: {
    ...globalArgs,
    ...changeArgs,
    ...dryRunArgs,
    routers: {
      type: "string",
      valueHint: "LIST",
      description: "Who may speak BGP and BFD, where a firewall is active",
    },
    frontendHttp: { type: "string", valueHint: "LIST", description: "Clients that may use plain HTTP" },
    backendHttp: { type: "string", valueHint: "LIST", description: "Storage machines that may use plain HTTP" },
    allowMissing: { type: "boolean", description: "Skip names that do not resolve instead of refusing the list" },
    force: {
      type: "boolean",
      description: "Go on even if this session, a node, a router or the monitoring loses access",
    },
    test: {
      type: "string",
      valueHint: "ADDRESS",
      description: "Only show whether this source is allowed, and by which entry",
    },
  },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    if (args.test !== undefined) return test(node, out, args.test);
    const given = LISTS.flatMap((name) => (args[name] === undefined ? [] : [{ name, text: args[name] }]));
    const asked = given.length > 0 ? given : await ask(node);
    const wanted = await Promise.all(asked.map(({ name, text }) => read(node, name, text)));
    const { dryRun, allowMissing, force } = args;
    const { changes, remarks } = await changing(node.paths.prefix, "sync", () =>
      syncLists(node, out, {
        wanted,
        dryRun: dryRun === true,
        allowMissing: allowMissing === true,
        force: force === true,
      }),
    );
    for (const remark of remarks) out.warn(remark);
    const changed = changes.some(({ added, removed }) => added.length > 0 || removed.length > 0);
    await out.result({ dryRun: dryRun === true, lists: changes, changed } satisfies Documents["sync"], () =>
      changes.map((change) => show(change, out)).join("\n"),
    );
  },
});

/** A list as given: the entries themselves, or `@FILE` for a file that holds them. */
async function read(node: Node, name: ListName, text: string): Promise<Wanted> {
  try {
    return { name, sources: parseSources(text.startsWith("@") ? await readGiven(node, text.slice(1)) : text) };
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    throw new OberError(`${listFile(node, name).name}: ${error.message}`, {
      hint: error.hint ?? "nothing was changed; correct the list, then run the command again",
      cause: error,
    });
  }
}

const QUESTIONS: Readonly<Record<ListName, string>> = {
  routers: "Routers that may speak BGP and BFD (host lists, addresses, networks, or @FILE)",
  frontendHttp: "Clients that may use plain HTTP",
  backendHttp: "Storage machines that may use plain HTTP",
};

/** A longer list does not fit a terminal's line; the name of its file is shown instead. */
const LONGEST_ANSWER = 500;

async function ask(node: Node): Promise<readonly { name: ListName; text: string }[]> {
  const prompts = await terminalPrompts("ober sync --frontend-http 'client[01-16],10.1.0.0/16'");
  const answers: { name: ListName; text: string }[] = [];
  for (const name of LISTS) {
    const { path } = listFile(node, name);
    const present = readAllowList((await node.system.read(path)) ?? "").join(",");
    const initial = present.length > LONGEST_ANSWER ? `@${path}` : present;
    const judge = (answer: string) => problemOf(answer);
    answers.push({ name, text: await prompts.text({ message: QUESTIONS[name], initial, judge }) });
  }
  return answers;
}

function problemOf(answer: string): string | undefined {
  try {
    if (!answer.startsWith("@")) parseSources(answer);
    return undefined;
  } catch (error) {
    if (error instanceof OberError) return error.message;
    throw error;
  }
}

async function test(node: Node, out: Output, address: string): Promise<void> {
  if (!isAddress(address)) throw new UsageError(`--test "${address}" is not an address`, "ober sync --test 10.1.2.3");
  const answer = await mayPass(node, address);
  await out.result(answer satisfies Documents["sync --test"], () =>
    [
      `${address} ${answer.plainHttp ? "may use plain HTTP" : "is redirected to HTTPS on port 80"}`,
      ...answer.lists.map(({ list, entry, from }) => `  ${list}: ${entry === null ? "no entry" : entry} (${from})`),
    ].join("\n"),
  );
  if (!answer.plainHttp) process.exitCode = 1;
}

/** Entries shown to a person; the rest is counted. --json has all. */
const SHOWN = 20;

function show(change: ListChange, { style, verbose }: Output): string {
  const lines = (sign: string, entries: readonly string[]) => {
    const shown = verbose ? entries : entries.slice(0, SHOWN);
    const rest = entries.length - shown.length;
    return [...shown.map((entry) => `  ${sign} ${entry}`), ...(rest > 0 ? [`  ${sign} and ${rest} more`] : [])];
  };
  const { added, removed, missing } = change;
  return [
    `${style.bold(posix.basename(change.file))}: ${change.entries} entries, ${added.length} added, ${removed.length} removed; ${change.effect}`,
    ...lines("+", added).map(style.green),
    ...lines("-", removed).map(style.red),
    ...lines("?", missing).map(style.yellow),
  ].join("\n");
}
