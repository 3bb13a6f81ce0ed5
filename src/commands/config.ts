import { resolve } from "node:path";
import { defineCommand } from "citty";
import { siteDns } from "../certificates/renew.ts";
import { own } from "../change/owned.ts";
import { allKeyValues, findKey, KEY_WORDS, type KeyValue, keyValue, withValue } from "../config/edit.ts";
import { exampleConfig } from "../config/example.ts";
import { editorSchema, editorSchemaText } from "../config/keys/json-schema.ts";
import { type HaMode, parseConfig } from "../config/schema.ts";
import { hasSecret, type SecretChanges } from "../config/secrets.ts";
import { emitShown, parseYaml } from "../config/store.ts";
import { sayingHowToGoOn } from "../config/wizard/kept.ts";
import { askForFile } from "../config/wizard.ts";
import type { Documents, FileChange } from "../documents.ts";
import { CancelledError, ConfigError, type ConfigProblem, OberError, orWarn, UsageError } from "../errors.ts";
import { applyText, forceArgs } from "../node/apply.ts";
import { currentConfig, type Node, notConfigured, readGiven, thisNode, thisNodeAsRoot } from "../node/node.ts";
import { localSystem } from "../system/local.ts";
import { withLock } from "../system/lock.ts";
import { askToApply, showApplied } from "../ui/applied.ts";
import { type Output, output } from "../ui/output.ts";
import { type Prompts, terminalPrompts } from "../ui/prompt.ts";
import { changeArgs, dryRunArgs, globalArgs, yesArgs } from "../ui/shared-args.ts";

const ACTIONS = ["get", "set", "validate"] as const;

export default defineCommand({
  meta: { name: "config", description: "Write or change this node's configuration and apply it" },
  args: {
    ...globalArgs,
    ...changeArgs,
    ...dryRunArgs,
    ...yesArgs,
    ...forceArgs,
    action: {
      type: "positional",
      required: false,
      description: "get KEY: its value in force; set KEY VALUE: change it and apply; validate FILE; none: ask",
      words: ACTIONS,
    },
    key: {
      type: "positional",
      required: false,
      description: "A key such as bgp.local_as or backends[0].servers (get: all keys); with validate a file",
      words: KEY_WORDS,
      after: ["get", "set"],
    },
    value: {
      type: "positional",
      required: false,
      description: 'With set: the value; commas between the entries of a list, "" for the default',
    },
    from: {
      type: "string",
      valueHint: "FILE",
      description: "Take ober.yaml from a file instead of asking; with get: of it",
    },
    example: { type: "boolean", description: "Print a complete ober.yaml with every key explained" },
    mode: { type: "enum", options: ["bgp", "keepalived"], description: "With --example: for this ha_mode (bgp)" },
    schema: { type: "boolean", description: "Print the JSON Schema of ober.yaml, for editors" },
  },
  async run({ args }) {
    const out = output(args);
    const { action, key, value } = args;
    checkUsage(args);
    if (args.example) return printExample(out, (args.mode ?? "bgp") as HaMode);
    if (args.schema)
      return out.result(editorSchema() satisfies Documents["config --schema"], editorSchemaText().trimEnd());
    if (action === "get") return get(out, key, args.from);
    if (action === "validate") return validate(out, key);
    const found = action === "set" ? findKey(key ?? "") : undefined;
    const node = await thisNodeAsRoot();
    const { dryRun, force, waitTurn } = args;
    const admit = args.yes ? undefined : (changes: readonly FileChange[]) => askToApply(out, changes);
    const flags = { dryRun, admit, force, waitTurn, command: "config" };
    if (found !== undefined) {
      const { text } = await currentText(node);
      const changed = withValue(text, node.paths.config, found, value ?? "");
      const options = { ...flags, text: changed, source: node.paths.config, madeFrom: text };
      return showApplied(out, await applyText(node, out, options));
    }
    if (args.from !== undefined) {
      const source = resolve(args.from);
      await showApplied(out, await applyText(node, out, { ...flags, text: await readGiven(node, source), source }));
      return keepEditorSchema(node, out, dryRun);
    }
    await sayingHowToGoOn(node.system, node.paths.configDraft, async () => {
      const options = { ...flags, ...(await askForText(node)), source: node.paths.config };
      await showApplied(out, await applyText(node, out, options));
    });
    if (dryRun !== true) await node.system.remove(node.paths.configDraft);
    await keepEditorSchema(node, out, dryRun);
  },
});

type Given = { readonly [flag in "action" | "key" | "value" | "from" | "mode"]?: string | undefined } & {
  readonly [flag in "example" | "schema"]?: boolean | undefined;
};

/** Refuses what does not belong together. */
function checkUsage({ action, key, value, from, example, mode, schema }: Given): void {
  if (action !== undefined && !ACTIONS.some((known) => known === action)) {
    throw new UsageError(
      `\`ober config\` does not know '${action}'`,
      `ober config ${ACTIONS.join("|")}, or no word to be asked`,
    );
  }
  if (mode !== undefined && !example)
    throw new UsageError("--mode goes with --example", `ober config --example --mode ${mode}`);
  if ((example || schema) && (action !== undefined || from !== undefined || (example && schema))) {
    throw new UsageError(
      `--${example ? "example" : "schema"} stands alone`,
      `ober config --${example ? "example" : "schema"}`,
    );
  }
  if (from !== undefined && (action === "set" || action === "validate")) {
    throw new UsageError(`--from does not go with ${action}`, `ober config ${action} --help`);
  }
  if (action === "set" && (key === undefined || value === undefined)) {
    throw new UsageError("`ober config set` needs KEY and VALUE", `ober config set ${key ?? "stats_port"} VALUE`);
  }
  if (value !== undefined && action !== "set") {
    throw new UsageError(`\`ober config ${action}\` does not take '${value}'`, `ober config ${action} ${key}`);
  }
}

