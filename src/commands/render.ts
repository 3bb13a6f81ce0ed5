import { dirname, join, resolve } from "node:path";
import { defineCommand } from "citty";
import { mask } from "../change/diff.ts";
import { validateAside, validators } from "../change/validators.ts";
import { requireDistinctAddresses } from "../checks/addresses.ts";
import { parseConfig } from "../config/schema.ts";
import { readSecrets } from "../config/secrets.ts";
import { parseYaml } from "../config/store.ts";
import type { Documents } from "../documents.ts";
import { parseAddress } from "../domain/address.ts";
import { INTERFACE_NAME } from "../domain/interface-name.ts";
import { pathsOf } from "../domain/paths.ts";
import { quote } from "../domain/quote.ts";
import { UsageError } from "../errors.ts";
import { requireInstallPath } from "../install/place.ts";
import { assumeFacts } from "../node/facts.ts";
import { readGiven } from "../node/node.ts";
import { type RenderedFile, render } from "../render/index.ts";
import { localSystem } from "../system/local.ts";
import type { System } from "../system/system.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "render", description: "Write the generated files to a directory, for review and pipelines" },
  args: {
    ...globalArgs,
    from: { type: "string", required: true, valueHint: "FILE", description: "The ober.yaml to render" },
    out: {
      type: "string",
      required: true,
      valueHint: "DIR",
      description: "Where to write; each file at its absolute place under it",
    },
    path: {
      type: "string",
      required: true,
      valueHint: "PATH",
      description: "Install path of the node, such as /opt/ober",
    },
    withoutSecrets: {
      type: "boolean",
      description: "Write stars instead of passwords, for files that others may see",
    },
    check: { type: "boolean", description: "Have the programs installed here check their files" },
    node: {
      type: "string",
      valueHint: "ADDRESS",
      description: "Render as the node with this address (this machine's)",
    },
    interface: { type: "string", valueHint: "NAME", description: "The node's interface (detected)" },
    memory: { type: "string", valueHint: "GIB", description: "The node's memory (this machine's)" },
    descriptors: { type: "string", valueHint: "N", description: "File descriptors of the node's HAProxy (1048576)" },
    haproxyVersion: { type: "string", valueHint: "V", description: "HAProxy of the node (the newest that ober knows)" },
    exabgpVersion: { type: "string", valueHint: "V", description: "ExaBGP of the node (the newest that ober knows)" },
    keepalivedVersion: {
      type: "string",
      valueHint: "V",
      description: "keepalived of the node (the newest that ober knows)",
    },
  },
  async run({ args }) {
    const system = localSystem();
    const source = resolve(args.from);
    const text = await readGiven({ system }, source);
    const config = parseConfig(parseYaml(text, source), source);
    if (args.node !== undefined && parseAddress(args.node) === undefined) {
      throw new UsageError(`--node "${args.node}" is not an address`, "give the node's own address, such as 10.0.0.11");
    }
    if (args.interface !== undefined && !INTERFACE_NAME.test(args.interface)) {
      throw new UsageError(
        `--interface ${quote(args.interface)} is not the name of a network interface`,
        "give a name as `ip link` shows it, such as eth0: the part before an @",
      );
    }
    const facts = await assumeFacts(system, config, {
      address: args.node,
      interface: args.interface,
      memory: memoryOf(args.memory),
      descriptors: descriptorsOf(args.descriptors),
      haproxy: args.haproxyVersion,
      exabgp: args.exabgpVersion,
      keepalived: args.keepalivedVersion,
    });
    requireDistinctAddresses(config, facts, source);
    const paths = pathsOf(requireInstallPath(args.path));
    const files: readonly RenderedFile[] = [
      ...render({ config, facts, paths, secrets: await readSecrets(system) }),
      { path: paths.config, content: text, mode: 0o644 },
    ];
    const out = output(args);
    if (args.check) for (const warning of await checked(system, { files, paths, facts })) out.warn(warning);
    const directory = resolve(args.out);
    for (const { path, content, mode, secrets } of files) {
      const place = join(directory, path);
      await system.makeDirectory(dirname(place));
      await system.writeAtomic(place, args.withoutSecrets ? mask(content, secrets) : content, { mode });
    }
    const secret = args.withoutSecrets ? [] : files.filter(({ secrets = [] }) => secrets.length > 0);
    for (const { path } of secret) {
      out.warn(`${join(directory, path)} holds passwords; --without-secrets writes stars in their place`);
    }
    await out.result(
      { directory, files: files.map(({ path }) => path) } satisfies Documents["render"],
      `wrote ${files.length} files under ${directory}`,
    );
  },
});

/** A program that is not installed here cannot check its file; the result says so. Its version may also differ from the node's. */
async function checked(system: System, given: Parameters<typeof validateAside>[1]): Promise<readonly string[]> {
  const programs = new Set(
    validators(given.paths, { exabgp: given.facts.exabgp }).map(({ argv }) => argv((path) => path)[0] ?? ""),
  );
  const missing = [...programs].filter((program) => Bun.which(program) === null);
  const isAsked = ({ path }: RenderedFile) =>
    !validators(given.paths, { exabgp: given.facts.exabgp }).some(
      ({ reads, argv }) => reads.includes(path) && missing.includes(argv((one) => one)[0] ?? ""),
    );
  const warnings = await validateAside(system, { ...given, files: given.files.filter(isAsked) });
  return [...warnings, ...missing.map((program) => `${program} is not installed here: its files were not checked`)];
}

function descriptorsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{3,7}$/.test(text)) return Number(text);
  throw new UsageError(
    `--descriptors "${text}" is not a number of file descriptors`,
    "write it like --descriptors 65536",
  );
}

/** A number of GiB, as bytes. */
function memoryOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,5}$/.test(text) && Number(text) > 0) return Number(text) * 2 ** 30;
  throw new UsageError(`--memory "${text}" is not a number of GiB`, "write it like --memory 64");
}
