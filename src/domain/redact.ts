/**
 * Removes credentials from text that ober shows, keeps or packs, in three degrees: ober's own text (`withoutCredentials`: credentials known by
 * their name or form), text by programs and clients (`redact`: also every query and every long opaque word), and text that leaves the node
 * (harmless.ts: only known forms pass). Every pattern takes time proportional to the text. Pure.
 */

export const REDACTED = "[redacted]";

/** Shorter values are not searched for: they would also match ordinary words. The patterns below find them by their names. */
const SHORTEST = 4;

/** Parts of names whose values are credentials. */
const SECRET = [
  ...[
    "passw(?:or)?d",
    "passwd",
    "passphrase",
    "passcode",
    "auth_?pass",
    "secret",
    "token",
    "credential",
    "signature",
    "tsig",
    "hmac",
    "eab",
  ],
  "(?:api|private|access|auth|account|session|customer|url|x-amz|license)[-_]?key",
].join("|");

/** Headers and parameters of S3, Swift and HTTP whose whole value is a credential. */
const HEADER = [
  ...[
    "(?:proxy-)?authorization",
    "(?:set-)?cookie",
    "x-(?:auth|storage|service|subject|session)-(?:key|token|user-key)",
  ],
  "x-amz-(?:copy-source-)?server-side-encryption-customer-key(?:-md5)?",
  ...["x-amz-security-token", "x-(?:account|container)-meta-(?:temp-url|access)-key(?:-2)?"],
].join("|");

/** A quoted value (closed or not, escaped in JSON or not), or a word. */
const VALUE = `\\\\"[^"\\n]*"?|"(?:[^"\\\\\\n]|\\\\.)*"?|'[^'\\n]*'?|[^\\s,;&}"'<>)\\]]+`;
/** A name starts at a word boundary, so that the engine looks at each name once, however long it is. */
const NAME = `(?<![\\w.-])(?=[\\w.-]*?(?:${SECRET}))[\\w.-]+`;
const BETWEEN = `\\\\?["']?\\s{0,8}(?:[:=]|%3[ad])\\s{0,8}`;

type Pattern = readonly [pattern: RegExp, by: string | ((...groups: string[]) => string)];

