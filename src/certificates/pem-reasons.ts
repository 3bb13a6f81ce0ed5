/**
 * Why OpenSSL reads less of a file than people see in it: the certificates and keys that it does not reach, and what to type. Pure.
 * No message repeats content of the file, which may be a key.
 */
import type { Part, Stop } from "./pem-blocks.ts";

/** A file that HAProxy cannot serve; the fix is what to type. */
export class Broken extends Error {
  readonly fix: string;
  constructor(message: string, fix: string) {
    super(message);
    this.fix = fix;
  }
}

/** The text in question, and the file name that commands use for it. */
export type Source = { readonly file: string; readonly text: string };

/** `what` continues "certificate 2 (line 14) ...". */
export type Reason = { readonly what: string; readonly fix: string };

/** Any line meant as a BEGIN or an END: with other dashes, in lower case, or after other text. */
const MARK = /[-\u2013\u2014]\s*(BEGIN|END) ((?:[A-Z0-9.]+ ?)+)/gi;
const BASE64 = /^[\s>\uFEFF]*[A-Za-z0-9+/]{20,}={0,2}\s*$/;
/** A name quoted for a shell. */
const word = (name: string) => (/[^\w@%+=:,./-]/.test(name) ? `'${name.replaceAll("'", "'\\''")}'` : name);

const AGAIN = "copy the whole file again";

type Kind = "certificate" | "key";

/** A certificate or a private key as a person sees it: the line where it begins. */
type Seen = { readonly is: Kind; readonly line: number; readonly begins: boolean };

function kindOf(label: string): Kind | undefined {
  if (/^(X509 |TRUSTED )?CERTIFICATE$/i.test(label)) return "certificate";
  return /PRIVATE KEY$/i.test(label) ? "key" : undefined;
}

/** The certificates and private keys that a person sees, in order, except empty blocks. */
function seenIn(text: string): readonly Seen[] {
  const seen: Seen[] = [];
  let open: { readonly label: string; readonly line: number } | undefined;
  let [content, since] = [0, 0];
  const close = (label: string) => {
    const is = kindOf(open?.label ?? label) ?? kindOf(label);
    if (content > 0 && is !== undefined) seen.push({ is, line: open?.line ?? since, begins: open !== undefined });
    open = undefined;
    content = 0;
  };
  for (const [index, line] of text.split("\n").entries()) {
    for (const [, mark = "", words = ""] of line.matchAll(MARK)) {
      const label = words.trim();
      const begins = mark.toUpperCase() === "BEGIN";
      if (!begins || open) close(label);
      if (begins) open = { label, line: index + 1 };
      content = 0;
    }
    if (!BASE64.test(line)) continue;
    if (content === 0) since = index + 1;
    content++;
  }
  if (open) close(open.label);
  return seen;
}

/** `number` counts the certificates, or the keys, of the file. */
export type Unread = Reason & { readonly number: number; readonly line: number };

/** The certificates or private keys that OpenSSL does not reach, with the reason. `read` are those that it has read. */
export function unreadIn(
  source: Source,
  {
    is,
    read,
    parts,
  }: { readonly is: Kind; readonly read: readonly { readonly line: number }[]; readonly parts: readonly Part[] },
): readonly Unread[] {
  return seenIn(source.text)
    .filter((one) => one.is === is)
    .map((one, index) => ({ ...one, number: index + 1 }))
    .filter(({ line, begins }) => !begins || !read.some((block) => block.line === line))
    .map(({ number, line, begins }) => ({
      number,
      line,
      ...(begins ? whyUnread(source, line, parts) : { what: "has no line -----BEGIN before it", fix: AGAIN }),
    }));
}

