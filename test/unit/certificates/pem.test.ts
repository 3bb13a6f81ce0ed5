import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { examineCertificates, readCertificates } from "../../../src/certificates/examined.ts";
import { examinePem } from "../../../src/certificates/pem.ts";
import type { HaproxyVerdict } from "../../../src/haproxy/verdict.ts";
import { madePki } from "../../helpers/pki.ts";
import { temporarySystem } from "../../helpers/system.ts";

const { pki, made } = await madePki();
const DAY = 86_400_000;
/** A little after the certificates were made. */
const now = new Date(made.getTime() + 600_000);
const later = (days: number) => new Date(made.getTime() + days * DAY);
/** The blocks of these files, one after the other. */
const join = (...names: readonly string[]) => names.map((name) => pki(name)).join("");
const good = () => join("leaf.crt", "middle.crt", "leaf.key");
const reversed = (text: string) => text.replaceAll("\n", "\r");
const withoutLine = (text: string, pattern: RegExp) => text.replace(pattern, "");

type Case = readonly [
  what: string,
  text: () => string,
  said: string,
  options?: { keyText?: () => string; mode?: number; at?: Date },
];

const WRONG_ORDER = "the certificates in s3.pem are in the wrong order: the server's own is not first";
const OTHERS = "the private key in s3.pem does not belong to its certificate";
const DAMAGED_KEY = "the private key in s3.pem cannot be read: it is damaged";

