import { EVERY_VIP, SERVES_KEY, servesText } from "../domain/serves.ts";
import { type MapPlace, setMapKey } from "./serves.ts";

/** Clock ticks per second in proc(5): 100 on Linux on x86-64 and arm64. */
const TICKS = 100;

/** Tells the other nodes that keepalived, of process id `pid`, can take over here. A failure does not affect the check. */
export async function sayStandsBy(place: MapPlace, pid: number): Promise<void> {
  const at = Math.floor(Date.now() / 1000);
  const seconds = await ageOf(pid);
  if (seconds === undefined) return;
  await setMapKey(place, SERVES_KEY, servesText({ at, vips: { [EVERY_VIP]: at - seconds } }));
}

/** Seconds since keepalived started; undefined if it has ended meanwhile. */
async function ageOf(pid: number): Promise<number | undefined> {
  const [stat, uptime] = await Promise.all([textOf(`/proc/${pid}/stat`), textOf("/proc/uptime")]);
  return stat === undefined || uptime === undefined ? undefined : ageIn(stat, uptime);
}

/** Seconds from the start of the process in `stat` (proc_pid_stat(5), field 22) until `uptime` (proc_uptime(5)). */
export function ageIn(stat: string, uptime: string): number {
  // The second field is the program's name in parentheses, and may contain anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Math.max(0, Math.floor(Number(uptime.split(" ")[0]) - Number(fields[19]) / TICKS));
}

/** The process id in a file that a daemon writes; undefined if there is none. */
export async function pidIn(path: string): Promise<number | undefined> {
  const pid = Number((await textOf(path))?.trim());
  return Number.isInteger(pid) && pid > 0 ? pid : undefined;
}

/** A file's text; undefined where it cannot be read. */
export async function textOf(path: string): Promise<string | undefined> {
  try {
    return await Bun.file(path).text();
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}
