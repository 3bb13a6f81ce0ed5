/**
 * Builds the executable: `bun scripts/build.ts [--target linux-x64|linux-arm64|all] [--outfile FILE]`.
 * Without a target it builds `dist/ober` for this machine, else `dist/ober-TARGET`.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";

const root = resolve(import.meta.dir, "..");

/** Name of a target -> npm package that carries its bun runtime, of the same version as the bun that builds. */
const TARGETS = {
  "linux-x64": "@oven/bun-linux-x64",
  "linux-arm64": "@oven/bun-linux-aarch64",
} as const;

export type Target = keyof typeof TARGETS;

/** The target that this machine is. */
export const HOST: Target = process.arch === "arm64" ? "linux-arm64" : "linux-x64";

if (import.meta.main) {
  const { values } = parseArgs({ options: { target: { type: "string" }, outfile: { type: "string" } } });
  const wanted = values.target ?? "host";
  const targets =
    wanted === "all" ? (Object.keys(TARGETS) as Target[]) : [wanted === "host" ? HOST : (wanted as Target)];
  for (const target of targets) {
    if (!Object.hasOwn(TARGETS, target)) {
      console.error(`error: unknown target '${target}'\nhint:  use one of: ${Object.keys(TARGETS).join(", ")}, all`);
      process.exit(2);
    }
    const outfile = resolve(values.outfile ?? join(root, "dist", wanted === "host" ? "ober" : `ober-${target}`));
    await build(target, outfile);
    console.log(`${outfile} (${target}, ${(Bun.file(outfile).size / 2 ** 20).toFixed(0)} MiB)`);
  }
}

/** Builds the executable for `target` as `outfile`, replacing it only when the build succeeded. */
export async function build(target: Target, outfile: string): Promise<void> {
  mkdirSync(dirname(outfile), { recursive: true });
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const result = await Bun.build({
    entrypoints: [join(root, "src/main.ts")],
    target: "bun",
    format: "esm",
    minify: true,
    // A command's code is loaded only when it is called: chunks plus precompiled bytecode start `health` in milliseconds.
    splitting: true,
    bytecode: true,
    define: {
      OBER_VERSION: JSON.stringify(version),
      OBER_COMMIT: JSON.stringify(commit()),
      // The public key that upgrades must be signed with; scripts/release sets it.
      OBER_RELEASE_KEY: JSON.stringify(process.env["OBER_RELEASE_KEY"] ?? ""),
    },
    compile: {
      target: `bun-${target}`,
      outfile,
      // Otherwise `cd /tmp/x && sudo ober status` would run code preloaded by another user's bunfig.toml there.
      autoloadDotenv: false,
      autoloadBunfig: false,
      ...(target === HOST ? {} : { executablePath: runtimeOf(target) }),
    },
  });
  if (!result.success) throw new AggregateError(result.logs, "the build failed");
  chmodSync(outfile, 0o755);
}

/** The commit of the source, with a mark if files differ from it; "unknown" outside a repository. */
function commit(): string {
  const head = git("rev-parse", "--short=12", "HEAD");
  if (head === undefined) return process.env["OBER_COMMIT"] ?? "unknown";
  return git("status", "--porcelain", "--", "src", "assets", "package.json") === "" ? head : `${head}-modified`;
}

function git(...args: string[]): string | undefined {
  if (Bun.which("git") === null) return undefined;
  const { exitCode, stdout } = Bun.spawnSync(["git", "-C", root, ...args], { stdout: "pipe", stderr: "ignore" });
  return exitCode === 0 ? stdout.toString().trim() : undefined;
}

/**
 * The bun runtime for another architecture, from npm, cached next to node_modules. bun would fetch it from GitHub, which build
 * machines often cannot reach, although they reach npm.
 */
function runtimeOf(target: Target): string {
  const cache = join(root, "node_modules/.cache/ober", `${target}-${Bun.version}`);
  const runtime = join(cache, "package/bin/bun");
  if (existsSync(runtime)) return runtime;
  rmSync(cache, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  const name = `${TARGETS[target]}@${Bun.version}`;
  mustRun(["npm", "pack", "--silent", "--pack-destination", cache, name], cache);
  const archive = [...new Bun.Glob("*.tgz").scanSync(cache)][0];
  if (archive === undefined) throw new Error(`npm packed nothing for ${name}`);
  mustRun(["tar", "-xzf", join(cache, archive), "-C", cache, "package/bin/bun"], cache);
  rmSync(join(cache, archive));
  return runtime;
}

function mustRun(argv: string[], cwd: string): void {
  const { exitCode, stderr } = Bun.spawnSync(argv, { cwd, stdout: "ignore", stderr: "pipe" });
  if (exitCode !== 0) throw new Error(`\`${argv.join(" ")}\` ended with ${exitCode}: ${stderr.toString().trim()}`);
}
