import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const root = resolve(import.meta.dir, "..");
const sources = [...new Bun.Glob("src/**/*.ts").scanSync(root)].filter((file) => !file.endsWith(".d.ts")).sort();
const textOf = (file: string) => readFileSync(join(root, file), "utf8");

/**
 * What each part of the source may import besides its own folder and `src/errors.ts`. A part is the folder or the file
 * directly under `src/`; the longest name wins. Type-only imports are free: they do not exist at run time.
 */
const MAY_IMPORT: Record<string, readonly string[]> = {
  errors: [],
  domain: [],
  assets: [],
  config: ["domain", "system"],
  "config/schema": ["domain"],
  "config/wizard": ["domain", "config", "system", "ui"],
  render: ["domain", "config/schema", "assets"],
  health: ["domain"],
  system: ["domain"],
  haproxy: ["domain", "system"],
  packages: ["domain", "system"],
  "change/diff": ["domain", "config/schema", "render"],
  change: ["domain", "config", "render", "system", "haproxy"],
  certificates: ["domain", "config", "system", "haproxy", "change"],
  // What can be asked of the node before anything is judged.
  "node/facts": ["domain", "config", "system"],
  // Checks ask the parsers about staged files and compare with the newest generation; they change nothing.
  checks: [
    "domain",
    "config",
    "render",
    "change",
    "system",
    "haproxy",
    "packages",
    "health",
    "certificates",
    "node/facts",
  ],
  node: [
    "domain",
    "config",
    "render",
    "change",
    "health",
    "system",
    "haproxy",
    "packages",
    "certificates",
    "checks",
    "assets",
    "ui",
  ],
  install: ["domain", "config", "render", "change", "system", "packages", "checks", "node", "assets", "ui"],
  ui: ["domain"],
  commands: [
    "domain",
    "config",
    "render",
    "change",
    "health",
    "system",
    "haproxy",
    "packages",
    "certificates",
    "checks",
    "install",
    "node",
    "ui",
    "assets",
    // Completion and man describe all of them; the table loads them only when it is asked.
    "commands.ts",
  ],
  "commands.ts": ["commands", "ui"],
  "documents.ts": [],
  arguments: ["domain", "ui"],
  cli: ["domain", "commands.ts", "arguments", "node", "ui"],
  main: ["cli", "health", "ui"],
};

/** Packages and the only files (or folders) that may import them at run time. */
const PACKAGES: Record<string, readonly string[]> = {
  "@clack/prompts": ["src/ui/", "src/config/wizard.ts"],
  yaml: ["src/config/store.ts"],
  diff: ["src/change/diff.ts", "src/config/store/keep-lines.ts"],
  consola: ["src/ui/output.ts"],
  citty: ["src/commands/", "src/cli.ts"],
  "acme-client": ["src/certificates/acme/issue.ts"],
  "@peculiar/x509": ["src/certificates/acme/"],
  valibot: ["src/config/", "src/system/", "src/change/", "src/install/"],
};

/** Words that may stand only in these files. */
const ONLY_IN: readonly [word: RegExp, files: readonly string[]][] = [
  [/\bBun\.spawn|\bBun\.spawnSync|node:child_process|\bBun\.\$/, ["src/system/process.ts"]],
  [/\bconsole\./, ["src/ui/output.ts", "src/main.ts"]],
  [/\bprocess\.exit\(/, ["src/ui/output.ts", "src/main.ts"]],
  [/"ober-[\w-]+\.(?:service|timer|path)"/, ["src/domain/units.ts"]],
  [/JSON\.parse\([^)]*\)+ as /, []],
];

type Import = { readonly file: string; readonly to: string };

const imports: readonly Import[] = sources.flatMap((file) =>
  new Bun.Transpiler({ loader: "ts" }).scanImports(textOf(file)).map(({ path }) => ({ file, to: path })),
);

const isRelative = ({ to }: Import) => to.startsWith(".");