async function printExample(out: Output, mode: HaMode): Promise<void> {
  const text = exampleConfig(mode);
  await out.result({ mode, text } satisfies Documents["config --example"], text.trimEnd());
}

/** The value of one key in force, or of all. */
async function get(out: Output, key: string | undefined, from: string | undefined): Promise<void> {
  const found = key === undefined ? undefined : findKey(key);
  const { config, text } = from === undefined ? await currentConfig(await thisNode()) : await configIn(resolve(from));
  if (found !== undefined) {
    const one = keyValue(config, text, found);
    return out.result(one satisfies Documents["config get"], () => shownAlone(one.value));
  }
  const keys = allKeyValues(config, text);
  await out.result({ keys } satisfies Documents["config get"], () => keys.map(keyLine).join("\n"));
}

async function configIn(file: string) {
  const text = await readGiven({ system: localSystem() }, file);
  return { text, config: parseConfig(parseYaml(text, file), file) };
}

/** A value for people and scripts: a line for each entry of a list, nothing for what is empty. */
function shownAlone(value: unknown): string {
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) return value.join("\n");
  return typeof value === "object" ? emitShown(value) : String(value);
}

function keyLine({ key, value, set }: KeyValue): string {
  const shown = Array.isArray(value) ? value.join(", ") || "[]" : String(value) || '""';
  return `${key}: ${shown}${set ? "" : " (default)"}`;
}

/** Says everything that is wrong with a file; this node's own without one. */
async function validate(out: Output, given: string | undefined): Promise<void> {
  const file = given === undefined ? (await thisNode()).paths.config : resolve(given);
  const text = await readGiven({ system: localSystem() }, file);
  const problems = problemsIn(text, file);
  const document = { file, valid: problems.length === 0, problems } satisfies Documents["config validate"];
  if (problems.length === 0) return out.result(document, `${file} is valid`);
  if (!out.json)
    throw new ConfigError(
      file,
      problems,
      "correct the file; docs/config.md and `ober config --example` have every key",
    );
  process.exitCode = 1;
  await out.result(document, "");
}

function problemsIn(text: string, file: string): readonly ConfigProblem[] {
  try {
    parseConfig(parseYaml(text, file), file);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

async function currentText({ system, paths }: Node): Promise<{ text: string }> {
  const text = await system.read(paths.config);
  if (text !== undefined) return { text };
  throw notConfigured();
}

/** Puts the schema that the first line of a new file names beside it, where editors look. */
async function keepEditorSchema(node: Node, out: Output, dryRun: boolean | undefined): Promise<void> {
  const { system, paths } = node;
  const text = editorSchemaText();
  if (dryRun || (await system.read(paths.editorSchema)) === text) return;
  // The configuration is applied: what only editors miss does not fail the command.
  await orWarn(out.warn, `${paths.editorSchema} is not written`, async () => {
    await ownPath(node, paths.editorSchema);
    await system.writeAtomic(paths.editorSchema, text);
  });
}

/** Notes a file as ober's, so that `uninstall` removes it. */
function ownPath({ system, paths }: Node, path: string): Promise<void> {
  return withLock(paths.prefix, "config", () => own(system, paths, [{ path, before: undefined, after: undefined }]));
}

/** Makes a DNS record and removes it, where the answers have ober get certificates: the timer would find out too late. */
async function proveAccess(node: Node, text: string, prompts: Prompts): Promise<void> {
  const { certs } = parseConfig(parseYaml(text, node.paths.config), node.paths.config);
  if (!certs.acme_enabled) return;
  const wanted = await prompts.confirm({ message: "Prove now that DNS records can be made?", initial: true });
  if (!wanted) return;
  const { proveDns } = await import("../certificates/acme/dns.ts");
  try {
    await proveDns(await siteDns(node, certs), certs.acme_domain, certs.acme_dns_timeout * 1000);
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    const hint = error.hint === undefined ? "" : ` (${error.hint})`;
    const anyway = await prompts.confirm({ message: `${error.message}${hint}. Save it all the same?`, initial: false });
    if (!anyway) throw new CancelledError();
  }
}

/** The text of ober.yaml, and the secrets that go with it, as a person wants them after the questions of the wizard. */
async function askForText(node: Node): Promise<{ text: string; secrets: SecretChanges }> {
  const { system, paths } = node;
  const hint = "ober config --from FILE";
  const prompts = await terminalPrompts(hint, { back: true });
  await ownPath(node, paths.configDraft);
  const hasPassword = await hasSecret(system, "bgp_password");
  const asked = await askForFile({ system, prompts, file: paths.config, draftFile: paths.configDraft, hasPassword });
  await proveAccess(node, asked.text, await terminalPrompts(hint));
  return asked;
}