const BROKEN: readonly Case[] = [
  ["an empty file", () => "", "s3.pem is empty"],
  ["blank lines only", () => "\n\n  \n", "s3.pem is empty"],
  [
    "a page of the CA's portal",
    () => "<!DOCTYPE html><html><body>Log in</body></html>\n",
    "s3.pem holds no certificate",
  ],
  ["DER", () => pki("leaf.der"), "s3.pem is DER, not PEM"],
  ["a key in DER", () => pki("key.der"), "s3.pem is DER, not PEM"],
  ["PKCS#12", () => pki("leaf.p12"), "s3.pem is PKCS#12 (.p12, .pfx), not PEM"],
  ["PKCS#7", () => pki("leaf.p7"), "s3.pem is PKCS#7"],
  ["a Java keystore", () => "\uFFFD\uFFFD\uFFFD\uFFFD\0\0\0\x02", "s3.pem is binary, not PEM"],
  ["UTF-16", () => `\uFFFD\uFFFD${[...good()].join("\0")}`, "s3.pem is encoded as UTF-16"],
  [
    "a byte order mark twice",
    () => `\uFEFF\uFEFF${good()}`,
    "certificate 1 in s3.pem (line N) begins with a byte order mark",
  ],
  ["line ends of an old Macintosh", () => reversed(good()), "s3.pem has line ends of CR only"],
  ["line ends written out", () => good().replaceAll("\n", "\\n"), "s3.pem has its line ends written as \\n"],
  [
    "no newline between two blocks",
    () => pki("leaf.crt").trimEnd() + pki("leaf.key"),
    "s3.pem: block 1 (CERTIFICATE) lacks a line end before its -----BEGIN: a file without one at its end was appended to",
  ],
  ["indented, from a YAML file", () => good().replace(/^/gm, "  "), "certificate 1 in s3.pem (line N) is indented"],
  ["quoted, from a mail", () => good().replace(/^/gm, "> "), "certificate 1 in s3.pem (line N) is indented"],
  [
    "too few dashes",
    () => good().replace("-----BEGIN", "----BEGIN"),
    "certificate 1 in s3.pem (line N) has a -----BEGIN line without exactly five dashes on each side",
  ],
  [
    "the first line missing",
    () => withoutLine(good(), /^.*\n/),
    "certificate 1 in s3.pem (line N) has no line -----BEGIN before it",
  ],
  [
    "cut off in the key",
    () => good().slice(0, -60),
    "the private key in s3.pem (line N) breaks off: it has no line -----END PRIVATE KEY-----",
  ],
  [
    "two kinds of block mixed up",
    () => good().replace("-----END CERTIFICATE", "-----END PRIVATE KEY"),
    "s3.pem: block 1 (CERTIFICATE) begins as CERTIFICATE and ends as PRIVATE KEY",
  ],
  [
    "characters that are not base64",
    () => good().replace(/\nMII/, "\nM**"),
    "s3.pem: block 1 (CERTIFICATE) holds characters that are not base64, or is incomplete",
  ],
  [
    "an ellipsis of a screen",
    () => good().replace(/\n.{20}/, "\n..."),
    "s3.pem: block 1 (CERTIFICATE) holds characters that are not base64, or is incomplete",
  ],
  [
    "a block without content",
    () => `-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n${pki("leaf.key")}`,
    "s3.pem: block 1 (CERTIFICATE) is empty",
  ],
  [
    "a damaged certificate",
    () => good().replace(/\nMII./, "\nAAAA"),
    "certificate 1 in s3.pem cannot be read: it is damaged",
  ],
  [
    "a damaged chain",
    () => pki("leaf.crt") + pki("middle.crt").replace(/\nMII./, "\nAAAA") + pki("leaf.key"),
    "certificate 2 in s3.pem cannot be read: it is damaged",
  ],
  ["a damaged key", () => pki("leaf.crt") + pki("leaf.key").replace(/\nM.../, "\nAAAA"), DAMAGED_KEY],
  [
    "a request in place of the certificate",
    () => join("leaf.csr", "leaf.key"),
    "s3.pem holds a certificate request, not a certificate",
  ],
  ["a key alone", () => pki("leaf.key"), "s3.pem holds a private key without its certificate"],
  ["parameters alone", () => pki("params"), "s3.pem holds no certificate, but EC PARAMETERS"],
  ["no key", () => join("leaf.crt", "middle.crt"), "s3.pem holds a certificate without its private key"],
  [
    "the public key",
    () => join("leaf.crt", "leaf.pub"),
    "s3.pem holds a certificate with a public key, but without its private key",
  ],
  ["another certificate's key", () => join("leaf.crt", "other.key"), OTHERS],
  [
    "another certificate's key beside it",
    () => join("leaf.crt"),
    "the private key s3.pem.key does not belong to its certificate",
    { keyText: () => pki("other.key") },
  ],
  ["an empty file beside it", () => join("leaf.crt"), "s3.pem.key is empty", { keyText: () => "" }],
  [
    "two keys, the foreign one first",
    () => join("leaf.crt", "other.key", "leaf.key"),
    "s3.pem holds 2 private keys, but the first does not belong to the certificate",
  ],
  [
    "an SSH key",
    () => `${pki("leaf.crt")}-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n`,
    "the private key in s3.pem is an SSH key",
  ],
  [
    "a key with a passphrase",
    () => join("leaf.crt", "leaf.enc"),
    "the private key in s3.pem has a passphrase, which HAProxy cannot ask for when it starts",
  ],
  [
    "an old key with a passphrase",
    () => join("rsa.crt", "rsa.enc"),
    "the private key in s3.pem has a passphrase, which HAProxy cannot ask for when it starts",
  ],
  ["the chain before the server's", () => join("middle.crt", "leaf.crt", "leaf.key"), WRONG_ORDER],
  ["everything the wrong way round", () => join("root.crt", "middle.crt", "leaf.crt", "leaf.key"), WRONG_ORDER],
  [
    "an RSA key of 1024 bits",
    () => join("weak.crt", "middle.crt", "weak.key"),
    "the RSA key in s3.pem has only 1024 bits, which TLS libraries refuse",
  ],
];

const INVALID: readonly Case[] = [
  [
    "an expired certificate",
    good,
    `the certificate in s3.pem expired on ${later(90).toISOString().slice(0, 10)}`,
    { at: later(91) },
  ],
  [
    "one that is not valid yet",
    good,
    `the certificate in s3.pem is not valid before ${later(0).toISOString().slice(0, 10)}`,
    { at: later(-2) },
  ],
  [
    "an expired chain",
    () => join("aged.crt", "short.crt", "aged.key"),
    `certificate 2 of the chain in s3.pem expired on ${later(10).toISOString().slice(0, 10)}`,
    { at: later(20) },
  ],
  [
    "a key of a type that few clients know",
    () => join("ed.crt", "middle.crt", "ed.key"),
    "the key in s3.pem is of type ed25519, which many S3 clients do not accept",
  ],
  [
    "no names",
    () => join("nosan.crt", "middle.crt", "nosan.key"),
    "the certificate in s3.pem has no subjectAltName; clients ignore the common name",
  ],
  [
    "a client's certificate",
    () => join("client.crt", "middle.crt", "client.key"),
    "the certificate in s3.pem is not for servers (extendedKeyUsage)",
  ],
  [
    "a CA's certificate",
    () => join("authority.crt", "authority.key"),
    "the certificate in s3.pem is a CA's, not a server's",
  ],
  [
    "a signature with SHA-1",
    () => join("sha1.crt", "middle.crt", "sha1.key"),
    "certificate 1 in s3.pem is signed with ecdsa-with-SHA1, which clients refuse",
  ],
  [
    "the root before the intermediate",
    () => join("leaf.crt", "root.crt", "middle.crt", "leaf.key"),
    "the chain in s3.pem is in the wrong order: certificate 2 did not issue the one before it",
  ],
  [
    "a foreign chain",
    () => join("leaf.crt", "short.crt", "leaf.key"),
    'certificate 2 in s3.pem ("short") did not issue the one before it; its issuer is "middle"',
  ],
  [
    "the certificate twice",
    () => join("leaf.crt", "leaf.crt", "middle.crt", "leaf.key"),
    "certificate 2 in s3.pem occurs twice",
  ],
];

