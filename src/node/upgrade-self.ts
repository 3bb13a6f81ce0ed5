import { randomBytes } from "node:crypto";
import { dirname, resolve } from "node:path";
import { validate } from "../change/validators.ts";
import { RELEASE_KEY } from "../domain/build.ts";
import { numberIn } from "../domain/foreign.ts";
import { UNIT } from "../domain/units.ts";
import { OberError } from "../errors.ts";
import { digestOf } from "../packages/offline.ts";
import { isSignedBy } from "../packages/signature.ts";
import type { RenderedFile } from "../render/index.ts";
import type { System } from "../system/system.ts";
import { systemctl, unitState } from "../system/systemd.ts";
import { MANUAL_MARK } from "../ui/man.ts";
import { gatherFacts } from "./facts.ts";
import { currentConfig, type Node } from "./node.ts";
import type { Teller } from "./teller.ts";
import type { Versions } from "./versions.ts";

/** Rendering and the parsers' answers take a second or two; this is for a machine under load. */
const PROOF_MS = 60_000;

type ReplaceOptions = {
  /** What was typed about the node's turn to leave: new definitions of units may take it out of traffic for a moment. */
  readonly turn: readonly string[];
  /** Runs an action with the lock of the installation, which the new executable takes for itself in between. */
  readonly locked: <T>(action: () => Promise<T>) => Promise<T>;
};

type SelfOptions = ReplaceOptions & {
  readonly file: string;
  /** Called before an older version is installed; throws to leave it. Undefined to install it unasked. */
  readonly admitOlder?: ((present: Versions, older: Versions) => Promise<void>) | undefined;
  readonly unsigned: boolean;
  /** The key that must have signed the new one; empty for none. */
  readonly releaseKey?: string;
};

/** What the executable was and is now; `order` is -1 for an older one, 1 for a newer one, 0 for the same or an unknown version. */
export type Replaced = { readonly from: Versions; readonly to: Versions; readonly order: number };

/**
 * Replaces the executable of this node by `file`, once that has shown its version, rendered the present configuration, and
 * the programs of this node have accepted every file. The one before is kept. Throws an OberError when the new one fails
 * at any of it; the old one is then in place and nothing has changed.
 */
export async function upgradeSelf(node: Node, teller: Teller, options: SelfOptions): Promise<Replaced> {
  const { file, admitOlder, unsigned, releaseKey = RELEASE_KEY } = options;
  const { system, paths } = node;
  await refuseOddFile(system, file);
  // Judged and installed are the same bytes: the copy's, which only root can change. Beside the present one, as /tmp may forbid to run programs.
  const candidate = paths.executableCandidate;
  return withCopy(system, file, candidate, async () => {
    if (!unsigned && releaseKey !== "") await refuseUnsigned(system, { file, candidate, releaseKey });
    teller.progress("asking the new executable for its version");
    const to = await versionOf(node, candidate, file);
    const from = await versionOf(node, paths.executable);
    const order = orderOf(from, to);
    if (order < 0) await admitOlder?.(from, to);
    teller.progress("having it render the present configuration");
    await prove(node, candidate, file);
    await replace(node, teller, { ...options, candidate });
    return { from, to, order };
  });
}

async function refuseOddFile(system: System, file: string): Promise<void> {
  const hint = "give the new executable: ober upgrade --self ./ober";
  const link = await system.readLink(file);
  const stat = await system.stat(link === undefined ? file : resolve(dirname(file), link));
  if (stat === undefined) throw new OberError(`there is no file ${file}`, { hint });
  if (stat.kind === "directory") throw new OberError(`${file} is a directory`, { hint });
  if (stat.kind !== "file") throw new OberError(`${file} is not a regular file`, { hint });
  if (stat.size === 0) throw new OberError(`${file} is empty`, { hint });
}

/** An executable of a signed release takes only successors that the same key has signed; one that was built without a key cannot tell. */
async function refuseUnsigned(
  system: System,
  { file, candidate, releaseKey }: { readonly file: string; readonly candidate: string; readonly releaseKey: string },
): Promise<void> {
  const signature = await system.read(`${file}.sig`);
  const hint = "take both from the same release; an ober that you have built yourself: --unsigned";
  if (signature === undefined) throw new OberError(`${file} has no signature beside it: ${file}.sig`, { hint });
  if (isSignedBy(Buffer.from(await digestOf(system, candidate)), signature, releaseKey)) return;
  throw new OberError(`${file} is not what those who released this ober have signed in ${file}.sig`, { hint });
}

async function withCopy<T>(system: System, file: string, copy: string, action: () => Promise<T>): Promise<T> {
  await system.copy(file, copy, 0o755);
  try {
    return await action();
  } finally {
    await system.remove(copy);
  }
}

function orderOf(from: Versions, to: Versions): number {
  const known = [from, to].every(({ ober }) => /^\d+\.\d+\.\d+/.test(ober));
  return known ? Bun.semver.order(to.ober, from.ober) : 0;
}

/** Puts back the executable that `upgradeSelf` replaced; a second call exchanges them again. */
export async function restoreSelf(node: Node, teller: Teller, options: ReplaceOptions): Promise<Replaced> {
  const { system, paths } = node;
  if ((await system.stat(paths.previousExecutable)) === undefined) {
    throw new OberError("there is no previous executable", { hint: "ober upgrade --self FILE" });
  }
  const [from, to] = [await versionOf(node, paths.executable), await versionOf(node, paths.previousExecutable)];
  const candidate = paths.executableCandidate;
  await withCopy(system, paths.previousExecutable, candidate, () => replace(node, teller, { ...options, candidate }));
  return { from, to, order: orderOf(from, to) };
}

