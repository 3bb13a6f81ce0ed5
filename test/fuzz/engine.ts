/**
 * Texts that no program would print, made of texts that programs do print: each parser of outside text is given many of them. A run with the same
 * seed gives the same texts. What is looked for: an exception that is no OberError, a value much larger than its text, and time that grows
 * faster than the text.
 */
import { OberError } from "../../src/errors.ts";
import { stopwatch } from "../helpers/stopwatch.ts";

/** One parser of text from outside. Bytes are given as a text of Latin-1. */
export type Parser = {
  readonly name: string;
  readonly parse: (text: string) => unknown;
  /** What the program really prints. */
  readonly seeds: readonly string[];
};

export type Found = {
  readonly parser: string;
  readonly kind: "exception" | "size" | "time";
  readonly what: string;
  readonly text: string;
};

export type Run = { readonly inputs: number; readonly longestMs: number; readonly found: readonly Found[] };

export type Limits = {
  readonly seed: number;
  readonly inputs: number;
  /** `performance.now()` at which the run ends, however many inputs there were. */
  readonly until?: number;
  /** It also ends at so many findings. */
  readonly findings?: number;
};

/** A generator of numbers in [0, 1) that depends on its seed alone (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What a text of another machine may hold at any place. */
const ODD = [
  ..."\n\r\t\0\u001b\u007f\u009b\u200b\u202e\ud800\ufffd,;:=|\"'`\\/{}[]()<>#%$@!*+-._ ",
  ...[
    "\r\n",
    "\n\n",
    " ",
    "\u001b[2J",
    "\u001b]0;x\u0007",
    "\u2028",
    "é",
    "🦊",
    '""',
    '","',
    "\\u0000",
    "null",
    "true",
    "{}",
    "[]",
  ],
  ...[
    "0",
    "-0",
    "1",
    "-1",
    "-6",
    "1e999",
    "NaN",
    "Infinity",
    "0x10",
    "1_000",
    "4294967296",
    "18446744073709551616",
    "9".repeat(40),
  ],
  ...["__proto__", "constructor", "toString", "length", "../../etc/shadow", "%s%n", "(none)", "-"],
];

const LONGEST = 8 << 10;

type Random = () => number;
const below = (random: Random, most: number) => Math.floor(random() * most);
const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)] as T;

/** Another text, made of one of the seeds by some changes. */
export function mutated(random: Random, seeds: readonly string[]): string {
  let text = pick(random, seeds);
  for (let changes = 1 + below(random, 5); changes > 0; changes--) text = changed(random, text, seeds);
  return text.slice(0, LONGEST);
}

function changed(random: Random, text: string, seeds: readonly string[]): string {
  const at = below(random, text.length + 1);
  const end = Math.min(text.length, at + below(random, 1 + below(random, 64)));
  const [head, piece, tail] = [text.slice(0, at), text.slice(at, end), text.slice(end)];
  switch (below(random, 9)) {
    case 0:
      return head + tail;
    case 1:
      return head + pick(random, ODD) + tail;
    case 2:
      return head + pick(random, ODD).repeat(1 + below(random, 1 + below(random, 200))) + piece + tail;
    case 3:
      return head + piece.repeat(1 + below(random, 1 + below(random, 100))) + tail;
    case 4:
      return head;
    case 5:
      return head + String.fromCharCode(below(random, random() < 0.8 ? 256 : 65_536)) + text.slice(at + 1);
    case 6: {
      const other = pick(random, seeds);
      return head + other.slice(below(random, other.length + 1));
    }
    case 7:
      return text.replace(/-?\d+/, () => pick(random, ODD));
    default: {
      const lines = text.split("\n");
      const [from, to] = [below(random, lines.length), below(random, lines.length)];
      [lines[from], lines[to]] = [lines[to] ?? "", lines[from] ?? ""];
      return lines.join("\n");
    }
  }
}