/** Where HAProxy takes a file and reads less of it than a person does. */
const LOST: readonly Case[] = [
  [
    "the end of the first block missing",
    () => withoutLine(good(), /^-----END CERTIFICATE-----\n/m),
    "certificate 2 (line N) is part of the block before it, which has no line -----END",
  ],
  [
    "a chain with four dashes",
    () => pki("leaf.crt") + pki("middle.crt").replace("-----BEGIN", "----BEGIN") + pki("leaf.key"),
    "certificate 2 (line N) has a -----BEGIN line without exactly five dashes on each side",
  ],
  [
    "a chain in OpenSSL's own form",
    () => join("leaf.crt", "leaf.trusted", "leaf.key"),
    "certificate 2 (line N) is a TRUSTED CERTIFICATE, OpenSSL's own form, which is ignored in a chain",
  ],
  [
    "a header in the chain",
    () => pki("leaf.crt") + pki("middle.crt").replace("\n", "\nNote: x\n") + pki("leaf.key"),
    "certificate 2 (line N) has a header inside (line N)",
  ],
];

const REMARKS: readonly Case[] = [
  [
    "a certificate without its chain",
    () => join("leaf.crt", "leaf.key"),
    's3.pem holds the certificate without its chain: clients that do not know "middle" refuse it',
  ],
  ["one that ends soon", good, "the certificate in s3.pem expires in 9 days", { at: later(80.5) }],
  [
    "one of six days on its last",
    () => join("fleeting.crt", "middle.crt", "fleeting.key"),
    "the certificate in s3.pem expires in 12 hours",
    { at: later(5.48) },
  ],
  [
    "an RSA key that is slow",
    () => join("huge.crt", "middle.crt", "huge.key"),
    "the RSA key in s3.pem has 4352 bits: TLS handshakes will be slow",
  ],
  ["a key twice", () => good() + pki("leaf.key"), "s3.pem holds 2 private keys; HAProxy uses number 1"],
  ["a key that everybody can read", good, "everybody can read the key in s3.pem", { mode: 0o644 }],
  ["a key that the group can change", good, "the group can change the key in s3.pem", { mode: 0o660 }],
];

const FINE: readonly Case[] = [
  ["certificate, chain and key", good, ""],
  ["the key first", () => join("leaf.key", "leaf.crt", "middle.crt"), ""],
  ["the root at the end", () => join("leaf.crt", "middle.crt", "root.crt", "leaf.key"), ""],
  ["line ends of Windows", () => good().replaceAll("\n", "\r\n"), ""],
  ["no newline at the end", () => good().trimEnd(), ""],
  ["what openssl pkcs12 writes", () => join("leaf.bag", "middle.crt"), ""],
  ["parameters and an EC key", () => join("leaf.crt", "middle.crt", "params", "leaf.ec"), ""],
  ["the key beside it", () => join("leaf.crt", "middle.crt"), "", { keyText: () => pki("leaf.key") }],
  ["an RSA key", () => join("rsa.crt", "middle.crt", "rsa.key"), ""],
  ["a self-signed certificate", () => join("own.crt", "own.key"), ""],
  ["a byte order mark", () => `\uFEFF${good()}`, ""],
  ["Latin-1 in a comment", () => `# M\uFFFDnchen\n${good()}`, ""],
  ["a NUL at the end", () => `${good()}\0`, ""],
  ["two carriage returns a line", () => good().replaceAll("\n", "\r\r\n"), ""],
  [
    "one long line",
    () => pki("leaf.crt").replace(/([A-Za-z0-9+/=])\n(?!-)/g, "$1") + join("middle.crt", "leaf.key"),
    "",
  ],
  ["OpenSSL's own form for the server's", () => join("leaf.trusted", "middle.crt", "leaf.key"), ""],
  ["six days, two of them over", () => join("fleeting.crt", "middle.crt", "fleeting.key"), "", { at: later(2) }],
];

