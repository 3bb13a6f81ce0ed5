import { resolve } from "node:path";
import { defineCommand } from "citty";
import { siteDns } from "../certificates/renew.ts";
import { parseConfig } from "../config/schema.ts";
import { hasSecret, type SecretChanges } from "../config/secrets.ts";
import { emitConfig, parseYaml } from "../config/store.ts";
import { askConfiguration } from "../config/wizard.ts";
import { CancelledError, OberError } from "../errors.ts";
import { applyText, forceArgs } from "../node/apply.ts";
import { type Node, readGiven, thisNodeAsRoot } from "../node/node.ts";
import { output } from "../ui/output.ts";
import { type Prompts, terminalPrompts } from "../ui/prompt.ts";
import { dryRunArgs, globalArgs, yesArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "config", description: "Write or change this node's configuration and apply it" },
  args: {
    ...globalArgs,
    ...dryRunArgs,
    ...yesArgs,
    ...forceArgs,
    from: { type: "string", valueHint: "FILE", description: "Take ober.yaml from a file instead of asking" },
  },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    const source = args.from === undefined ? undefined : resolve(args.from);
    const given = source === undefined ? await askForText(node) : { text: await readGiven(node, source) };
    await applyText(node, out, {
      ...given,
      source: source ?? node.paths.config,
      command: "config",
      dryRun: args.dryRun,
      yes: args.yes,
      force: args.force,
      waitTurn: args.waitTurn,
    });
  },
});

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
async function askForText({ system, paths }: Node): Promise<{ text: string; secrets: SecretChanges }> {
  const prompts = await terminalPrompts("ober config --from FILE");
  const before = await system.read(paths.config);
  const { answers, secrets } = await askConfiguration({
    prompts,
    present: before === undefined ? undefined : parseYaml(before, paths.config),
    hasPassword: await hasSecret(system, "bgp_password"),
  });
  const text = emitConfig(before, answers);
  await proveAccess({ system, paths }, text, prompts);
  return { text, secrets };
}
