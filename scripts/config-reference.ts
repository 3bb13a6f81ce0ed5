/**
 * Writes the files made from the table of keys (src/config/keys.ts): docs/config.md, the reference of `ober.yaml`, and
 * docs/schema/ober.yaml.schema.json, for editors. Run `bun scripts/config-reference.ts`; a test fails if it must run again.
 */
import { join, posix } from "node:path";
import { activationOf } from "../src/change/activate.ts";
import { diffFiles } from "../src/change/diff.ts";
import { exampleConfig } from "../src/config/example.ts";
import { editorSchemaText } from "../src/config/keys/json-schema.ts";
import { type Entries, isGroup, isIgnored, type Row } from "../src/config/keys/kinds.ts";
import { KEYS, ROWS } from "../src/config/keys.ts";
import { type HaMode, parseConfig } from "../src/config/schema.ts";
import { parseYaml } from "../src/config/store.ts";
import { type Draft, setAt } from "../src/config/wizard/draft.ts";
import type { NodeFacts } from "../src/domain/facts.ts";
import { pathsOf } from "../src/domain/paths.ts";
import { parseVersion, type Version } from "../src/domain/version.ts";
import { type RenderedFile, render } from "../src/render/index.ts";

const root = join(import.meta.dirname, "..");
export const REFERENCE_FILE = join(root, "docs/config.md");
export const EDITOR_SCHEMA_FILE = join(root, "docs/schema/ober.yaml.schema.json");

const PATHS = pathsOf("/opt/ober");

function versionOf(text: string): Version {
  const version = parseVersion(text);
  if (version === undefined) throw new Error(`${text} is not a version`);
  return version;
}

/** A node of the example's cluster on which every part of a configuration has an effect. */
const FACTS: NodeFacts = {
  ober: "1.0.0",
  hostname: "node01",
  address: "10.77.0.11",
  interface: "eth0",
  addresses: [{ address: "10.77.0.11", interface: "eth0" }],
  networks: ["10.77.0.0/24"],
  memory: 64 * 2 ** 30,
  descriptors: 1_048_576,
  haproxy: { version: versionOf("3.4.6"), features: ["PROMEX", "OPENSSL_AWSLC"] },
  exabgp: versionOf("5.0.15"),
  keepalived: versionOf("2.3.3"),
  routes: {
    "10.0.0.1": { address: "10.77.0.11", interface: "eth0" },
    "10.0.0.2": { address: "10.77.0.11", interface: "eth0" },
  },
  resolved: Object.fromEntries(
    ["node01", "node02", "node03", "node04"].map((name, index) => [name, [`10.77.0.${11 + index}`]]),
  ),
};

/** The example of each mode; what is made of it is a copy. */
const EXAMPLES = {
  bgp: parseYaml(exampleConfig("bgp"), "the example") as Draft,
  keepalived: parseYaml(exampleConfig("keepalived"), "the example") as Draft,
};

const groups = (draft: Draft) => draft["backends"] as readonly Draft[];

const withArchive = (example: Draft): Draft => ({
  ...example,
  backends: [...groups(example), { name: "archive", servers: ["rgw9.internal:7480"] }],
});

/** The example, changed for keys that have a meaning only together with others. */
const BESIDE: Readonly<Record<string, (example: Draft) => Draft>> = {
  "certs.acme_enabled": (example) => ({
    ...example,
    certs: { acme_domain: "s3.example.org", rfc2136_server: "ns1.example.org" },
  }),
  "backends[].name": (example) => ({ ...example, vips: ["10.0.0.100"] }),
  zones: (example) => setAt(example, ["backends", 0, "servers"], [{ name: "rgw1:7480", zone: "a" }, "rgw2:7480"]),
  "backends[].fallback": withArchive,
  "backends[].fallback_for": (example) => setAt(withArchive(example), ["backends", 0, "fallback"], "archive"),
  "backends[].ca_file": (example) => setAt(example, ["backends", 0, "tls"], true),
  "backends[].sni": (example) => setAt(example, ["backends", 0, "tls"], true),
  "backends[].verify": (example) => setAt(example, ["backends", 0, "tls"], true),
  "keepalived.owners": (example) => setAt(example, ["keepalived", "peers"], ["node[01-04]"]),
  "vips[].backend": (example) => ({
    ...example,
    backends: [{ ...groups(example)[0], name: "cold" }, ...groups(example)],
  }),
};

/** Values to compare the key's example with, if a whole file cannot have its default. */
const OTHER: Readonly<Record<string, unknown>> = {
  nodes: ["node[01-03]"],
  zones: { a: ["node[03-04]"], b: ["node[01-02]"] },
  "bgp.local_as": 65_009,
  "bgp.peer_as": 65_009,
  "bgp.neighbors": ["10.0.0.1"],
  "keepalived.peers": ["192.168.1.[11-12]"],
  "vips[].address": "10.0.0.101",
  "vips[].backend": "cold",
  "vips[].vrid": 52,
  "backends[].name": "archive",
  "backends[].servers": ["rgw9.internal:7480"],
};

function renderedBy(draft: Draft): readonly RenderedFile[] {
  const config = parseConfig(draft, "the example");
  const facts = { ...FACTS, interface: config.keepalived.interface || FACTS.interface };
  return render({ config, facts, paths: PATHS, secrets: { bgpPassword: () => undefined } });
}

