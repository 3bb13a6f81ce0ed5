import { OberError } from "../errors.ts";
import { parseAddress } from "./address.ts";
import { quote } from "./quote.ts";

/** A list expands to at most this many names; more is a typing error, not a cluster. */
export const HOST_LIST_LIMIT = 65_536;

const LONGEST_NAME = 253;
/** Enough for brackets that list all 65,536 numbers. */
const LONGEST_PIECE = 1_000_000;

/**
 * The names and addresses that a Slurm host list stands for: `node[01-03,07]`, `rack[1-2]n[01-16]`, comma lists.
 * Zero padding and order are kept, duplicates dropped, addresses spelled canonically.
 *
 * Throws an OberError that names the offending piece. Every result is safe to put into a generated file: it holds
 * only characters of host names and addresses.
 */
export function expandHostList(text: string | readonly string[]): string[] {
  return unique(expandPieces(text).map(checkHost));
}

/**
 * The texts that a bracketed list stands for, not yet checked to be names (`rgw[1-2]:7480` is a server, not a name).
 * The size is known before anything is expanded, so a hostile range costs no memory.
 */
export function expandPieces(text: string | readonly string[]): string[] {
  const pieces: Piece[] = [];
  let total = 0;
  for (const list of typeof text === "string" ? [text] : text) {
    for (const piece of splitList(list)) {
      const parsed = parsePiece(piece);
      total += parsed.size;
      if (total > HOST_LIST_LIMIT) {
        throw new OberError(`the list expands to more than ${HOST_LIST_LIMIT} names at ${quote(piece)}`, {
          hint: "check the ranges in brackets for a digit too many",
        });
      }
      pieces.push(parsed);
    }
  }
  return unique(pieces.flatMap(expandPiece));
}

/** `name` itself, or its canonical spelling when it is an address; throws when it is neither a host name nor an address. */
export function checkHost(name: string): string {
  const address = parseAddress(name);
  if (address !== undefined) return address.text;
  const problem = hostNameProblem(name);
  if (problem !== undefined) throw new OberError(`${quote(name)} is not a host name or address: ${problem}`);
  return name;
}

function hostNameProblem(name: string): string | undefined {
  const foreign = /[^A-Za-z0-9._-]/u.exec(name.replaceAll(":", ""))?.[0];
  if (name === "") return "it is empty";
  if (foreign !== undefined) return `it contains ${quote(foreign)}`;
  if (name.includes(":")) return "only an IPv6 address contains a colon";
  if (name.length > LONGEST_NAME) return `it is longer than ${LONGEST_NAME} characters`;
  const labels = name.replace(/\.$/, "").split(".");
  // Resolvers read "10.0.0" or "5" as addresses in short form, each in its own way.
  if (/^(\d+|0x[0-9a-f]*)$/i.test(labels.at(-1) ?? "")) return "it ends in a number and is not an IPv4 address";
  const bad = labels.find((label) => !/^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label));
  if (bad === "") return "it has an empty part between dots";
  if (bad !== undefined) return `${quote(bad)} must be 1 to 63 letters, digits or inner hyphens`;
  return undefined;
}

type Range = { readonly from: number; readonly to: number; readonly width: number };
/** Literal texts with the ranges between them: always one literal more than there are brackets. */
type Piece = {
  readonly literals: readonly string[];
  readonly brackets: readonly (readonly Range[])[];
  readonly size: number;
};

/** Splits at commas outside brackets, one piece at a time, so that the caller can stop early. */
function* splitList(list: string): Generator<string> {
  if (list.trim() === "") return;
  let start = 0;
  let depth = 0;
  for (let at = 0; at <= list.length; at++) {
    const char = list[at];
    if (char === "[") depth++;
    if (char === "]") depth--;
    if (depth < 0 || depth > 1) break;
    if (at < list.length && (char !== "," || depth > 0)) continue;
    const piece = list.slice(start, at).trim();
    if (piece === "") throw new OberError(`${quote(list)} has an empty entry: remove a comma`);
    if (depth === 0) yield piece;
    start = at + 1;
  }
  if (depth !== 0) throw new OberError(`the brackets in ${quote(list)} do not match`);
}

function parsePiece(piece: string): Piece {
  if (piece.length > LONGEST_PIECE) throw new OberError(`${quote(piece)} is too long for one entry of a list`);
  const parts = piece.split(/\[([^\]]*)\]/);
  const literals = parts.filter((_, index) => index % 2 === 0);
  const brackets = parts.filter((_, index) => index % 2 === 1).map((inside) => parseRanges(inside, piece));
  const size = brackets.reduce((product, ranges) => product * sum(ranges.map(({ from, to }) => to - from + 1)), 1);
  const length = sum(literals.map((literal) => literal.length)) + sum(brackets.map(longestNumber));
  if (length > LONGEST_NAME) throw new OberError(`${quote(piece)} gives names longer than ${LONGEST_NAME} characters`);
  return { literals, brackets, size };
}

function parseRanges(inside: string, piece: string): readonly Range[] {
  return inside.split(",", HOST_LIST_LIMIT + 1).map((text) => {
    const match = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(text.trim());
    if (match?.[1] === undefined) {
      throw new OberError(`${quote(text)} in ${quote(piece)} is not a number or a range`, {
        hint: "ranges are written like node[01-03,07]",
      });
    }
    const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (to < from) throw new OberError(`the range ${quote(text)} in ${quote(piece)} runs backwards`);
    return { from, to, width: match[1].length };
  });
}

function expandPiece({ literals, brackets }: Piece): string[] {
  return brackets.reduce<string[]>(
    (names, ranges, index) => {
      const numbers = ranges.flatMap(({ from, to, width }) =>
        Array.from({ length: to - from + 1 }, (_, step) => String(from + step).padStart(width, "0")),
      );
      const next = literals[index + 1] ?? "";
      return names.flatMap((name) => numbers.map((number) => `${name}${number}${next}`));
    },
    [literals[0] ?? ""],
  );
}

function longestNumber(ranges: readonly Range[]): number {
  return ranges.reduce((longest, { to, width }) => Math.max(longest, width, String(to).length), 0);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}
