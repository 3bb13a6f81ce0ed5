import { defineCommand } from "citty";
import { diffFiles, diffText } from "../change/diff.ts";
import { drift, type Generation, generationNumbers, readGeneration } from "../change/generations.ts";
import { parseConfig } from "../config/schema.ts";
import { parseYaml } from "../config/store.ts";
import type { Documents, FileChange } from "../documents.ts";
import { several } from "../domain/foreign.ts";
import type { Paths } from "../domain/paths.ts";
import { OberError, UsageError } from "../errors.ts";
import { applyFiles, forceArgs } from "../node/apply.ts";
import { gatherFacts } from "../node/facts.ts";
import { type Node, thisNodeAsRoot } from "../node/node.ts";
import type { System } from "../system/system.ts";
import { askToApply, showApplied } from "../ui/applied.ts";
import { output } from "../ui/output.ts";
import { changeArgs, dryRunArgs, globalArgs, yesArgs } from "../ui/shared-args.ts";
import { table } from "../ui/table.ts";

export default defineCommand({
  meta: { name: "rollback", description: "Put an earlier configuration back" },
  args: {
    ...globalArgs,
    ...changeArgs,
    ...dryRunArgs,
    ...yesArgs,
    ...forceArgs,
    generation: {
      type: "positional",
      required: false,
      description:
        "Number of the generation (default: the live one if files were edited since, else the one before it)",
    },
    list: { type: "boolean", description: "List the kept generations, or show what one changed" },
  },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    if (args.list) return args.generation === undefined ? showList(node, out) : showOne(node, out, args.generation);
    const { number, why } = await wanted(node, args.generation);
    const generation = await readGeneration(node.system, node.paths, number);
    if (why !== undefined) out.progress(why);
    const source = `generation ${generation.number}`;
    const text = generation.files.find(({ path }) => path === node.paths.config)?.content ?? "";
    const config = parseConfig(parseYaml(text, source), source);
    const facts = await gatherFacts(node, config);
    const { dryRun, yes, force, waitTurn } = args;
    const command = `rollback ${generation.number}`;
    const admit = yes ? undefined : (changes: readonly FileChange[]) => askToApply(out, changes);
    const options = { files: generation.files, facts, config, command, dryRun, admit, force, waitTurn };
    await showApplied(out, await applyFiles(node, out, options));
  },
});

function numberOf(given: string): number {
  if (/^\d+$/.test(given)) return Number(given);
  throw new UsageError(`"${given}" is not the number of a generation`, "`ober rollback --list` shows them");
}

/** The generation to put back and, if no number was given, why that one. */
async function wanted(
  { system, paths }: Node,
  given: string | undefined,
): Promise<{ readonly number: number; readonly why?: string }> {
  if (given !== undefined) return { number: numberOf(given) };
  const numbers = await generationNumbers(system, paths);
  const [before, live] = [numbers.at(-2), numbers.at(-1)];
  const edited = live === undefined ? [] : await editedSince(system, paths, live);
  if (live !== undefined && edited.length > 0) {
    const files = several(edited, NAMED_FILES);
    return { number: live, why: `${files} differ from generation ${live}, which is live: putting ${live} back` };
  }
  if (before !== undefined) return { number: before, why: `generation ${live} is live: putting ${before} back` };
  throw new OberError("there is no earlier generation", {
    hint: "`ober rollback --list` shows what is kept",
  });
}

/** Files that differ from generation `live`: ober.yaml first, because it is edited on purpose. */
async function editedSince(system: System, paths: Paths, live: number): Promise<readonly string[]> {
  const { files } = await readGeneration(system, paths, live);
  const config = files.find(({ path }) => path === paths.config)?.content;
  const changes = await drift(system, paths);
  return [
    ...(config !== undefined && (await system.read(paths.config)) !== config ? [paths.config] : []),
    ...changes.map(({ path }) => path),
  ];
}

const NAMED_FILES = 3;

async function showList({ system, paths }: Node, out: ReturnType<typeof output>): Promise<void> {
  const numbers = await generationNumbers(system, paths);
  const all: Generation[] = [];
  for (const number of numbers) {
    try {
      all.push(await readGeneration(system, paths, number));
    } catch (error) {
      if (!(error instanceof OberError)) throw error;
      out.warn(`generation ${number} cannot be put back: ${error.message}; ${error.hint}`);
    }
  }
  const summary = ({ number, at, by, command, changed }: Generation) => ({ number, at, by, command, changed });
  await out.result({ generations: all.map(summary) } satisfies Documents["rollback --list"], () =>
    table(
      ["", "applied", "by", "with", "changed"],
      all.map(({ number, at, by, command, changed }) => [
        `${number}`,
        at,
        by,
        `ober ${command}`,
        `${changed.length} files`,
      ]),
    ),
  );
}

/** What generation `given` changed compared with the one before it. The oldest is shown whole. */
async function showOne({ system, paths }: Node, out: ReturnType<typeof output>, given: string): Promise<void> {
  const { files, ...about } = await readGeneration(system, paths, numberOf(given));
  const older = (await generationNumbers(system, paths)).filter((number) => number < about.number).at(-1);
  const before = older === undefined ? [] : (await readGeneration(system, paths, older)).files;
  const current = new Map(before.map((file) => [file.path, file]));
  const diff = diffFiles(files, current, [...current.keys()])
    .map(diffText)
    .join("\n");
  await out.result(
    { ...about, diff } satisfies Documents["rollback --list"],
    `generation ${about.number}, ${about.at}, ${about.by}\n${diff}`,
  );
}