function whyUnread(source: Source, line: number, parts: readonly Part[]): Reason {
  const odd = whyNoMark(source, line, "BEGIN");
  if (odd) return odd;
  const own = parts.find((part) => part.line === line);
  if (kindOf(/^-----BEGIN ([^-]*)-----/.exec(source.text.split("\n")[line - 1] ?? "")?.[1] ?? "") === undefined)
    return { what: "has different labels in its -----BEGIN and -----END lines", fix: AGAIN };
  if (own?.kind === "block" && own.label.startsWith("TRUSTED "))
    return {
      what: "is a TRUSTED CERTIFICATE, OpenSSL's own form, which is ignored in a chain",
      fix: "convert it to the usual form: openssl x509 -in CERTIFICATE",
    };
  if (own) {
    const reason = own.kind === "block" ? withinBlock(source, line) : whyStopped(source, own);
    if (reason) return reason;
  }
  const stop = parts.find((part) => part.kind !== "block" && part.line < line);
  if (own && stop && stop.kind !== "block") {
    const { what, fix } = whyStopped(source, stop);
    return { what: `follows line ${stop.line}, which ${what}: OpenSSL stops reading there`, fix };
  }
  const lines = source.text.split("\n");
  const mark = lines.slice(0, line - 1).findLastIndex((one) => one.match(MARK) !== null);
  const end = /END/i.test(lines[mark] ?? "") ? whyNoMark(source, mark + 1, "END") : undefined;
  const { what, fix } = end ?? { what: "has no line -----END", fix: AGAIN };
  return { what: `is part of the block before it, which ${what}`, fix };
}

/** Why OpenSSL does not recognise line number `line` as a BEGIN or an END. */
function whyNoMark({ file, text }: Source, line: number, mark: "BEGIN" | "END"): Reason | undefined {
  const said = text.split("\n")[line - 1] ?? "";
  const sed = (script: string) => `sed -i -E '${script}' ${word(file)}`;
  const words = `-----${mark}`;
  if (said.includes("\0")) return { what: `has a NUL character before its ${words}`, fix: sed("s/\\x0//g") };
  if (/[\u2013\u2014]/.test(said))
    return {
      what: `has dashes in its ${words} line that are not ASCII`,
      fix: sed(
        "s/^(\\xE2\\x80[\\x93\\x94]|-)+(BEGIN|END) ([A-Z0-9 ]*[A-Z0-9])(\\xE2\\x80[\\x93\\x94]|-)+/-----\\2 \\3-----/",
      ).replace("sed", "LC_ALL=C sed"),
    };
  if (said.startsWith("\uFEFF"))
    return {
      what: "begins with a byte order mark",
      fix: sed("s/^(\\xEF\\xBB\\xBF)+//").replace("sed", "LC_ALL=C sed"),
    };
  if (said.startsWith("\r")) return { what: "has line ends of LF CR instead of CR LF", fix: sed("s/\\r//g") };
  if (/^[ \t>]+-/.test(said))
    return { what: mark === "END" ? `has an indented ${words} line` : "is indented", fix: sed("s/^[ \\t>]+//") };
  if (/-----(BEGIN|END) [A-Za-z0-9 .]+-----\s*-----BEGIN/.test(said))
    return {
      what: "lacks a line end before its -----BEGIN: a file without one at its end was appended to",
      fix: sed("s/-----[ \\t]*-----BEGIN/-----\\n-----BEGIN/"),
    };
  if (!said.startsWith("-"))
    return { what: `does not have its ${words} at the beginning of a line`, fix: sed("s/^[^-]+(-----BEGIN )/\\1/") };
  const behind = /^-----(?:BEGIN|END) [A-Za-z0-9 .]+-----(?!-)[\0-\x20]*([!-~].*)$/.exec(said)?.[1];
  if (behind !== undefined)
    return BASE64.test(behind)
      ? { what: `does not have ${words} on a line of its own`, fix: sed("s/^(-----BEGIN [A-Z0-9 ]+-----)/\\1\\n/") }
      : { what: `has text after its ${words} line`, fix: sed("s/^(-----(BEGIN|END) [A-Z0-9 ]+-----).*/\\1/") };
  if (!/^-----(BEGIN|END) [^-]+-----(?!-)/i.test(said))
    return {
      what: `has a ${words} line without exactly five dashes on each side`,
      fix: sed("s/^-+(BEGIN|END) ([A-Z0-9 ]*[A-Z0-9])-+/-----\\1 \\2-----/"),
    };
  return /[a-z]/.test(said)
    ? { what: `has lower-case letters in its ${words} line`, fix: sed("/^-----(BEGIN|END)/Is/.*/\\U&/") }
    : undefined;
}

