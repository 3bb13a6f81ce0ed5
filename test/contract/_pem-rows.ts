/** PEM files as operators have them, good and bad, each made by openssl for the run. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProcess } from "../../src/system/process.ts";
import { makePki } from "../helpers/pki.ts";

/** A file, and what lies beside it under the same name and an ending. */
export type Row = {
  readonly what: string;
  readonly bytes: Uint8Array;
  readonly beside: Readonly<Record<string, Uint8Array>>;
};

/** Beside what the other tests need: keys and certificates that are rare, and those that are not for servers at all. */
const MORE = `
set -e
S3='subjectAltName=DNS:s3.example.org\\n'
sign() {
  openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr" $3
  printf '%b' "$2" > ext
  openssl x509 -req -in "$1.csr" -CA middle.crt -CAkey middle.key -CAcreateserial -days 90 -extfile ext -out "$1.crt" $3 $4 2>/dev/null
}
ec() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:"$2" $3 $4 -out "$1.key" 2>/dev/null; }
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss.key 2>/dev/null; sign pss "$S3"
ec explicit prime256v1 -pkeyopt ec_param_enc:explicit; sign explicit "$S3"
ec p384 secp384r1; sign p384 "$S3"
ec p521 secp521r1; sign p521 "$S3"
ec p224 secp224r1; sign p224 "$S3"
ec brainpool brainpoolP256r1; sign brainpool "$S3"
openssl genpkey -algorithm ed448 -out ed448.key; sign ed448 "$S3"
openssl genrsa -out tiny.key 512 2>/dev/null; sign tiny "$S3"
openssl genrsa -out rsa3072.key 3072 2>/dev/null; sign rsa3072 "$S3"
openssl rsa -in rsa3072.key -traditional -out rsa3072.pkcs1 2>/dev/null
ec bare prime256v1; openssl req -x509 -key bare.key -subj / -addext subjectAltName=DNS:s3.example.org -days 30 -out bare.crt
ec many prime256v1; sign many "subjectAltName=$(for n in $(seq 900); do printf 'DNS:host-%s.s3.example.org,' $n; done)DNS:s3.example.org\\n"
openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048 -out dh 2>/dev/null
openssl genpkey -genparam -algorithm DHX -pkeyopt group:dh_2048_256 -out dhx 2>/dev/null
openssl ecparam -name prime256v1 -genkey -out generated.key 2>/dev/null; sign generated "$S3"
openssl ecparam -name prime256v1 -param_enc explicit -out params.explicit
printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\ndefault_md=sha256\\ncrlnumber=crlnumber\\ndefault_crl_days=9\\nserial=number\\npolicy=p\\nnew_certs_dir=.\\n[p]\\ncommonName=supplied\\n' > ca.cnf
: > index; echo 01 > crlnumber; echo 01 > number
openssl ca -config ca.cnf -gencrl -keyfile middle.key -cert middle.crt -out crl 2>/dev/null
openssl x509 -in middle.crt -trustout -out middle.trusted
openssl x509 -in leaf.crt -text -out leaf.text
openssl pkcs8 -topk8 -in leaf.key -passout pass: -out leaf.enc-empty 2>/dev/null
openssl x509 -in leaf.crt -outform der | openssl base64 -e -A > leaf.b64
openssl pkey -in leaf.key -outform der | openssl base64 -e -A > key.b64
openssl x509 -in leaf.crt -outform der -out leaf.der
openssl pkey -in leaf.key -outform der -out key.der
openssl pkcs12 -export -in leaf.crt -inkey leaf.key -passout pass: -out leaf.p12
openssl pkcs12 -export -in leaf.crt -inkey leaf.key -certfile middle.crt -passout pass: -name 'S3 Gateway' -out bag.p12
openssl pkcs12 -in bag.p12 -passin pass: -nodes -out bag.pem
openssl pkcs12 -in bag.p12 -passin pass: -nodes -clcerts -out bag.leaf
openssl crl2pkcs7 -nocrl -certfile leaf.crt -outform der -out leaf.p7b
openssl pkey -in leaf.key -text -out leaf.keytext
printf '%b' "$S3" > ext
at() {
  ec $1 prime256v1; openssl req -new -key $1.key -subj /CN=$1 -out $1.csr
  openssl ca -config ca.cnf -batch -notext -in $1.csr -keyfile middle.key -cert middle.crt -extfile ext -startdate $2 -enddate $3 -out $1.crt 2>/dev/null
}
at gone 20200101000000Z 20210101000000Z; at future 20450101000000Z 20460101000000Z
openssl x509 -in leaf.crt -noout -subject -issuer > leaf.names
`;

