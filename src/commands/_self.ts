import { randomBytes } from "node:crypto";
import { gatherFacts } from "../checks/facts.ts";
import { OberError } from "../errors.ts";
import { validate } from "../plan/validators.ts";
import type { RenderedFile } from "../render/index.ts";
import { withLock } from "../system/lock.ts";
import type { System } from "../system/system.ts";
import { systemctl, unitState } from "../system/systemd.ts";
import type { Output } from "../ui/output.ts";
import type { Documents } from "./_documents.ts";
import { currentConfig, type Node } from "./_node.ts";
import type { Versions } from "./_version.ts";

/** Rendering and the parsers' answers take a second or two; this is for a machine under load. */
const PROOF_MS = 60_000;

/**
 * Replaces the executable of this node by `file`, once that has shown its version, rendered the present configuration, and
 * the programs of this node have accepted every file. The one before is kept. Throws an OberError when the new one fails
 * at any of it; the old one is then in place and nothing has changed.
 */
export async function upgradeSelf(
  node: Node,
  out: Output,
  { file, turn }: { readonly file: string; readonly turn: readonly string[] },
): Promise<void> {
  const { system, paths } = node;
  if ((await system.stat(file))?.kind !== "file") {
    throw new OberError(`there is no file ${file}`, { hint: "give the new executable: ober upgrade --self ./ober" });
  }
  // Beside the present one: what it came in, /tmp for instance, may forbid to run programs.
  const candidate = `${paths.executable}.candidate`;
  const { to, from } = await withCopy(system, file, candidate, async () => {
    out.progress("asking the new executable for its version");
    const to = await versionOf(node, candidate, file);
    out.progress("having it render the present configuration");
    await prove(node, candidate);
    const from = await versionOf(node, paths.executable);
    await replace(node, out, { file: candidate, turn });
    return { to, from };
  });
  await out.result(
    { from: from.ober, to: to.ober } satisfies Documents["upgrade --self"],
    `ober ${describe(from)} is now ober ${describe(to)}`,
  );
}

async function withCopy<T>(system: System, file: string, copy: string, action: () => Promise<T>): Promise<T> {
  await system.copy(file, copy, 0o755);
  try {
    return await action();
  } finally {
    await system.remove(copy);
  }
}

/** Puts the executable back that `upgradeSelf` replaced; a second call changes them again. */
export async function restoreSelf(node: Node, out: Output, turn: readonly string[]): Promise<void> {
  const { system, paths } = node;
  if ((await system.stat(paths.previousExecutable)) === undefined) {
    throw new OberError("there is no previous executable", { hint: "ober upgrade --self FILE" });
  }
  const [from, to] = [await versionOf(node, paths.executable), await versionOf(node, paths.previousExecutable)];
  await replace(node, out, { file: paths.previousExecutable, turn });
  await out.result(
    { from: from.ober, to: to.ober } satisfies Documents["upgrade --self"],
    `ober ${describe(from)} is now ober ${describe(to)} again`,
  );
}

const describe = ({ ober, commit }: Versions) => `${ober} (${commit})`;

/** `name` is what messages call the file. */
async function versionOf({ system }: Node, file: string, name = file): Promise<Versions> {
  const { stdout } = await system.run([file, "--version", "--json"], { timeoutMs: PROOF_MS });
  const said: unknown = parsed(stdout);
  if (typeof said === "object" && said !== null && "ober" in said) return said as Versions;
  throw new OberError(`${name} does not say a version of ober`, { hint: "give an executable made by `npm run build`" });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function prove(node: Node, file: string): Promise<void> {
  const { system, paths } = node;
  // A node that is not configured yet has nothing that could be rendered.
  if ((await system.stat(paths.config)) === undefined) return;
  const facts = await gatherFacts(node, (await currentConfig(node)).config);
  const directory = `${paths.var}/upgrade-${randomBytes(8).toString("hex")}`;
  try {
    const place = ["--from", paths.config, "--out", `${directory}/new`, "--path", paths.prefix];
    const { haproxy, exabgp, keepalived } = facts;
    const programs = { haproxy: haproxy.version, exabgp, keepalived };
    const versions = Object.entries(programs).flatMap(([name, { text }]) => [`--${name}-version`, text]);
    const as = ["--node", facts.address, "--interface", facts.interface];
    const { stdout } = await system.run([file, "render", "--json", ...place, ...as, ...versions], {
      timeoutMs: PROOF_MS,
    });
    const { files: names } = parsed(stdout) as { files: readonly string[] };
    const read = async (path: string): Promise<RenderedFile> => ({
      path,
      content: (await system.read(`${directory}/new${path}`)) ?? "",
      mode: (await system.stat(`${directory}/new${path}`))?.mode ?? 0o600,
    });
    const files = await Promise.all(names.filter((path) => path !== paths.config).map(read));
    await validate(system, { files, paths, facts, directory: `${directory}/staged` });
  } finally {
    await system.removeTree(directory);
  }
}

/**
 * Renames `file`'s copy over the executable, and has that one bring the node's files to its own. `turn` is what was typed about the node's turn
 * to leave: new definitions of units may take it out of traffic for a moment.
 */
async function replace(
  node: Node,
  out: Output,
  { file, turn }: { readonly file: string; readonly turn: readonly string[] },
): Promise<void> {
  const { system, paths } = node;
  const aside = `${paths.executable}.aside`;
  await withLock(paths.prefix, "upgrade", async () => {
    await system.copy(paths.executable, aside, 0o755);
    await system.copy(file, paths.executable, 0o755);
    await system.rename(aside, paths.previousExecutable);
  });
  if ((await system.stat(paths.config)) === undefined) return;
  out.progress("applying the configuration with it");
  const { code, stderr } = await system.run([paths.executable, "apply", "--yes", ...turn], {
    accept: [0, 1, 2, 70],
    timeoutMs: 300_000,
    gentle: true,
  });
  if (code !== 0) {
    await withLock(paths.prefix, "upgrade", () => system.rename(paths.previousExecutable, paths.executable));
    throw new OberError(
      `the new executable could not apply the configuration; the old one is back:\n${stderr.trim()}`,
      {
        hint: "`ober status` shows what runs",
      },
    );
  }
  // The health loop that ExaBGP runs is still the old program. A reload replaces it; the sessions and routes stay.
  if ((await unitState(system, "ober-bgp.service")).active === "active") {
    await systemctl(system, "reload", "ober-bgp.service");
  }
  // So is what follows names; a node without names has no such unit.
  if ((await unitState(system, "ober-names.service")).active === "active") {
    await systemctl(system, "restart", "ober-names.service");
  }
}
