/** The blocks of a PEM file, as OpenSSL would find them, or why it would not. Pure. */

/** OpenSSL reads no line beyond this. */
const LONGEST_LINE = 254;

/** HAProxy could not serve it; with what to type. */
export class Broken extends Error {
  readonly fix: string;
  constructor(message: string, fix: string) {
    super(message);
    this.fix = fix;
  }
}

export type Block = { readonly label: string; readonly body: string; readonly pem: string };

/** The PEM blocks of a text. Throws for whatever OpenSSL would not read, or read in another way than it looks. */
export function blocksOf(file: string, original: string): readonly Block[] {
  const text = original.replace(/\r\n/g, "\n");
  throwUnlessText(file, text);
  const begins = [...text.matchAll(/^-----BEGIN ([A-Z0-9 ]+)-----[ \t]*$/gm)];
  const blocks = begins.map((begin, index): Block => {
    const [label = ""] = begin.slice(1);
    const rest = text.slice(begin.index + begin[0].length + 1, begins[index + 1]?.index ?? text.length);
    const end = /^-----END ([A-Z0-9 ]+)-----[ \t]*$/m.exec(rest);
    if (end === null) {
      throw new Broken(
        `${file} breaks off: block ${index + 1} (${label}) has no line -----END ${label}-----`,
        "copy the whole file again",
      );
    }
    if (end[1] !== label) {
      throw new Broken(
        `${file}: block ${index + 1} begins as ${label} and ends as ${end[1]}`,
        "copy the whole file again",
      );
    }
    const body = rest.slice(0, end.index);
    const lines = body.split("\n").filter((line) => line.trim() !== "" && !/^[A-Za-z-]+: /.test(line));
    if (lines.some((line) => !/^[A-Za-z0-9+/]*={0,2}[ \t]*$/.test(line))) {
      throw new Broken(
        `${file}: block ${index + 1} (${label}) holds characters that are no base64`,
        "copy the whole file again",
      );
    }
    if (lines.some((line) => line.length > LONGEST_LINE)) {
      throw new Broken(
        `${file}: block ${index + 1} (${label}) stands on one long line, which HAProxy does not read`,
        `openssl x509 -in ${file}, or break it into lines of 64 characters`,
      );
    }
    if (lines.length === 0)
      throw new Broken(`${file}: block ${index + 1} (${label}) is empty`, "copy the whole file again");
    const pem = `-----BEGIN ${label}-----\n${lines.map((line) => `${line.trim()}\n`).join("")}-----END ${label}-----\n`;
    return { label, body, pem };
  });
  if (blocks.length === 0)
    throw new Broken(`${file} holds no certificate`, "a PEM file begins with -----BEGIN CERTIFICATE-----");
  return blocks;
}

/** What OpenSSL would not even take for PEM. */
function throwUnlessText(file: string, text: string): void {
  const fail = (what: string, fix: string) => {
    throw new Broken(`${file} ${what}`, fix);
  };
  if (text.trim() === "") fail("is empty", "copy certificate, chain and private key into it");
  if (text.startsWith("\uFEFF"))
    fail("begins with a byte order mark, which hides its first block", `sed -i '1s/^\\xEF\\xBB\\xBF//' ${file}`);
  if (text.slice(0, 8).includes("-\0-\0")) fail("is written in UTF-16", `iconv -f UTF-16 -t ASCII ${file}`);
  // A DER sequence, read as text: "0", its length, what is in it. PKCS#12 begins with version 3.
  if (text.startsWith("0") && (text.charCodeAt(1) > 0x7e || text.charCodeAt(1) < 0x20 || text[2] === "\x02")) {
    if (text.slice(2, 9).includes("\x02\x01\x03"))
      fail("is PKCS#12 (.p12, .pfx) and not PEM", `openssl pkcs12 -in ${file} -nodes -out ${file}.pem`);
    fail("is DER and not PEM", `openssl x509 -inform der -in ${file}, and append chain and key`);
  }
  if (["\0", "\uFFFD"].some((odd) => text.slice(0, 64).includes(odd)))
    fail("is binary and not PEM", "export it as PEM: text that begins with -----BEGIN CERTIFICATE-----");
  if (!text.includes("\n") && text.includes("\r"))
    fail("ends its lines as an old Macintosh did", `tr '\\r' '\\n' < ${file}`);
  if (/-----(BEGIN|END) [A-Z ]+-----\\n/.test(text))
    fail("has its line ends written out as \\n", `printf '%b' "$(cat ${file})"`);
  if (/-----END [A-Z0-9 ]+----- *-----BEGIN/.test(text))
    fail(
      "lacks the end of a line between two blocks: one file had none at its end",
      "put each -----BEGIN on a line of its own",
    );
  if (/^[ \t>]+-----(BEGIN|END) /m.test(text)) fail("is indented", `sed -i 's/^[ \\t>]*//' ${file}`);
  if (/^-{1,4}(BEGIN|END) |^-----(BEGIN|END) [A-Z0-9 ]+-{1,4}$/m.test(text))
    fail("has a line with too few dashes", "five dashes stand before and after BEGIN and END");
  if (/^-----END /m.test(text.split(/^-----BEGIN /m)[0] ?? ""))
    fail("begins in the middle of a block: its first line is missing", "copy the whole file again");
}