/** How many lines a certificate has depends on its signature. */
const withoutLines = (message: string) => message.replaceAll(/\(line \d+\)/g, "(line N)");

const examine = ([, text, , { keyText, mode = 0o600, at = now } = {}]: Case) =>
  examinePem({ file: "s3.pem", text: text(), keyText: keyText?.(), mode }, at);

describe("a PEM file", () => {
  test.each(BROKEN)("%s is broken", (...one) => {
    const { certificate, problems } = examine(one as unknown as Case);
    expect(problems.map(({ severity, message }) => [severity, withoutLines(message)])).toEqual([["broken", one[2]]]);
    expect(problems[0]?.fix.length).toBeGreaterThan(5);
    expect(certificate).toBeUndefined();
  });

  test.each(INVALID)("%s is invalid", (...one) => {
    const { certificate, problems } = examine(one as unknown as Case);
    expect(problems[0]).toMatchObject({ severity: "invalid", message: one[2] });
    expect(certificate).toBeDefined();
  });

  test.each(LOST)("%s is not served", (...one) => {
    const { certificate, problems } = examine(one as unknown as Case);
    const message = `HAProxy serves only 1 of the 2 certificates in s3.pem: ${one[2]}`;
    expect(problems.map((one) => [one.severity, withoutLines(one.message)])).toEqual([["invalid", message]]);
    expect(certificate?.chain).toBe(0);
  });

  test("whose chain some versions refuse is judged by the one that is here", () => {
    const chain = pki("middle.crt").split("\n").toSpliced(4, 0, "").join("\n");
    const text = pki("leaf.crt") + chain + pki("leaf.key");
    const said = (verdict?: HaproxyVerdict) =>
      examinePem({ file: "s3.pem", text }, now, verdict).problems.map((one) => ({
        ...one,
        message: withoutLines(one.message),
      }))[0];
    const because =
      "certificate 2 (line N) has a blank line inside (line N), which OpenSSL reads as the end of a header";
    expect(said()).toMatchObject({
      severity: "broken",
      message: `HAProxy 3.0 and newer refuse s3.pem, and 2.6 serves only 1 of the 2 certificates in s3.pem: ${because}`,
      fix: "sed -i '/^[[:space:]]*$/d' s3.pem",
    });
    expect(said({ refused: "not proc type" })).toMatchObject({
      severity: "broken",
      message: `HAProxy refuses s3.pem: ${because}`,
    });
    expect(said("taken")).toMatchObject({
      severity: "invalid",
      message: `HAProxy serves only 1 of the 2 certificates in s3.pem: ${because}`,
    });
  });

  test("gets a remedy that a shell takes, whatever its name is", () => {
    const { problems } = examinePem({ file: "/c/it's $(x).pem", text: good().replace("\n", "\n\n\n") }, now);
    expect(problems[0]?.fix).toBe("sed -i '/^[[:space:]]*$/d' '/c/it'\\''s $(x).pem'");
  });

  test("is broken where HAProxy refuses it, for whatever reason", () => {
    const { certificate, problems, judge } = examinePem({ file: "s3.pem", text: good() }, now, { refused: "no luck" });
    expect(problems[0]).toMatchObject({ severity: "broken", message: "HAProxy refuses s3.pem: no luck" });
    expect([certificate, judge]).toEqual([undefined, "haproxy"]);
  });

  test("that HAProxy takes is not broken, though ober does not understand it", () => {
    const text = good().replace("-----BEGIN", "----BEGIN");
    const { problems } = examinePem({ file: "s3.pem", text }, now, "taken");
    expect(problems.map(({ severity }) => severity)).toEqual(["remark"]);
  });

  test.each(REMARKS)("%s is worth a remark", (...one) => {
    const { problems } = examine(one as unknown as Case);
    expect(problems.map(({ severity, message }) => [severity, message])).toEqual([["remark", one[2]]]);
  });

  test.each(FINE)("%s is fine", (...one) => {
    const { certificate, problems } = examine(one as unknown as Case);
    expect(problems).toEqual([]);
    expect(certificate?.names).toContain("s3.example.org");
    // Nothing that would end the payload of HAProxy's socket too early.
    expect(certificate?.payload).toMatch(
      /^(-----BEGIN [A-Z ]+-----\n([A-Za-z0-9+/=]+\n)+-----END [A-Z ]+-----\n){2,4}$/,
    );
  });

  test("never repeats anything of a key", () => {
    for (const one of [...BROKEN, ...LOST, ...INVALID, ...REMARKS]) {
      const said = JSON.stringify(examine(one).problems);
      expect(said).not.toContain(pki("leaf.key").split("\n")[1]?.slice(0, 16));
    }
  });

  test("on a curve that clients do not take is invalid", () => {
    const { problems } = examine(["", () => join("koblitz.crt", "middle.crt", "koblitz.key"), ""]);
    expect(problems.map(({ severity, message }) => [severity, message])).toEqual([
      ["invalid", "the key in s3.pem is on the curve secp256k1, which TLS clients do not accept"],
    ]);
  });
});

