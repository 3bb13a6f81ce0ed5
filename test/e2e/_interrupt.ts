/** Kills an `ober` in the middle of what it does. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { LabNode } from "../lab/lab.ts";
import { becomes, type ProcessRecord, recordOf, run, signal, until } from "../lab/process.ts";

/**
 * Starts `argv` on a node and kills it (SIGKILL, only it and not what it runs) as soon as `isTime` says so. Returns
 * whether it was killed; false when it had ended before.
 */
export async function killWhen(node: LabNode, argv: readonly string[], isTime: () => boolean): Promise<boolean> {
  const child = Bun.spawn(node.enter(argv), { stdout: "ignore", stderr: "ignore" });
  const program = await until(`${argv.join(" ")} runs`, () => programBelow(child.pid, argv[0] ?? ""), 5_000, 1);
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  while (!isTime()) {
    if (hasEnded()) return false;
    await Bun.sleep(1);
  }
  if (hasEnded()) return false;
  signal(program, "SIGKILL");
  await child.exited;
  return true;
}

/** One call of the kernel with one path, as strace(1) names both; `open` is the writer's first. */
export type Point = { readonly call: "open" | "rename" | "unlink"; readonly path: string };

const CALLS = {
  open: "open,openat",
  rename: "rename,renameat,renameat2",
  unlink: "unlink,unlinkat",
} as const;

/**
 * Runs `argv` on a node and has its first call at `point` end it (SIGKILL, only it and not what it runs), or fail with the
 * error of that name. A signal is lost where strace stops a process by its seccomp filter, so every call stops it. `reached` is false when it never made that call.
 */
export async function tampered(node: LabNode, argv: readonly string[], { call, path }: Point, effect = "SIGKILL") {
  const trace = join(mkdtempSync(join(tmpdir(), "ober-point-")), "trace");
  const what = effect === "SIGKILL" ? "signal=SIGKILL" : `error=${effect}`;
  const calls = CALLS[call];
  const tamper = ["-P", path, "-e", `trace=${calls}`, "-e", `inject=${calls}:${what}`];
  try {
    const strace = ["strace", "-f", "-qq", "-o", trace, ...tamper];
    const { code, stderr } = await run([...strace, ...node.enter(argv)], { accept: [0, 1, 137] });
    return { code, stderr, reached: readFileSync(trace, "utf8").includes(path) };
  } finally {
    rmSync(dirname(trace), { recursive: true });
  }
}

/** Waits until nothing that the killed program had started (apt-get, dpkg) runs any more. */
export async function quietens(node: LabNode, names: readonly string[]): Promise<void> {
  const isQuiet = async () => {
    const { stdout } = await node.exec(["ps", "-e", "-o", "comm="]);
    return !stdout.split("\n").some((name) => names.includes(name));
  };
  if (!(await becomes(isQuiet, 60_000))) throw new Error(`one of ${names.join(", ")} still runs on ${node.name}`);
}

/** nsenter forks before it executes; the program is its child once the command line is the program's own. */
function programBelow(pid: number, name: string): ProcessRecord | undefined {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  if (child === undefined) return undefined;
  return readFileSync(`/proc/${child}/cmdline`, "utf8").split("\0")[0] === name ? recordOf(child) : undefined;
}