const BY_FORM: readonly Pattern[] = [
  [/-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|$)/g, REDACTED],
  [new RegExp(`(?<![\\w-])(${HEADER})(\\\\?["']?\\s{0,8}(?:[:=]|%3[ad])).*`, "gi"), `$1$2 ${REDACTED}`],
  [/(?<![\w-])(AWS4-HMAC-SHA256)\s.*/g, `$1 ${REDACTED}`],
  [/(?<![\w-])(AWS )[A-Za-z0-9_.$-]{3,128}:[^\s"']+/g, `$1${REDACTED}`],
  [
    /(?<![\w-])((?:Bearer|Basic|Negotiate|Token) {1,8})([A-Za-z0-9+/_.~-]{12,}={0,2})/gi,
    (whole = "", scheme = "", value = "") => (/^[a-z-]+$/.test(value) ? whole : `${scheme}${REDACTED}`),
  ],
  [
    /(?<![\w-])(x-amz-(?:signature|security-token|credential)|signature|policy|awsaccesskeyid|temp_url_sig|sig|key)=[^\s&"'<>]+/gi,
    `$1=${REDACTED}`,
  ],
  [/(?<![A-Za-z0-9])(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA|ANPA|APKA)[A-Z0-9]{12,124}/g, REDACTED],
  [/(\/\/)[^/\s@"'<>]{1,512}@/g, `$1${REDACTED}@`],
  [/(?<![\w-])(md5-password|auth_pass|insecure-password)\s+("[^"\n]*"?|'[^'\n]*'?|[^\s;]+)/gi, `$1 ${REDACTED}`],
  [/(?<!\S)(-y\s+)[^\s:]{1,256}:\S+/g, `$1${REDACTED}`],
  [
    new RegExp(`(?<![\\w-])(--?(?=[\\w-]*?(?:${SECRET}))[\\w-]+\\s{1,8})(?!-|\\[redacted\\])(${VALUE})`, "gi"),
    (whole = "", flag = "", value = "") =>
      value === value.toUpperCase() && /^[A-Z]+$/.test(value) ? whole : `${flag}${REDACTED}`,
  ],
  [new RegExp(`(<(?=[\\w:-]*?(?:${SECRET}))[\\w:-]+>)[^<]*`, "gi"), `$1${REDACTED}`],
  [new RegExp(`(${NAME}\\s{1,8})(?!\\[redacted\\])(?:"[^"\\n]+"|'[^'\\n]+')`, "gi"), `$1${REDACTED}`],
];

/** Text after a name in a sentence that is not a value. */
const NO_VALUE =
  /^(?:ok|none|no|yes|true|false|null|set|unset|missing|unknown|present|absent|\d|0o?\d{3}|\[redacted\]?.*)$/i;

/** In a sentence more words follow a colon; a value is alone, quoted, or after "=". */
const NAMED_IN_PROSE: Pattern = [
  new RegExp(`(${NAME})(${BETWEEN})(${VALUE})(?=([^\\n]?[^\\n]?))`, "gi"),
  (whole = "", name = "", between = "", value = "", next = "") => {
    const quoted = /^\\?["']/.test(value);
    const goesOn = /^ [A-Za-z0-9(]/.test(next) && between.includes(":") && !quoted;
    return NO_VALUE.test(value) || goesOn ? whole : `${name}${between}${REDACTED}`;
  },
];

const STRICT: readonly Pattern[] = [
  [new RegExp(`(${NAME}${BETWEEN})(?!\\[redacted\\])(?:${VALUE})`, "gi"), `$1${REDACTED}`],
  // The name without its colon, as in a malformed request.
  [new RegExp(`(?<![\\w-])(${HEADER})(?!["']?\\s{0,8}(?:[:=]|%3[ad]) \\[redacted\\])(\\s).*`, "gi"), `$1$2${REDACTED}`],
  [/\?[^\s"'<>?][^\s"'<>]*/g, `?${REDACTED}`],
];

const replaced = (text: string, patterns: readonly Pattern[]): string =>
  patterns.reduce((rest, [pattern, by]) => rest.replace(pattern, by as string), text);

/** A line without any of these has no credential by name or form, so most lines are skipped quickly. */
const SUSPICIOUS = new RegExp(
  `${SECRET}|authorization|cookie|key|sig|policy|PRIVATE|AWS|Bearer|Basic|Negotiate|@|(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA|ANPA|APKA)|-y|x-(?:auth|storage|service|subject|session)`,
  "i",
);

/** ober's own text without credentials that are known by name or form. For sentences, documents and command lines. */
export function withoutCredentials(text: string): string {
  return SUSPICIOUS.test(text) ? replaced(text, [...BY_FORM, NAMED_IN_PROSE]) : text;
}

/** The same for every text in a document. Keys stay, because they are ober's. */
export function documentWithoutCredentials(value: unknown): unknown {
  return mapTexts(value, withoutCredentials);
}

/** A document with every text changed by `change`; the names of keys stay. */
export function mapTexts(value: unknown, change: (text: string, key: string) => string, key = ""): unknown {
  if (typeof value === "string") return change(value, key);
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change, key));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, mapTexts(inner, change, name)]));
}

/**
 * Text by programs and clients, without the secret `values`, credentials, queries, and long words that mean nothing to a reader (keys,
 * signatures, tokens).
 */
export function redact(text: string, values: readonly string[] = []): string {
  return withoutOpaque(replaced(withoutValues(text, values), [...BY_FORM, ...STRICT]));
}

/** `text` without any of `values`. */
export function withoutValues(text: string, values: readonly string[]): string {
  const known = values.filter((value) => value.length >= SHORTEST).sort((a, b) => b.length - a.length);
  return known.reduce((rest, value) => rest.replaceAll(value, REDACTED), text);
}

/** A command line as typed, without credentials and without words that only a program can read. */
export const typedWithoutSecrets = (text: string): string => withoutOpaque(withoutCredentials(text));

/** Redacts text that arrives line by line; a private key spans many lines. */
export function lineRedactor(values: readonly string[] = []): (line: string) => string {
  let inKey = false;
  return (line) => {
    const begins = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY/.test(line);
    const ends = /-----END [A-Z0-9 ]{0,40}PRIVATE KEY/.test(line);
    const within = inKey && !begins;
    inKey = (inKey || begins) && !ends;
    return within ? REDACTED : redact(line, values);
  };
}

const WORD = /(?<![A-Za-z0-9+/_.%~-])[A-Za-z0-9+/_.%~-]{21,}={0,2}/g;
const PLACE = /^\/(?:bin|boot|dev|etc|home|lib|lib64|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)\//;
/** A word, a name of a program, a number, a part of a version. */
const PIECE =
  /^(?:[A-Za-z]?[a-z]{0,20}|[A-Z]{1,12}|\d{1,12}|[A-Za-z0-9]{1,8}|[a-z]{0,12}(?:[A-Z][a-z]{2,15}){1,6}[A-Z]{0,3})$/;
const MIXED = /\d[A-Za-z]|[A-Za-z]\d/;

/** Removes words of more than 20 characters, except paths, names joined by signs, and digests labelled as SHA-256. */
export function withoutOpaque(text: string): string {
  return text.replace(WORD, (word, at: number) => {
    if (PLACE.test(word) || isReadable(word)) return word;
    const isDigest =
      /^[0-9a-f]{64}$/.test(word) && /sha256["']?[:= ]{1,2}["']?$/i.test(text.slice(Math.max(0, at - 12), at));
    return isDigest ? word : REDACTED;
  });
}

function isReadable(word: string): boolean {
  const pieces = word.split(/[-_./+~%=]+/);
  return (
    pieces.every((piece) => PIECE.test(piece)) &&
    pieces.filter((piece) => MIXED.test(piece)).length * 2 <= pieces.length
  );
}
