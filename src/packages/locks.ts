import { OberError } from "../errors.ts";
import type { System } from "../system/system.ts";

type Holder = { readonly file: string; readonly pid: string; readonly name: string };

/** The process that holds a lock on one of `files`, by /proc/locks (proc(5)) and its open files; undefined if there is none. */
async function lockHolder(system: System, files: readonly string[]): Promise<Holder | undefined> {
  for (const pid of lockingPids((await system.read("/proc/locks")) ?? "")) {
    for (const number of await system.list(`/proc/${pid}/fd`)) {
      const file = await system.readLink(`/proc/${pid}/fd/${number}`);
      if (file === undefined || !files.includes(file)) continue;
      return { file, pid, name: ((await system.read(`/proc/${pid}/comm`)) ?? "").trim() };
    }
  }
  return undefined;
}

/** Pids of processes that hold a write lock. Lines with "->" wait for one; pid 0 belongs to another container. */
export function lockingPids(text: string): readonly string[] {
  const pids = text.split("\n").flatMap((line) => /^\d+: (?:POSIX|FLOCK)\s+\S+\s+WRITE (\d+) /.exec(line)?.[1] ?? []);
  return [...new Set(pids)].filter((pid) => pid !== "0");
}

/** Waits until no process holds any of `files`; says which one does, at once and every ten seconds. Throws an OberError after `mostMs`. */
export async function waitForLocks(
  system: System,
  files: readonly string[],
  { mostMs, tell }: { mostMs: number; tell: (line: string) => void },
): Promise<void> {
  const begun = system.clock.now();
  for (let seconds = 0; ; seconds++) {
    const holder = await lockHolder(system, files);
    if (holder === undefined) return;
    const who = `${holder.name} (pid ${holder.pid})`;
    if (system.clock.now() - begun >= mostMs) {
      throw new OberError(`${who} has held ${holder.file} for ${Math.round(mostMs / 1000)} s; nothing was installed`, {
        hint: `see what it does (\`ps -fp ${holder.pid}\`), let it finish, then run the command again`,
      });
    }
    if (seconds % 10 === 0) tell(`waiting for ${who}, which holds ${holder.file}`);
    await system.clock.sleep(1000);
  }
}
