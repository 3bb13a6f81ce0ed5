/** Times as people type them: "1h", "1h ago", "10:30", "yesterday", "2026-05-01 12:00". */
import { UsageError } from "../errors.ts";

const UNIT_MS = { s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/**
 * The moment that `given` means at `now`, in this machine's time zone. A time of day means its last occurrence: at nine in the morning,
 * 10:30 was yesterday. Undefined for anything else. Pure.
 */
export function timeOf(given: string, now: Date): Date | undefined {
  const text = given.trim();
  const [, number, unit] = /^(\d{1,6})\s*(s|m|min|h|d|w)(?:\s+ago)?$/.exec(text) ?? [];
  if (number !== undefined) return new Date(now.getTime() - Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS]);
  const day = (days: number) => new Date(now.getFullYear(), now.getMonth(), now.getDate() - days);
  if (text === "now") return now;
  if (text === "today") return day(0);
  if (text === "yesterday") return day(1);
  const [, hours, minutes, seconds = "0"] = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text) ?? [];
  if (hours !== undefined) {
    if (Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return undefined;
    const at = (days: number) => day(days).setHours(Number(hours), Number(minutes), Number(seconds));
    return new Date(at(0) > now.getTime() ? at(1) : at(0));
  }
  if (!/^\d{4}-\d{2}-\d{2}/.test(text)) return undefined;
  // A date alone means local midnight, as in `journalctl --since`, not UTC.
  const parsed = Date.parse(text.length === 10 ? `${text}T00:00` : text.replace(" ", "T"));
  return Number.isNaN(parsed) ? undefined : new Date(parsed);
}

/** The same for a flag. Throws a UsageError that names the flag. */
export function timeGiven(flag: string, given: string, now: Date): Date {
  const time = timeOf(given, now);
  if (time !== undefined) return time;
  throw new UsageError(`${flag} "${given}" is not a time`, `such as ${TIMES_HINT}`);
}

/** For help and hints. */
export const TIMES_HINT = '1h, 2d, 10:30, yesterday or "2026-05-01 12:00"';
