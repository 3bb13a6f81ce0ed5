/** What other machines and programs say, made fit for a terminal and for a line of ober's. Pure. */

/**
 * What moves a cursor, hides text or turns it round: C0 but for tabs and line ends, DEL, C1, marks of bidirectional text, characters without
 * a width, tags, separators of lines and halves of characters. See the general categories of Unicode, UAX #44, table 12.
 */
const UNSEEN = /(?![\t\n])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const SEEN_INSTEAD = "\ufffd";

/** The text with a sign instead of everything that a terminal obeys and a person does not see. Carriage returns before line ends go. */
export const printable = (text: string): string => text.replaceAll("\r\n", "\n").replace(UNSEEN, SEEN_INSTEAD);

/** One line of `most` characters at most; what is longer ends in dots. */
export function oneLine(text: string, most: number): string {
  const line = text
    .slice(0, 4 * most)
    .replace(/\s+/g, " ")
    .trim();
  return line.length <= most ? line : `${line.slice(0, most - 3)}...`;
}

/** JSON whose texts a terminal may show: JSON itself escapes C0 and halves of characters only. */
export const printableJson = (json: string): string =>
  json.replace(UNSEEN, (character) =>
    Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
      .map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`)
      .join(""),
  );

/** A terminal's escape character does not come in: what ober colours itself is then the only colour. */
export const withoutEscapes = (text: string): string => text.replaceAll("\u001b", SEEN_INSTEAD);

/** The first few of a list, and how many there are beside them. */
export function several(items: readonly string[], most: number, separator = ", "): string {
  const more = items.length - most;
  return more <= 0 ? items.join(separator) : `${items.slice(0, most).join(separator)} and ${more} more`;
}

/** A number that a text is; undefined for everything that is none, is not finite, or has more digits than a counter. */
export function numberIn(text: string | undefined): number | undefined {
  if (text === undefined || !/^-?\d{1,20}(\.\d{1,20})?(e[+-]?\d{1,3})?$/.test(text)) return undefined;
  const number = Number(text);
  return Number.isFinite(number) ? number : undefined;
}

/** A time of Unix in seconds as ISO; undefined where the calendar has no such day. */
export function isoTime(seconds: number | undefined): string | undefined {
  if (seconds === undefined || !Number.isFinite(seconds) || Math.abs(seconds) > LAST_DAY) return undefined;
  return new Date(seconds * 1000).toISOString();
}

/** The last second of the year 9999. */
const LAST_DAY = 253_402_300_799;