describe("a place of certificates", () => {
  const DIRECTORY = "/etc/certs";
  async function place(files: Readonly<Record<string, string>>) {
    const system = temporarySystem();
    mkdirSync(system.root + DIRECTORY, { recursive: true });
    for (const [name, text] of Object.entries(files))
      await system.writeAtomic(`${DIRECTORY}/${name}`, text, { mode: 0o600 });
    return system;
  }
  const messages = async (system: Awaited<ReturnType<typeof place>>, at: string) =>
    (await examineCertificates(system, at, { now })).flatMap(({ problems }) => problems).map(({ message }) => message);

  test("takes every file of a directory, with a key beside it", async () => {
    using system = await place({
      "a.pem": join("leaf.crt", "middle.crt"),
      "a.pem.key": pki("leaf.key"),
      "b.pem": join("rsa.crt", "middle.crt", "rsa.key"),
      ".hidden": "x",
    });
    mkdirSync(`${system.root}${DIRECTORY}/old`);
    expect((await readCertificates(system, `${DIRECTORY}/`, { now })).map(({ file, key }) => [file, key])).toEqual([
      ["/etc/certs/a.pem", "EC prime256v1"],
      ["/etc/certs/b.pem", "RSA 2048"],
    ]);
    // ECDSA and RSA for one name are no duplicates: HAProxy serves each client what it can.
    expect(await messages(system, DIRECTORY)).toEqual([]);
  });

  test("says which of two certificates for one name is served", async () => {
    using system = await place({ "a.pem": good(), "b.pem": join("other.crt", "middle.crt", "other.key") });
    expect(await messages(system, DIRECTORY)).toEqual([
      "/etc/certs/a.pem and /etc/certs/b.pem are both for s3.example.org; HAProxy serves the first",
    ]);
  });

  test.each([
    ["/etc/certs/", "there is no certificate at /etc/certs/"],
    ["/etc/absent.pem", "there is no certificate at /etc/absent.pem"],
  ])("has nothing at %s", async (at, said) => {
    using system = await place({ "s3.pem.key": pki("leaf.key") });
    expect(readCertificates(system, at, { now })).rejects.toThrow(said);
  });

  test("names what is no file, a link to nothing, and links in a circle", async () => {
    using system = await place({ "README.txt": "our certificates\n" });
    symlinkSync("nowhere.pem", `${system.root}${DIRECTORY}/gone.pem`);
    symlinkSync("round.pem", `${system.root}/etc/round.pem`);
    expect(await messages(system, DIRECTORY)).toEqual([
      "/etc/certs/README.txt holds no certificate",
      "/etc/certs/gone.pem is a link to a file that does not exist",
    ]);
    expect(readCertificates(system, "/etc/round.pem", { now })).rejects.toThrow(
      "/etc/round.pem is a link that leads in a circle",
    );
    expect(readCertificates(system, "/etc/certs/README.txt/x.pem", { now })).rejects.toThrow(
      "there is no certificate at /etc/certs/README.txt/x.pem",
    );
  });
});
