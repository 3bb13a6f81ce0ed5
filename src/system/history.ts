import type { Paths } from "../domain/paths.ts";
import { mapTexts, typedWithoutSecrets } from "../domain/redact.ts";
import type { HistoryEntry } from "../health/history.ts";
import { parseOwn } from "./own-files.ts";
import type { System } from "./system.ts";

/** All entries since `since`, oldest first. Skips lines that a power cut left incomplete, and lines that are not entries. */
export async function readHistory(system: System, paths: Paths, since: Date): Promise<readonly HistoryEntry[]> {
  const halves = await Promise.all([paths.olderHistory, paths.history].map((path) => system.read(path)));
  return parseHistory(halves.join("")).filter(({ at }) => Date.parse(at) >= since.getTime());
}

export function parseHistory(text: string): readonly HistoryEntry[] {
  const entries = text.split("\n").flatMap((line) => entryIn(line));
  return entries.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

function entryIn(line: string): readonly HistoryEntry[] {
  const entry = parseOwn("history", line);
  // An earlier ober stored commands without redaction.
  return entry === undefined ? [] : [mapTexts(entry, typedWithoutSecrets) as HistoryEntry];
}
