const REMOVED = "[removed]";

/** Shorter ones would take half of the words of a text with them; the patterns below find those where they stand. */
const SHORTEST = 4;

/** A word for something secret, then its value: of a YAML or INI line, an assignment, JSON, a query, ExaBGP's or BIRD's own. */
const NAMED =
  /((?:[\w.:-]*(?:passw(?:or)?d|secret|token|passphrase|api_?key|private_?key)[\w.:-]*)["']?(?:\s*[:=]\s*|\s+))(?!\[removed\])("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&}"']+)/gi;

const PATTERNS: readonly (readonly [pattern: RegExp, by: string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, REMOVED],
  [
    /((?:X-Amz-(?:Signature|Security-Token|Credential)|\b(?:signature|policy|awsaccesskeyid))=)[^\s&"]+/gi,
    `$1${REMOVED}`,
  ],
  // Headers that carry a credential: the whole rest of the line, as a cookie or a signature has blanks in it.
  [
    /\b((?:(?:proxy-)?authorization|(?:set-)?cookie|x-auth-key|x-auth-token|x-amz-(?:copy-source-)?server-side-encryption-customer-key(?:-md5)?)["']?\s*[:=]\s*).*/gi,
    `$1${REMOVED}`,
  ],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, REMOVED],
  [/(\/\/[^/\s:@]+:)[^/\s@]+@/g, `$1${REMOVED}@`],
  [NAMED, `$1${REMOVED}`],
];

/** `text` without the secret `values`, and without whatever looks like one. */
export function redact(text: string, values: readonly string[]): string {
  const known = [...values].filter((value) => value.length >= SHORTEST).sort((a, b) => b.length - a.length);
  const without = known.reduce((rest, value) => rest.replaceAll(value, REMOVED), text);
  return PATTERNS.reduce((rest, [pattern, by]) => rest.replace(pattern, by), without);
}