/** What a running node does if the key changes: the planned change between a configuration with the example and one without. */
function effectOf(row: Row): string {
  const mode: HaMode = row.path.startsWith("keepalived") || row.path === "vips[].vrid" ? "keepalived" : "bgp";
  const place = row.path.split(".").flatMap((key) => (key.endsWith("[]") ? [key.slice(0, -2), 0] : [key]));
  const example = EXAMPLES[mode];
  const base = BESIDE[row.path]?.(example) ?? example;
  const values = [OTHER[row.path] ?? row.fallback, row.example];
  const [one = base, other = base] = values.map((value) => setAt(base, place, value));
  const before = new Map(renderedBy(one).map(({ path, content, mode }) => [path, { content, mode }]));
  const changes = diffFiles(renderedBy(other), before, [...before.keys()]);
  const { reload, restart, later, journald } = activationOf(changes, PATHS);
  const switched = changes.filter(({ before, after }) => before === undefined || after === undefined);
  const units = switched.map(({ path }) => posix.basename(path)).filter((name) => name.endsWith(".service"));
  const reloaded = reload.filter((name) => !units.includes(name));
  const named = (names: readonly string[]) => names.map((name) => `\`${name.replace(".service", "")}\``).join(", ");
  const parts = [
    ...(units.length > 0 ? [`starts or ends ${named(units)}`] : []),
    ...(restart.length > 0 ? [`restarts ${named(restart)}`] : []),
    ...(reloaded.length > 0 ? [`reloads ${named(reloaded)}`] : []),
    ...(journald ? ["restarts the journal of ober's units"] : []),
    ...(later.length > 0 ? [`${named(later)} at the next \`ober restart\``] : []),
  ];
  return parts.join("; ") || "nothing restarts";
}

const code = (value: unknown) =>
  `\`${typeof value === "string" ? value || '""' : JSON.stringify(value).replaceAll(",", ", ")}\``;
const cell = (text: string) => text.replaceAll("|", "\\|");

function rowText(row: Row): string {
  const { path, kind, required, fallback, example, empty, since, says } = row;
  const words = Object.entries(kind.choices ?? {}).map(([word, meaning]) => `\`${word}\`: ${meaning}`);
  const meaning = [says, ...(words.length > 0 ? [`${words.join("; ")}.`] : [])].join(" ");
  const isEmpty = fallback === "" || fallback === 0 || ["[]", "{}"].includes(JSON.stringify(fallback));
  const preset = required
    ? "required"
    : fallback === undefined || (isEmpty && empty !== undefined)
      ? (empty ?? "")
      : code(fallback);
  const range = kind.choices !== undefined ? "" : [kind.range, kind.unit].filter(Boolean).join(" ");
  const name = `<a id="${path.replace(/[.[\]]+/g, "-")}"></a>\`${path}\``;
  return `| ${[name, meaning, preset, range, code(example), effectOf(row), since].map(cell).join(" | ")} |`;
}

function table(rows: readonly Row[]): string {
  return [
    "| key | meaning | default | range | example | when it changes | since |",
    "|---|---|---|---|---|---|---|",
    ...rows.map(rowText),
  ].join("\n");
}

/** docs/config.md as text. */
export function referenceText(): string {
  const entries = Object.entries(KEYS as Entries);
  const alone = ROWS.filter(({ path }) => !/[.[]/.test(path));
  const sections = entries.flatMap(([name, entry]) =>
    isGroup(entry)
      ? [
          `## ${name}\n\n${entry.says}\n\n${table(ROWS.filter(({ path }) => path.startsWith(`${name}${entry.many ? "[]" : ""}.`)))}`,
        ]
      : [],
  );
  const ignored = [
    ...entries,
    ...entries.flatMap(([name, entry]) => (isGroup(entry) ? inside(name, entry.entries) : [])),
  ];
  const old = ignored.flatMap(([name, entry]) => (isIgnored(entry) ? [`* \`${name}\`: ${entry.says}.`] : []));
  return `${[
    "# ober.yaml, key by key",
    "Made by `bun scripts/config-reference.ts` from src/config/keys.ts.",
    `One file fits every node of a cluster: differences between nodes are detected. Its place is \`PATH/etc/ober.yaml\`; \`ober apply\` applies it.
These commands read and change it; what changes it applies it too:`,
    `    ober config                                   # asks, section by section; Shift-Tab goes back, Ctrl-C keeps the answers
    ober config get bgp.hold_time                 # the value in force; without a key all of them
    ober config set backends[0].max_requests 2048 # changes one key, keeps comments, applies
    ober config validate ober.yaml                # every problem at once; exit code 1 where there is one
    ober config --example --mode keepalived       # a complete file, every key explained
    ober config --schema > ober.schema.json       # what editors know of the keys`,
    `An editor with a YAML language server reads the schema that the first line names, \`# yaml-language-server: $schema=ober.schema.json\`:
\`ober config\` writes it next to a node's file. docs/schema/ober.yaml.schema.json is the same.`,
    `A key with an empty value (\`""\`, \`[]\`, nothing) is not set and has its default. Lists of nodes, routers and servers are host lists:
\`node[01-04]\`, \`rgw[1-4].internal:7480\`; inside \`[...]\` they need quotes. Secrets belong in \`~/.ober/login\`.`,
    `"When it changes" is what \`ober apply\` does to a running node, computed from the plan of such a change.
A reload of \`ober-http\` ends no connection. A restart of \`ober-bgp\` or \`ober-ha\` takes the node out of traffic for a moment, one node at a time.`,
    `## The top of the file\n\n${table(alone)}`,
    ...sections,
    `## Ignored\n\nFiles of the Python version have these keys. ober accepts and ignores them.\n\n${old.join("\n")}`,
  ].join("\n\n")}\n`;
}

const inside = (name: string, entries: Entries) =>
  Object.entries(entries).map(([key, entry]) => [`${name}.${key}`, entry] as const);

if (import.meta.main) {
  await Bun.write(REFERENCE_FILE, referenceText());
  await Bun.write(EDITOR_SCHEMA_FILE, editorSchemaText());
}