const NO_OBER = "give an executable made by `npm run build`, or of a release";
/** Far more than an ober says of its version, or of the files that it has rendered. */
const MOST_SAID = 1 << 20;

/** `name` is what messages call the file. */
async function versionOf(node: Node, file: string, name = file): Promise<Versions> {
  const said = parsed(await answer(node, file, name, ["--version", "--json"]));
  const isText = (value: unknown) => typeof value === "string" && /^[\w.+-]{1,64}$/.test(value);
  if (typeof said === "object" && said !== null && "ober" in said && "commit" in said) {
    if (isText(said.ober) && isText(said.commit)) return said as Versions;
  }
  throw new OberError(`${name} does not say a version of ober`, { hint: NO_OBER });
}

/** What the executable says; a failure names the file that was given. */
async function answer({ system }: Node, file: string, name: string, words: readonly string[]): Promise<string> {
  try {
    return (await system.run([file, ...words], { timeoutMs: PROOF_MS, mostBytes: MOST_SAID })).stdout;
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    const message = error.message.replaceAll(file, name);
    throw new OberError(`the new executable fails: ${message}`, { hint: NO_OBER, cause: error });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function prove(node: Node, file: string, name: string): Promise<void> {
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
    const said = parsed(await answer(node, file, name, ["render", "--json", ...place, ...as, ...versions]));
    const names = typeof said === "object" && said !== null && "files" in said ? said.files : undefined;
    if (!Array.isArray(names) || !names.every((path) => typeof path === "string" && /^\/[^\0]{1,1024}$/.test(path)))
      throw new OberError(`${name} does not say which files it has rendered`, { hint: NO_OBER });
    const read = async (path: string): Promise<RenderedFile> => ({
      path,
      content: (await system.read(`${directory}/new${path}`)) ?? "",
      mode: (await system.stat(`${directory}/new${path}`))?.mode ?? 0o600,
    });
    const files = await Promise.all((names as string[]).filter((path) => path !== paths.config).map(read));
    await validate(system, { files, paths, facts, directory: `${directory}/staged` });
  } finally {
    await system.removeTree(directory);
  }
}

/** An apply may wait for the transfers of the node. */
const APPLY_MS = 300_000;

/**
 * Renames the candidate over the executable and has that one apply the configuration. The one before is back if it fails at that.
 */
async function replace(
  node: Node,
  teller: Teller,
  { candidate, turn, locked }: ReplaceOptions & { readonly candidate: string },
): Promise<void> {
  const { system, paths } = node;
  const { executableAside: aside } = paths;
  const isConfigured = (await system.stat(paths.config)) !== undefined;
  await locked(async () => {
    await endTrial(node);
    await system.copy(paths.executable, aside, 0o755);
    await system.rename(aside, paths.previousExecutable);
    await system.writeAtomic(paths.executableOnTrial, `${process.pid}\n`, { mode: 0o600 });
    await system.rename(candidate, paths.executable);
  });
  try {
    if (isConfigured) {
      teller.progress("applying the configuration with it");
      await system.run([paths.executable, "apply", "--yes", ...turn], { timeoutMs: APPLY_MS, gentle: true });
    }
  } catch (error) {
    await locked(() => putBack(node));
    if (!(error instanceof OberError)) throw error;
    throw new OberError(`the new executable could not apply the configuration; the old one is back: ${error.message}`, {
      hint: "`ober status` shows what runs",
      cause: error,
    });
  }
  await system.remove(paths.executableOnTrial);
  // The page of the former one is out of date; what else may be there is not ober's.
  if ((await system.read(paths.manual))?.startsWith(MANUAL_MARK)) {
    const { stdout } = await system.run([paths.executable, "man"]);
    await system.writeAtomic(paths.manual, stdout, { mode: 0o644 });
  }
  if (!isConfigured) return;
  // The health loop that ExaBGP runs is still the old program. A reload replaces it; the sessions and routes stay.
  if ((await unitState(system, UNIT.bgp)).active === "active") {
    await systemctl(system, "reload", UNIT.bgp);
  }
  // So are what follows names and the health loop of VRRP mode, whose restart moves no VIP. Not every node has these units.
  for (const unit of [UNIT.names, UNIT.health]) {
    if ((await unitState(system, unit)).active === "active") await systemctl(system, "restart", unit);
  }
}

async function putBack({ system, paths }: Node): Promise<void> {
  // A copy, and then the rename: at every moment there is one that runs.
  if ((await system.stat(paths.previousExecutable)) !== undefined)
    await system.copy(paths.previousExecutable, paths.executable, 0o755);
  await system.remove(paths.executableOnTrial);
}

/**
 * Puts back the executable that a new one replaced, if the process that tried the new one is gone: killed, or the machine lost power. Returns its
 * path, or undefined if there was nothing to do. Needs the lock.
 */
export async function endTrial(node: Node): Promise<string | undefined> {
  const { system, paths } = node;
  const written = await system.read(paths.executableOnTrial);
  if (written === undefined) return undefined;
  const pid = numberIn(written.trim());
  if (pid !== undefined && pid !== process.pid && (await isOber(system, pid))) return undefined;
  await putBack(node);
  return paths.executable;
}

/** Whether the process is an `ober upgrade`; another may have got its number since. */
async function isOber(system: System, pid: number): Promise<boolean> {
  const words = ((await system.read(`/proc/${pid}/cmdline`)) ?? "").split("\0");
  return words.includes("upgrade");
}