/** A value may be so many times as long as its text, and this much longer. */
const [TIMES, MORE] = [64, 64 << 10];
/** Longer than any parser takes for 8 KiB, on a machine that does something else as well. */
const LONG_MS = 200;
const SIZE_EVERY = 16;
const GROWTH_EVERY = 256;
/** Each four times as long as the one before: what is slow shows before it takes minutes. */
const LENGTHS = [8 << 10, 32 << 10, 128 << 10];
/** Linear is 4, quadratic 16. */
const QUADRATIC = 10;
/** What is quicker is not measured: its clock would be. */
const MEASURABLE_MS = 40;

/** Gives the parser as many texts as the limits say. */
export function fuzz(parser: Parser, { seed, inputs, until = Number.POSITIVE_INFINITY, findings = 10 }: Limits): Run {
  const { name, parse, seeds } = parser;
  const random = randomFrom(seed);
  const found: Found[] = [];
  let [done, longestMs] = [0, 0];
  for (; done < inputs && found.length < findings; done++) {
    if (done % 64 === 0 && performance.now() > until) break;
    const text = done < seeds.length ? (seeds[done] as string) : mutated(random, seeds);
    const { ms, value, error } = timed(parse, text);
    longestMs = Math.max(longestMs, ms);
    const report = (kind: Found["kind"], what: string, which = text) =>
      void found.push({ parser: name, kind, what, text: which });
    if (error !== undefined && !(error instanceof OberError)) report("exception", String(error));
    if (ms > LONG_MS && timed(parse, text).ms > LONG_MS)
      report("time", `${ms.toFixed(0)} ms for ${text.length} characters`);
    if (done % SIZE_EVERY === 0) {
      const size = sizeOf(value);
      if (size > TIMES * text.length + MORE) report("size", `${size} characters of value for ${text.length} of text`);
    }
    if (done % GROWTH_EVERY === GROWTH_EVERY - 1) {
      const growth = growthOf(parse, random, text);
      if (growth !== undefined) report("time", growth.what, growth.text);
    }
  }
  return { inputs: done, longestMs, found };
}

function timed(parse: Parser["parse"], text: string) {
  const worked = stopwatch();
  try {
    const value = parse(text);
    return { ms: worked(), value, error: undefined };
  } catch (error) {
    return { ms: worked(), value: undefined, error };
  }
}

/** Of the value as JSON, with maps and sets as what is in them. */
const sizeOf = (value: unknown): number =>
  JSON.stringify(value, (_, inner: unknown) =>
    inner instanceof Map
      ? [...inner]
      : inner instanceof Set
        ? [...inner]
        : typeof inner === "bigint"
          ? `${inner}`
          : inner,
  )?.length ?? 0;

/** Whether a text that is made of one piece again and again takes more than its share when it is four times as long. */
function growthOf(parse: Parser["parse"], random: Random, text: string): { what: string; text: string } | undefined {
  const at = below(random, text.length);
  const piece = text.slice(at, at + 1 + below(random, 64)) || " ";
  const [head, tail] = [text.slice(0, below(random, 200)), random() < 0.5 ? text.slice(at) : ""];
  const made = (length: number) => head + piece.repeat(Math.ceil(length / piece.length)) + tail;
  const quickest = (of: string) => Math.min(...Array.from({ length: 5 }, () => timed(parse, of).ms));
  let before = Number.POSITIVE_INFINITY;
  for (const length of LENGTHS) {
    const grown = made(length);
    const once = timed(parse, grown).ms;
    if (once >= MEASURABLE_MS && once >= QUADRATIC * before) {
      const [short, long] = [quickest(made(length / 4)), quickest(grown)];
      if (long < MEASURABLE_MS || long < QUADRATIC * short) return undefined;
      const what = `${short.toFixed(1)} ms for ${length / 4} characters, ${long.toFixed(1)} ms for ${length}, of ${JSON.stringify(piece)}`;
      return { what, text: grown };
    }
    if (once >= MEASURABLE_MS) return undefined;
    before = once;
  }
  return undefined;
}