function partOf(file: string): string {
  const name = file.replace(/^src\//, "");
  if (name in MAY_IMPORT) return name;
  const path = name.replace(/\.ts$/, "");
  const parts = Object.keys(MAY_IMPORT).filter((part) => path === part || path.startsWith(`${part}/`));
  return parts.sort((a, b) => b.length - a.length)[0] ?? path;
}

/** Whether `from` may import `to`, both parts. */
function allowed(from: string, to: string): boolean {
  const folder = (part: string) => part.split("/")[0];
  if (to === "errors" || from === to) return true;
  const list = MAY_IMPORT[from] ?? [];
  if (list.includes(to) || list.includes(folder(to) ?? "")) return true;
  // Parts of one folder may use each other, but a part with rules of its own must not reach what its rules forbid.
  return folder(from) === folder(to) && (!from.includes("/") || to === folder(to));
}

describe("imports", () => {
  test("there are sources to look at", () => {
    expect(sources.length).toBeGreaterThan(5);
    expect(imports.filter(isRelative).length).toBeGreaterThan(5);
  });

  test("every file belongs to a part with rules", () => {
    expect(sources.filter((file) => !(partOf(file) in MAY_IMPORT))).toEqual([]);
  });

  test("go along the arrows", () => {
    const against = imports.filter(isRelative).flatMap(({ file, to }) => {
      const target = relative(root, resolve(root, dirname(file), to));
      if (target.startsWith("assets/")) return file === "src/assets.ts" ? [] : [`${file} -> ${target}`];
      if (target === "package.json") return [];
      return allowed(partOf(file), partOf(target)) ? [] : [`${file} -> ${target}`];
    });
    expect(against).toEqual([]);
  });

  test("name a file with its extension, and built-ins with node:", () => {
    const builtins = new Set(require("node:module").builtinModules as string[]);
    const bad = imports.filter((it) =>
      isRelative(it) ? !/\.[a-z]+$/.test(it.to) : builtins.has(it.to) && it.to !== "bun",
    );
    expect(bad.filter(({ to }) => !to.startsWith("node:") && !to.startsWith("bun:"))).toEqual([]);
  });

  test("use a package only where it belongs", () => {
    const bare = imports.filter((it) => !isRelative(it) && !/^(node|bun):|^bun$/.test(it.to));
    const stray = bare.filter(({ file, to }) => {
      const name = Object.keys(PACKAGES).find((known) => to === known || to.startsWith(`${known}/`));
      return !(name && PACKAGES[name]?.some((place) => file.startsWith(place)));
    });
    expect(stray).toEqual([]);
  });

  test("lead from no command into another: what two of them need is in a room of its own", () => {
    const across = imports.filter((it) => it.file.startsWith("src/commands/") && it.to.startsWith("./"));
    expect(across).toEqual([]);
  });

  test("of main are lazy, so that `health` loads nothing of the rest", () => {
    const kinds = new Bun.Transpiler({ loader: "ts" }).scanImports(textOf("src/main.ts")).map(({ kind }) => kind);
    expect(new Set(kinds)).toEqual(new Set(["dynamic-import"]));
  });
});

describe("effects", () => {
  test.each(ONLY_IN)("%p stands only where it belongs", (word, files) => {
    const code = (file: string) => textOf(file).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    expect(sources.filter((file) => word.test(code(file)) && !files.includes(file))).toEqual([]);
  });
});

test("a use case tells a Teller, and returns what it did: it neither prints nor asks", () => {
  const rooms = sources.filter((file) => file.startsWith("src/node/"));
  const speaking = /\bOutput\b[^;]*from "\.\.\/ui\/output\.ts"|from "\.\.\/ui\/prompt\.ts"/;
  expect(rooms.length).toBeGreaterThan(20);
  expect(rooms.filter((file) => speaking.test(textOf(file)))).toEqual([]);
});

describe("the import graph of health", () => {
  const graphOf = async (entry: string) => {
    const built = await Bun.build({ entrypoints: [join(root, entry)], target: "bun", metafile: true });
    return Object.keys(built.metafile?.inputs ?? {});
  };

  test("has nothing from node_modules but citty", async () => {
    const inputs = await graphOf("src/commands/health.ts");
    expect(inputs).toContain("src/health/start.ts");
    expect(inputs.filter((file) => file.includes("node_modules/") && !file.includes("node_modules/citty/"))).toEqual(
      [],
    );
  });

  test("is its own folder alone when it starts fast", async () => {
    const inputs = await graphOf("src/health/start.ts");
    expect(inputs).toContain("src/health/probe.ts");
    // And what the nodes tell each other, and what follows from it, which their side and haproxy.cfg need as well.
    const others = inputs.filter((file) => !file.startsWith("src/health/")).sort();
    expect(others).toEqual(["src/domain/guard.ts", "src/domain/serves.ts", "src/domain/track.ts"]);
  });
});
