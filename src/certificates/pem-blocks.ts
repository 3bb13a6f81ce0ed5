/**
 * The blocks of a PEM file, read as OpenSSL 3 reads them, errors included: PEM_read_bio_ex, get_name, get_header_and_data and sanitize_line of
 * crypto/pem/pem_lib.c, EVP_DecodeUpdate of crypto/evp/encode.c. Text that looks like a block but is not one for OpenSSL is not one here:
 * `test/contract/pem.test.ts` compares with what HAProxy loads. Pure.
 */

/** A block that OpenSSL reads. `header` is the text before a blank line within it. */
export type Block = {
  readonly kind: "block";
  readonly label: string;
  readonly header: string;
  readonly der: Buffer;
  /** The line of its BEGIN, from 1. */
  readonly line: number;
};

/**
 * Where OpenSSL stops. `end`: no END where one must be. `base64`: cannot be decoded. `silent`: an empty block, which is neither an error
 * nor a block. `nul`: a line that begins with NUL, which OpenSSL reads as the end of the file.
 */
export type Stop = {
  readonly kind: "end" | "base64" | "silent" | "nul";
  readonly label: string;
  readonly line: number;
};

export type Part = Block | Stop;

/** fgets(3) returns at most 254 bytes; see LINESIZE in pem_lib.c. A longer line continues in the next read. */
const LONGEST_READ = 254;
const BOM = "\xef\xbb\xbf";
/** After a header each line of data has 64 characters; only the last may be shorter. */
const DATA_LINE = 64;

/** The successive results of fgets(3). What follows a NUL in a line is lost. `text` has one character per byte. */
function readsOf(text: string): readonly { readonly text: string; readonly line: number }[] {
  const reads: { text: string; line: number }[] = [];
  let line = 1;
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf("\n", at);
    const end = Math.min(newline < 0 ? text.length : newline + 1, at + LONGEST_READ);
    const raw = text.slice(at, end);
    const nul = raw.indexOf("\0");
    reads.push({ text: nul < 0 ? raw : raw.slice(0, nul), line });
    if (end === newline + 1) line++;
    at = end;
  }
  return reads;
}

/** A line without what OpenSSL trims at its end: control characters and, where `char` is signed, everything beyond ASCII. */
const trimmed = (line: string) => line.replace(/[\0-\x20\x80-\xff]+$/, "");

/** What OpenSSL finds in `original`, in order. It continues after a stop only when it looks for a private key. */
export function readPem(original: string): readonly Part[] {
  const reads = readsOf(Buffer.from(original).toString("latin1"));
  const parts: Part[] = [];
  let at = 0;
  // Only the first line read for each block may have a byte order mark.
  let first = true;
  while (at < reads.length) {
    const { text, line } = reads[at++] ?? { text: "", line: 0 };
    if (text === "") {
      parts.push({ kind: "nul", label: "", line });
      first = true;
      continue;
    }
    const said = trimmed(first && text.startsWith(BOM) && text.length > BOM.length ? text.slice(BOM.length) : text);
    first = false;
    if (!(said.startsWith("-----BEGIN ") && said.endsWith("-----") && said.length >= 16)) continue;
    const label = said.slice(11, -5);
    const { next, ...body } = bodyOf(reads, at, label);
    at = next;
    first = true;
    parts.push("stop" in body ? { kind: body.stop, label, line } : { kind: "block", label, line, ...body });
  }
  return parts;
}

type Body = { readonly next: number } & (
  | { readonly stop: Stop["kind"] }
  | { readonly header: string; readonly der: Buffer }
);

function bodyOf(reads: readonly { readonly text: string }[], begin: number, label: string): Body {
  let state: "maybe" | "header" | "data" = "maybe";
  let [header, content] = ["", ""];
  let short = false;
  let partial = false;
  for (let at = begin; at < reads.length; at++) {
    const text = reads[at]?.text ?? "";
    const stop = (kind: Stop["kind"]) => ({ next: at + 1, stop: kind });
    if (text === "") return stop("end");
    const goesOn = partial;
    partial = text.length === LONGEST_READ && !text.endsWith("\n");
    if (state === "maybe" && text.includes(":")) state = "header";
    const line = trimmed(text);
    if (line === "") {
      // The rest of a line that an earlier read began.
      if (goesOn) continue;
      if (state === "data") return stop("end");
      state = "data";
    } else if (line.startsWith("-----END ")) {
      if (line !== `-----END ${label}-----`) return stop("end");
      const coded = state === "maybe" ? header : content;
      const der = decoded(coded);
      if (der === undefined) return stop("base64");
      if (der.length === 0) return stop("silent");
      return { next: at + 1, header: state === "maybe" ? "" : header, der };
    } else if (short) {
      return stop("end");
    } else if (state === "data") {
      if (line.length > DATA_LINE) return stop("silent");
      short = line.length < DATA_LINE;
      content += `${line}\n`;
    } else {
      header += `${line}\n`;
    }
  }
  return { next: reads.length, stop: "end" };
}

/** Undefined if OpenSSL refuses it. A dash ends the decoding, so a block can extend over the BEGIN of the next one. */
function decoded(text: string): Buffer | undefined {
  const [before = ""] = text.replace(/[ \t\r\n]+/g, "").split("-");
  if (before.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(before)) return undefined;
  return Buffer.from(before, "base64");
}