const CHAIN = ["leaf.crt", "middle.crt", "root.crt", "leaf.key", "leaf.csr", "leaf.ec", "middle.key"];

/** All rows. Each is what one operator has done to a file that was good. */
export async function pemRows(): Promise<readonly Row[]> {
  const pki = await makePki();
  const directory = mkdtempSync(join(tmpdir(), "ober-pem-"));
  try {
    for (const name of CHAIN) writeFileSync(join(directory, name), pki(name));
    await runProcess(["bash", "-c", `cd "$0" && ${MORE}`, directory]);
    const made = new Map(
      [...new Bun.Glob("*").scanSync(directory)].map((name) => [name, readFileSync(join(directory, name))]),
    );
    const raw = (name: string): Uint8Array => made.get(name) ?? Buffer.from(pki(name));
    return rowsOf((name) => Buffer.from(raw(name)).toString("latin1"), raw);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What is put into a file by the mutations below. */
const PIECES = [
  ...["\n", "\r", "\0", " ", "\t", "\f", "-", ":", "=", "#", "x", "A", "AAAA", "\n\n", "\r\n", " \n", "-----"],
  ...["\xef\xbb\xbf", "\xfc", "Note: x\n", "Note: x\n\n"],
  ...["-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n"],
];

/** Good files with one to three accidents each: something put in, taken out, moved or doubled. The same for the same seed and files. */
export function accidents(good: readonly string[], count: number, seed: number): readonly Row[] {
  let state = seed;
  const below = (most: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
  const inLines = (text: string, change: (lines: string[]) => void) => {
    const lines = text.split("\n");
    change(lines);
    return lines.join("\n");
  };
  const accident = (text: string): string => {
    const starts = [...text.matchAll(/^/gm)].map(({ index }) => index);
    const at = below(2) === 0 ? below(text.length) : (starts[below(starts.length)] ?? 0);
    switch (below(6)) {
      case 0:
        return text.slice(0, at) + text.slice(at + 1 + below(3));
      case 1:
        return inLines(text, (lines) => lines.splice(below(lines.length), 1));
      case 2:
        return inLines(text, (lines) => lines.splice(below(lines.length), 0, lines[below(lines.length)] ?? ""));
      case 3:
        return text.slice(0, at) + text.slice(at).replace("\n", "");
      default:
        return text.slice(0, at) + PIECES[below(PIECES.length)] + text.slice(at);
    }
  };
  return Array.from({ length: count }, (_, index) => {
    let text = good[below(good.length)] ?? "";
    for (let left = below(4) === 0 ? 3 : 1; left > 0; left--) text = accident(text);
    return { what: `accident ${index} of seed ${seed}`, bytes: Buffer.from(text, "latin1"), beside: {} };
  });
}

function rowsOf(text: (name: string) => string, raw: (name: string) => Uint8Array): readonly Row[] {
  const join = (...names: readonly string[]) => names.map(text).join("");
  const latin1 = (content: string | Uint8Array) =>
    typeof content === "string" ? new Uint8Array(Buffer.from(content, "latin1")) : content;
  const rows: Row[] = [];
  const row = (
    what: string,
    content: string | Uint8Array,
    beside: Readonly<Record<string, string | Uint8Array>> = {},
  ) =>
    rows.push({
      what,
      bytes: latin1(content),
      beside: Object.fromEntries(Object.entries(beside).map(([ending, one]) => [ending, latin1(one)])),
    });

  const [leaf, middle, root, key] = ["leaf.crt", "middle.crt", "root.crt", "leaf.key"].map(text) as [
    string,
    string,
    string,
    string,
  ];
  const good = leaf + middle + key;
  /** `insert` after line `line` of a block, counted from its BEGIN. */
  const after = (block: string, line: number, insert: string) => {
    const lines = block.split("\n");
    return [...lines.slice(0, line), insert, ...lines.slice(line)].join("\n");
  };
  const before = (block: string, prefix: string) => block.replace(/^(?=.)/gm, prefix);
  const oneLine = (block: string) => block.replace(/([A-Za-z0-9+/=])\n(?!-)/g, "$1");
  const wrapped = (block: string, width: number) => {
    const [first = "", ...rest] = block.trimEnd().split("\n");
    const last = rest.pop() ?? "";
    const body = rest.join("");
    return `${[first, ...(body.match(new RegExp(`.{1,${width}}`, "g")) ?? []), last].join("\n")}\n`;
  };

  /** The block with three zeros behind its DER. */
  const padded = (block: string) => {
    const [begin = "", ...rest] = block.trimEnd().split("\n");
    const end = rest.pop() ?? "";
    const der = Buffer.concat([Buffer.from(rest.join(""), "base64"), Buffer.alloc(3)]);
    return wrapped(`${begin}\n${der.toString("base64")}\n${end}\n`, 64);
  };

  // Good ones.
  row("certificate, chain, key", good);
  row("key, certificate, chain", key + leaf + middle);
  row("certificate, key, chain", leaf + key + middle);
  row("certificate and key without chain", leaf + key);
  row("root included", leaf + middle + root + key);
  row("self-signed", join("own.crt", "own.key"));
  row("no newline at the end", good.trimEnd());
  row("Windows line ends", good.replaceAll("\n", "\r\n"));
  row("what openssl pkcs12 -nodes writes", join("bag.pem"));
  row("pkcs12 leaf and chain from elsewhere", join("bag.leaf") + middle);
  row("openssl x509 -text before the block", join("leaf.text") + middle + key);
  row("openssl pkey -text behind the key", leaf + middle + join("leaf.keytext"));
  row("subject= and issuer= lines", join("leaf.names") + leaf + join("leaf.names") + middle + key);
  row("comments with #", `# server\n${leaf}# chain\n${middle}# key\n${key}# end\n`);
  row("blank lines between blocks", `\n\n${leaf}\n\n${middle}\n\n${key}\n\n`);
  row("lines of blanks between blocks", `${leaf}   \n\t\n${middle} \n${key}`);
  row("X509 CERTIFICATE", leaf.replaceAll(" CERTIFICATE", " X509 CERTIFICATE") + middle + key);
  row("X509 CERTIFICATE in the chain", leaf + middle.replaceAll(" CERTIFICATE", " X509 CERTIFICATE") + key);
  row("EC PARAMETERS before the key", leaf + middle + join("params", "leaf.ec"));
  row("EC PARAMETERS at the start", join("params") + leaf + middle + key);
  row("explicit EC PARAMETERS before the key", leaf + middle + join("params.explicit", "leaf.ec"));
  row("what openssl ecparam -genkey writes", join("generated.crt") + middle + join("generated.key"));
  row("SEC1 key", leaf + middle + join("leaf.ec"));
  row("PKCS#1 key", join("rsa3072.crt") + middle + join("rsa3072.pkcs1"));
  row("PKCS#8 RSA key", join("rsa.crt") + middle + join("rsa.key"));
  row("DH PARAMETERS at the end", good + join("dh"));
  row("DH PARAMETERS at the start", join("dh") + good);
  row("X9.42 DH PARAMETERS", good + join("dhx"));
  row("DH PARAMETERS that are damaged", good + join("dh").replace(/\nM.../, "\nAAAA"));
  row("P-384", join("p384.crt") + middle + join("p384.key"));
  row("P-521", join("p521.crt") + middle + join("p521.key"));
  row("RSA of 4352 bits", join("huge.crt") + middle + join("huge.key"));
  row("no subject, only a SAN", join("bare.crt", "bare.key"));
  row("900 names", join("many.crt") + middle + join("many.key"));
  row("key beside", leaf + middle, { ".key": key });
  row("key beside and one within", good, { ".key": text("other.key") });
  row("key beside that is foreign", leaf + middle, { ".key": text("other.key") });
  row("key beside that is empty", leaf + middle, { ".key": "" });
  row("key beside with a certificate before it", leaf + middle, { ".key": leaf + key });
  row("key beside with a passphrase", leaf + middle, { ".key": text("leaf.enc") });
  row("issuer beside", good, { ".issuer": middle });
  row("issuer beside that is junk", good, { ".issuer": "junk\n" });
  row("OCSP answer beside that is junk", good, { ".ocsp": "junk\n" });
  row("OCSP answer beside that is empty", good, { ".ocsp": "" });
  row("SCTs beside that are junk", good, { ".sctl": "junk\n" });

  // Blanks and headers within blocks.
  row("blank line after BEGIN", after(leaf, 1, "") + middle + key);
  row("two blank lines after BEGIN", after(after(leaf, 1, ""), 1, "") + middle + key);
  row("blank line in the first certificate", after(leaf, 4, "") + middle + key);
  row("blank line in the chain", leaf + after(middle, 4, "") + key);
  row("blank line in the key", leaf + middle + after(key, 2, ""));
  row("blank line before END of the first", after(leaf, leaf.split("\n").length - 2, "") + middle + key);
  row("blank line before END of the chain", leaf + after(middle, middle.split("\n").length - 2, "") + key);
  row("blank line before END of the key", leaf + middle + after(key, key.split("\n").length - 2, ""));
  row("blank line after BEGIN of the chain", leaf + after(middle, 1, "") + key);
  row("blank line after BEGIN of the key", leaf + middle + after(key, 1, ""));
  row("line of blanks in the first certificate", after(leaf, 4, "   ") + middle + key);
  row("line of blanks in the chain", leaf + after(middle, 4, "   ") + key);
  row("every second line blank", good.replaceAll("\n", "\n\n"));
  row("every second line blank in the chain", leaf + middle.replaceAll("\n", "\n\n") + key);
  row("header in the first certificate", after(leaf, 1, "Comment: server") + middle + key);
  row("header and blank line in the first certificate", after(leaf, 1, "Comment: server\n") + middle + key);
  row("header and blank line in the chain", leaf + after(middle, 1, "Comment: chain\n") + key);
  row("header in the chain", leaf + after(middle, 1, "Comment: chain") + key);
  row("header in the middle of the chain", leaf + after(middle, 4, "X: y") + key);
  row("header and blank line in the key", leaf + middle + after(key, 1, "Comment: key\n"));
  row("Proc-Type MIC-CLEAR in the first certificate", after(leaf, 1, "Proc-Type: 4,MIC-CLEAR\n") + middle + key);
  row("header on a PKCS#1 key", join("rsa3072.crt") + middle + after(text("rsa3072.pkcs1"), 1, "Note: key\n"));
  row("subject= line within the block", after(leaf, 1, "subject=CN = leaf") + middle + key);

  // Characters.
  row("Latin-1 in a comment", `# M\xfcnchen\n${good}`);
  row("Latin-1 in a comment of the chain", `${leaf}# M\xfcnchen\n${middle}${key}`);
  row("Latin-1 in the first line", `M\xfcnchen\xe4\xf6\xfc\n${good}`);
  row("UTF-8 in a comment", `# M\xc3\xbcnchen \xe2\x80\x93 S3\n${good}`);
  row("byte order mark", `\xef\xbb\xbf${good}`);
  row("byte order mark before the chain", `${leaf}\xef\xbb\xbf${middle}${key}`);
  row("byte order mark before the key", `${leaf}${middle}\xef\xbb\xbf${key}`);
  row("byte order mark twice", `\xef\xbb\xbf\xef\xbb\xbf${good}`);
  row("CRCRLF", good.replaceAll("\n", "\r\r\n"));
  row("lone CR", good.replaceAll("\n", "\r"));
  row("LFCR", good.replaceAll("\n", "\n\r"));
  row("CR in the middle of a line", good.replace(/\n(MII.{20})/, "\n$1\r"));
  row("mixed line ends", leaf.replaceAll("\n", "\r\n") + middle + key.replaceAll("\n", "\r\n"));
  row("NUL at the end", `${good}\0`);
  row("many NULs at the end", `${good}${"\0".repeat(4096)}`);
  row("NUL at the start", `\0${good}`);
  row("NUL between blocks", `${leaf}\0\n${middle}\0${key}`);
  row("a line of NUL before the chain", `${leaf}\0\n${middle}${key}`);
  row("NUL in the base64", good.replace(/\nMII/, "\nM\0I"));
  row("Ctrl-Z at the end", `${good}\x1a`);
  row("UTF-16", Buffer.from(`\uFEFF${good}`, "utf16le"));
  row(
    "non-breaking space behind BEGIN",
    good.replace("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\xc2\xa0"),
  );
  row("zero-width space in the base64", good.replace(/\nMII/, "\nM\xe2\x80\x8bII"));
  row("dashes of a word processor", good.replaceAll("-----", "\xe2\x80\x93\xe2\x80\x93\xe2\x80\x93"));
  row("form feed between blocks", `${leaf}\f\n${middle}\f${key}`);

  // Lines.
  row("trailing spaces", good.replaceAll("\n", "  \n"));
  row("trailing tabs", good.replaceAll("\n", "\t\n"));
  row("spaces before the base64", good.replace(/^(?!-)/gm, "  "));
  row("indented", before(good, "  "));
  row("indented chain", leaf + before(middle, "  ") + key);
  row("indented key", leaf + middle + before(key, "  "));
  row("indented END", good.replace("-----END CERT", " -----END CERT"));
  row("indented END of the chain", leaf + middle.replace("-----END CERT", " -----END CERT") + key);
  row("quoted by a mail", before(good, "> "));
  row("quoted chain", leaf + before(middle, "> ") + key);
  row("spaces within the base64", good.replace(/^([A-Za-z0-9+/]{32})(?=[A-Za-z0-9+/])/gm, "$1 "));
  row("certificate on one line", oneLine(leaf) + middle + key);
  row("chain on one line", leaf + oneLine(middle) + key);
  row("key on one line", leaf + middle + oneLine(key));
  row("all on one line each", oneLine(good));
  for (const width of [76, 253, 254, 255, 508])
    row(`lines of ${width}`, [leaf, middle, key].map((one) => wrapped(one, width)).join(""));
  row("lines of 1", wrapped(leaf, 1) + middle + key);
  row("lines of 76 in a PKCS#1 key", join("rsa3072.crt") + middle + wrapped(text("rsa3072.pkcs1"), 76));
  row("a long comment", `# ${"x".repeat(4000)}\n${good}`);
  row("a long comment that ends as a block begins", `${"x".repeat(254)}${good}`);
  row("a comment right before BEGIN", `${leaf}chain: ${middle}${key}`);
  row("no newline between certificate and chain", leaf.trimEnd() + middle + key);
  row("no newline between chain and key", leaf + middle.trimEnd() + key);
  row("a space between two blocks", `${leaf.trimEnd()} ${middle}${key}`);
  row("text behind END of the first", `${leaf.trimEnd()} # server\n${middle}${key}`);
  row("text behind END of the chain", `${leaf}${middle.trimEnd()} # chain\n${key}`);
  row("text behind END of the key", `${leaf}${middle}${key.trimEnd()} # key\n`);
  row(
    "text behind BEGIN of the chain",
    leaf + middle.replace("CERTIFICATE-----\n", "CERTIFICATE----- # chain\n") + key,
  );
  row(
    "text behind BEGIN of the first",
    leaf.replace("CERTIFICATE-----\n", "CERTIFICATE----- # server\n") + middle + key,
  );
  row("base64 on the line of BEGIN", good.replace("-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----"));
  row("four dashes before BEGIN", good.replace("-----BEGIN", "----BEGIN"));
  row("four dashes before BEGIN of the chain", leaf + middle.replace("-----BEGIN", "----BEGIN") + key);
  row("four dashes behind BEGIN of the chain", leaf + middle.replace("CERTIFICATE-----\n", "CERTIFICATE----\n") + key);
  row("four dashes behind END", good.replace("-----END CERTIFICATE-----", "-----END CERTIFICATE----"));
  row(
    "four dashes behind END of the chain",
    leaf + middle.replace("-----END CERTIFICATE-----", "-----END CERTIFICATE----") + key,
  );
  row("six dashes", good.replaceAll("-----", "------"));
  row("six dashes in the chain", leaf + middle.replaceAll("-----", "------") + key);
  row("small letters", good.replace("-----BEGIN CERTIFICATE-----", "-----begin certificate-----"));
  row("small letters in the chain", leaf + middle.replaceAll("CERTIFICATE", "Certificate") + key);
  row("line ends written out", good.replaceAll("\n", "\\n"));
  row("junk between blocks", `${leaf}junk junk\nMIIB\n${middle}****\n${key}`);
  row("an HTML page before", `<html><body>\n${good}</body></html>\n`);
  row("BEGIN twice", `-----BEGIN CERTIFICATE-----\n${good}`);
  row("BEGIN of the chain twice", `${leaf}-----BEGIN CERTIFICATE-----\n${middle}${key}`);
  row("END twice", `${leaf}-----END CERTIFICATE-----\n${middle}${key}`);
  row("first line missing", good.replace(/^.*\n/, ""));
  row("first line of the chain missing", leaf + middle.replace(/^.*\n/, "") + key);
  row("END of the first missing", good.replace(/^-----END CERTIFICATE-----\n/m, ""));
  row("END of the chain missing", leaf + middle.replace(/^-----END CERTIFICATE-----\n/m, "") + key);
  row("cut off in the key", good.slice(0, -60));
  row("cut off in the chain, key first", (key + leaf + middle).slice(0, -60));
  row("cut off in the last line of the chain, key first", (key + leaf + middle).slice(0, -4));
  row("cut off after BEGIN of the chain, key first", `${key}${leaf}-----BEGIN CERTIFICATE-----\n`);
  row("a character less in the first certificate", good.replace(/\n(MII.{20})./, "\n$1"));
  row("a character less in the chain", leaf + middle.replace(/\n(MII.{20})./, "\n$1") + key);
  row("no base64 in the chain", leaf + middle.replace(/\nMII/, "\nM**") + key);
  row("an ellipsis in the key", leaf + middle + key.replace(/\n.{20}/, "\n..."));
  row("an empty block in the chain", `${leaf}-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n${middle}${key}`);
  row("an empty first block", `-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n${good}`);
  row("damaged certificate", good.replace(/\nMII./, "\nAAAA"));
  row("damaged chain", leaf + middle.replace(/\nMII./, "\nAAAA") + key);
  row("damaged second chain certificate", leaf + middle + root.replace(/\nMII./, "\nAAAA") + key);
  row("damaged key", leaf + middle + key.replace(/\nM.../, "\nAAAA"));
  row("damaged key before the good one", leaf + middle + key.replace(/\nM.../, "\nAAAA") + key);
  row("bytes behind the certificate within its block", good.replace("\n-----END CERT", "\nAAAA\n-----END CERT"));

  row("three bytes behind the certificate within its block", padded(leaf) + middle + key);
  row("three bytes behind the chain within its block", leaf + padded(middle) + key);

  // What is in it.
  row("empty", "");
  row("blank lines only", "\n\n  \n");
  row("key alone", key);
  row("certificate alone", leaf);
  row("certificate and chain without key", leaf + middle);
  row("foreign key", leaf + middle + text("other.key"));
  row("key twice", good + key);
  row("two keys, the good one first", good + text("other.key"));
  row("two keys, the foreign one first", leaf + middle + text("other.key") + key);
  row("two servers in one file", join("leaf.crt", "leaf.key", "rsa.crt", "rsa.key"));
  row("public key before the private one", leaf + join("leaf.pub") + middle + key);
  row("public key in place of the private one", leaf + join("leaf.pub"));
  row("request in place of the certificate", join("leaf.csr", "leaf.key"));
  row("request before the certificate", join("leaf.csr") + good);
  row("CRL behind the chain", leaf + middle + join("crl") + key);
  row("CRL before the certificate", join("crl") + good);
  row("PKCS#7", join("leaf.p7") + key);
  row("PKCS#7 behind", good + join("leaf.p7"));
  row("TRUSTED CERTIFICATE", join("leaf.trusted") + middle + key);
  row("TRUSTED CERTIFICATE in the chain", leaf + join("middle.trusted") + key);
  row("TRUSTED CERTIFICATE in the chain before the root", leaf + join("middle.trusted") + root + key);
  row("a key with a passphrase", leaf + middle + join("leaf.enc"));
  row("a key with a passphrase before a plain one", leaf + middle + join("leaf.enc") + key);
  row("a key with an empty passphrase", leaf + middle + join("leaf.enc-empty"));
  row("an old key with a passphrase", join("rsa.crt") + middle + join("rsa.enc"));
  row("an SSH key", `${leaf}-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n`);
  row(
    "an SSH key before the good one",
    `${leaf}${middle}-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n${key}`,
  );
  row("chain before the certificate", middle + leaf + key);
  row("everything the wrong way round", root + middle + leaf + key);
  row("root before the intermediate", leaf + root + middle + key);
  row("a foreign chain", leaf + text("short.crt") + key);
  row("certificate twice", leaf + leaf + middle + key);
  row("chain twice", leaf + middle + middle + key);
  row("expired", join("gone.crt", "middle.crt", "gone.key"));
  row("not valid yet", join("future.crt", "middle.crt", "future.key"));
  row("a chain that ends soon", join("aged.crt", "short.crt", "aged.key"));
  row("no SAN", join("nosan.crt", "middle.crt", "nosan.key"));
  row("a client's certificate", join("client.crt", "middle.crt", "client.key"));
  row("a CA's certificate", join("authority.crt", "authority.key"));
  row("SHA-1", join("sha1.crt", "middle.crt", "sha1.key"));
  row("RSA of 1024 bits", join("weak.crt", "middle.crt", "weak.key"));
  row("RSA of 512 bits", join("tiny.crt", "middle.crt", "tiny.key"));
  row("RSA-PSS", join("pss.crt", "middle.crt", "pss.key"));
  row("explicit curve", join("explicit.crt", "middle.crt", "explicit.key"));
  row("Ed25519", join("ed.crt", "middle.crt", "ed.key"));
  row("Ed448", join("ed448.crt", "middle.crt", "ed448.key"));
  row("secp256k1", join("koblitz.crt", "middle.crt", "koblitz.key"));
  row("P-224", join("p224.crt", "middle.crt", "p224.key"));
  row("brainpoolP256r1", join("brainpool.crt", "middle.crt", "brainpool.key"));
  row("a key of Ed448 that is foreign", leaf + middle + join("ed448.key"));

  // Files that are not PEM.
  row("DER", raw("leaf.der"));
  row("DER of the key", raw("key.der"));
  row("DER and then the key", Buffer.concat([raw("leaf.der"), Buffer.from(key)]));
  row("PKCS#12", raw("leaf.p12"));
  row("PKCS#7 in DER", raw("leaf.p7b"));
  row("base64 without BEGIN", text("leaf.b64"));
  row("a page of the CA's portal", "<!DOCTYPE html><html><body>Log in</body></html>\n");
  row("a Java keystore", Buffer.from([0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]));
  row("an archive of good PEM", Buffer.from(Bun.gzipSync(Buffer.from(good))));
  row("900 kB of comments", `# ${"x".repeat(70)}\n`.repeat(12_000) + good);
  row("900 kB of comments behind", good + `# ${"x".repeat(70)}\n`.repeat(12_000));
  return rows;
}
