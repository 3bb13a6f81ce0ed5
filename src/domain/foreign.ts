/** Makes text by other machines and programs safe for a terminal and for one of ober's lines. Pure. */

/**
 * Characters that move the cursor, hide text or reverse it: C0 except tabs and line ends, DEL, C1, bidirectional marks, characters without
 * width, tags, line separators and lone surrogates. See Unicode's general categories, UAX #44, table 12.
 */
const UNSEEN = /(?![\t\n])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const SEEN_INSTEAD = "\ufffd";

/** The text with a replacement sign for every character that a terminal obeys or a person cannot see. CRs before line ends are removed. */
export const printable = (text: string): string => text.replaceAll("\r\n", "\n").replace(UNSEEN, SEEN_INSTEAD);

/** One line of at most `most` characters; a longer one ends in dots. */
export function oneLine(text: string, most: number): string {
  const line = text
    .slice(0, 4 * most)
    .replace(/\s+/g, " ")
    .trim();
  return line.length <= most ? line : `${line.slice(0, most - 3)}...`;
}

/** JSON that is safe to show on a terminal: JSON itself escapes only C0 and lone surrogates. */
export const printableJson = (json: string): string =>
  json.replace(UNSEEN, (character) =>
    Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
      .map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`)
      .join(""),
  );

/** Rejects escape characters, so that the only colours are ober's. */
export const withoutEscapes = (text: string): string => text.replaceAll("\u001b", SEEN_INSTEAD);

/** The first few of a list, and the number of the others. */
export function several(items: readonly string[], most: number, separator = ", "): string {
  const more = items.length - most;
  return more <= 0 ? items.join(separator) : `${items.slice(0, most).join(separator)} and ${more} more`;
}

/** The number in a text; undefined if it is not a finite number, or has more digits than a counter. */
export function numberIn(text: string | undefined): number | undefined {
  if (text === undefined || !/^-?\d{1,20}(\.\d{1,20})?(e[+-]?\d{1,3})?$/.test(text)) return undefined;
  const number = Number(text);
  return Number.isFinite(number) ? number : undefined;
}

/** A Unix time in seconds as ISO; undefined if it is out of range. */
export function isoTime(seconds: number | undefined): string | undefined {
  if (seconds === undefined || !Number.isFinite(seconds) || Math.abs(seconds) > LAST_DAY) return undefined;
  return new Date(seconds * 1000).toISOString();
}

/** The last second of the year 9999. */
const LAST_DAY = 253_402_300_799;