/** Why OpenSSL stops within a block. */
export function whyStopped(source: Source, { kind, label, line }: Stop): Reason {
  const { file } = source;
  if (kind === "nul") return { what: "begins with a NUL character", fix: `sed -i -E 's/\\x0//g' ${word(file)}` };
  const lines = source.text.split("\n").slice(line);
  const end = lines.findIndex((one) => one.match(MARK) !== null);
  const last = lines[end] ?? "";
  const odd = /END/i.test(last) ? whyNoMark(source, line + end + 1, "END") : undefined;
  const reason = odd ?? withinBlock(source, line);
  if (reason) return reason;
  const ended = /-----END ([A-Z0-9 ]+)-----/.exec(last)?.[1];
  if (kind === "end" && ended !== undefined && ended !== label)
    return { what: `begins as ${label} and ends as ${ended}`, fix: AGAIN };
  if (kind === "end") return { what: `breaks off: it has no line -----END ${label}-----`, fix: AGAIN };
  if (kind === "silent") return { what: "is empty", fix: AGAIN };
  return { what: "holds characters that are not base64, or is incomplete", fix: AGAIN };
}

/** The lines within a block that OpenSSL reads as a header, or as the end of one. */
function withinBlock({ file, text }: Source, line: number): Reason | undefined {
  const lines = text.replace(/\n$/, "").split("\n").slice(line);
  const end = lines.findIndex((one) => one.match(MARK) !== null);
  const body = lines.slice(0, end < 0 ? undefined : end);
  const header = body.findIndex((one) => one.includes(":"));
  if (header >= 0)
    return {
      what: `has a header inside (line ${line + header + 1})`,
      fix: `sed -i -E '/^[A-Za-z-]+: /d; /^[[:space:]]*$/d' ${word(file)}`,
    };
  const blank = body.findIndex((one) => one.trim() === "");
  if (blank < 0) return undefined;
  return {
    what: `has a blank line inside (line ${line + blank + 1}), which OpenSSL reads as the end of a header`,
    fix: `sed -i '/^[[:space:]]*$/d' ${word(file)}`,
  };
}

/** What kind of file this is, if OpenSSL finds no block in it; undefined if unknown. */
export function whyNothing({ file, text }: Source): Broken | undefined {
  const broken = (what: string, fix: string) => new Broken(`${file} ${what}`, fix);
  if (text.trim() === "") return broken("is empty", "copy certificate, chain and private key into it");
  if (text.slice(0, 8).includes("-\0-\0"))
    return broken(
      "is encoded as UTF-16",
      `LC_ALL=C sed -i -E 's/\\x0//g; 1s/^(\\xFF\\xFE|\\xFE\\xFF)//' ${word(file)}`,
    );
  // A DER sequence, read as text: "0", its length, what is in it. PKCS#12 begins with version 3.
  if (text.startsWith("0") && (text.charCodeAt(1) > 0x7e || text.charCodeAt(1) < 0x20 || text[2] === "\x02")) {
    if (text.slice(2, 9).includes("\x02\x01\x03"))
      return broken(
        "is PKCS#12 (.p12, .pfx), not PEM",
        `openssl pkcs12 -in ${word(file)} -nodes -out ${word(`${file}.pem`)}`,
      );
    return broken("is DER, not PEM", `openssl x509 -inform der -in ${word(file)}, then append chain and key`);
  }
  if (text.startsWith("\0-----BEGIN")) return broken("begins with a NUL character", `sed -i 's/\\x0//g' ${word(file)}`);
  if (["\0", "\uFFFD"].some((odd) => text.slice(0, 64).includes(odd)) && !text.includes("-----BEGIN"))
    return broken("is binary, not PEM", "export it as PEM: text that begins with -----BEGIN CERTIFICATE-----");
  if (!text.includes("\n") && text.includes("\r"))
    return broken("has line ends of CR only", `sed -i 's/\\r/\\n/g' ${word(file)}`);
  if (/-----(BEGIN|END) [A-Z ]+-----\\n/.test(text))
    return broken("has its line ends written as \\n", `sed -i 's/\\\\n/\\n/g' ${word(file)}`);
  return undefined;
}
