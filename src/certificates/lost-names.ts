/** Names that the certificates were for, and are not any more: clients that use one of them refuse the node. */
import type { Paths } from "../domain/paths.ts";
import { OberError } from "../errors.ts";
import { type OwnFile, parseOwn, writeOwn } from "../system/own-files.ts";
import type { System } from "../system/system.ts";
import type { Examined } from "./pem.ts";

/** The names now and since when, and those that were served for long before that. */
export type NamesRecord = OwnFile<"certificateNames">;

/** What was there for a shorter time was a mistake that was put right. */
const LONG_MS = 3_600_000;

/** The record after the certificates have come to be for `names`. Pure. */
export function namesAfter(before: NamesRecord | undefined, names: readonly string[], now: Date): NamesRecord {
  const sorted = [...new Set(names.map((name) => name.toLowerCase()))].sort();
  if (before === undefined) return { names: sorted, since: now.toISOString(), before: [] };
  if (before.names.join() === sorted.join()) return before;
  const long = now.getTime() - Date.parse(before.since) >= LONG_MS;
  return { names: sorted, since: now.toISOString(), before: long ? before.names : before.before };
}

/** Names from before that no certificate is for now. Pure. */
export const lostNames = ({ names, before }: NamesRecord): readonly string[] =>
  before.filter((name) => !names.some((pattern) => covers(pattern, name)));

/** A wildcard stands for one label; see RFC 6125, 6.4.3. */
const covers = (pattern: string, name: string): boolean =>
  pattern === name || (pattern.startsWith("*.") && pattern.slice(1) === name.slice(name.indexOf(".")));

/** Keeps the names of the certificates that are there now. A disk that is full costs the record, and not the certificate. */
export async function keepNames(
  { system, paths }: { readonly system: System; readonly paths: Paths },
  examined: readonly Examined[],
  now: Date,
): Promise<void> {
  const names = examined.flatMap(({ certificate }) =>
    certificate === undefined || certificate.placeholder ? [] : certificate.names,
  );
  if (names.length === 0) return;
  const before = await readNames(system, paths);
  const after = namesAfter(before, names, now);
  if (after === before) return;
  try {
    await writeOwn(system, paths, "certificateNames", after);
  } catch (error) {
    if (!(error instanceof OberError || (error instanceof Error && "code" in error))) throw error;
  }
}

/** What is kept of the names; undefined where nothing is, or it is damaged. */
export async function readNames(system: System, paths: Paths): Promise<NamesRecord | undefined> {
  const text = await system.read(paths.certificateNames);
  return text === undefined ? undefined : parseOwn("certificateNames", text);
}
