import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { age } from "../domain/age.ts";
import { FOLLOW_AGAIN_MS, LOOK_AGAIN_MS, nameRemark, PLACEHOLDER } from "../domain/names.ts";
import { pathsOf } from "../domain/paths.ts";
import { groupOf } from "../domain/rgw.ts";
import { namesOf } from "../domain/server-state.ts";
import { OberError, orUndefined, UsageError } from "../errors.ts";
import { type Look, lookOnce, nameStates, prepareNames, serversNow, sourcesNow } from "../haproxy/server-names.ts";
import { listedNames } from "../node/facts.ts";
import { currentConfig, installPathOf, type Node, requireRoot, thisNode, thisNodeAsRoot } from "../node/node.ts";
import { localSystem } from "../system/local.ts";
import { type Output, output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";
import { table } from "../ui/table.ts";

export default defineCommand({
  meta: { name: "names", description: "Show the names of the RGWs, their addresses and what is wrong with them" },
  args: {
    ...globalArgs,
    prepare: { type: "boolean", description: "Resolve them before HAProxy starts or reloads" },
    watch: { type: "boolean", description: "Give the running HAProxy missing addresses until none is missing" },
    accept: {
      type: "boolean",
      description: "Take what files and commands list now, although more than half of the RGWs are missing from it",
    },
    follow: {
      type: "string",
      valueHint: "GROUP,...",
      description: "With --watch: keep running, and follow address changes in these groups",
    },
  },
  async run({ args }) {
    const { prepare = false, watch = false, accept = false, follow } = args;
    if ([prepare, watch, accept].filter(Boolean).length > 1)
      throw new UsageError("--prepare, --watch and --accept exclude each other");
    if (follow !== undefined && !watch) throw new UsageError("--follow belongs to --watch");
    const out = output(args);
    if (accept) return acceptSources(await thisNodeAsRoot(), out);
    if (!prepare && !watch) return show(await thisNode(), out);
    requireRoot();
    const node = nodeOfUnits();
    if (watch) return watchNames(node, out, new Set((follow ?? "").split(",").filter(Boolean)));
    for (const remark of await prepareNames(node, new Date())) out.warn(remark);
  },
});

/** The node that the running executable belongs to, even if its journal is lost: HAProxy must start. */
function nodeOfUnits(): Node {
  const prefix = installPathOf(process.execPath);
  if (prefix === undefined)
    throw new OberError("this ober does not belong to a node", { hint: "the units of a node run this" });
  return { system: localSystem(), paths: pathsOf(prefix) };
}

/** Takes from the sources what they list now, and gives it to HAProxy. */
async function acceptSources(node: Node, out: Output): Promise<void> {
  const [servers, sources] = await Promise.all([serversNow(node), sourcesNow(node)]);
  const own = servers.filter(({ host }) => sources.has(host));
  const followed = new Set(own.map(({ backend }) => groupOf(backend) ?? backend));
  const { taken, remarks } = await lookOnce(
    node,
    { unconfirmed: new Set(), followed, others: [], accept: true },
    new Date(),
  );
  tellTaken(taken, out);
  for (const remark of remarks) out.warn(remark);
  return show(node, out);
}

function tellTaken(taken: Look["taken"], out: Output): void {
  for (const { backend, name, address, before, refused } of taken) {
    const now = address === PLACEHOLDER ? "is no longer needed" : `now has the address ${address}`;
    if (refused === undefined) out.progress(`${backend}/${name} ${now}, before ${before}`);
    else out.warn(`HAProxy did not take the address ${address} for ${backend}/${name}: ${refused}`);
  }
}

async function show(node: Node, out: Output): Promise<void> {
  const [servers, states] = await Promise.all([serversNow(node), nameStates(node)]);
  const now = Date.now();
  const names = namesOf(servers).map((name) => ({ name, ...states.get(name) }));
  const rows = names.map((one) => [
    one.name,
    [one.address ?? "none", ...(one.others ?? [])].join(", "),
    one.at === undefined ? "" : age(now - Date.parse(one.at)),
    nameRemark(one, now) ?? "",
  ]);
  await out.result({ names } satisfies Documents["names"], () =>
    rows.length === 0
      ? "no names: all RGWs are given as addresses"
      : table(["name", "address", "seen", "problem"], rows),
  );
}

/** A reload's new worker may appear a while after the reload is reported done. Keep watching until then. */
const AT_LEAST_MS = 10_000;

/** How often a command of a source is run, at most. */
const COMMAND_AGAIN_MS = 30_000;

/** Watches until no address is missing or stale; for ever if any group follows its names. */
async function watchNames(node: Node, out: Output, followed: ReadonlySet<string>): Promise<void> {
  const begun = performance.now();
  const config = await orUndefined(async () => (await currentConfig(node)).config);
  const others = config === undefined ? [] : listedNames(config);
  const states = await nameStates(node);
  const names = namesOf(await serversNow(node));
  const unconfirmed = new Set(names.filter((name) => !states.has(name) || states.get(name)?.problem !== undefined));
  const commands = new Set([...(await sourcesNow(node))].flatMap(([name, its]) => ("command" in its ? [name] : [])));
  let askedAt = Number.NEGATIVE_INFINITY;
  let said = "";
  for (;;) {
    const isDue = performance.now() - askedAt >= COMMAND_AGAIN_MS;
    if (isDue) askedAt = performance.now();
    const quiet = isDue ? new Set<string>() : commands;
    const { taken, remarks, open } = await lookOnce(node, { unconfirmed, followed, others, quiet }, new Date());
    tellTaken(taken, out);
    // Report a disk that stays full only once.
    if (remarks.join() !== said) for (const remark of remarks) out.warn(remark);
    said = remarks.join();
    if (!open && followed.size === 0 && performance.now() - begun > AT_LEAST_MS) return;
    await Bun.sleep(open ? LOOK_AGAIN_MS : FOLLOW_AGAIN_MS);
  }
}
