/** Problems that clients have with a certificate that HAProxy serves: dates, names, chain, and who can read the key. Pure. */
import type { KeyObject, X509Certificate } from "node:crypto";
import { quote } from "../domain/quote.ts";

/** `broken`: HAProxy cannot serve it. `invalid`: HAProxy can, but clients refuse it. `remark`: it works for now. */
export type Severity = "broken" | "invalid" | "remark";
export type Problem = { readonly severity: Severity; readonly message: string; readonly fix: string };

/** How early to warn, so that there is time to act in office hours. */
const EXPIRY_WARNING_DAYS = 21;
/** The organization in ober's self-signed placeholder. */
export const PLACEHOLDER = "ober self-signed";

const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";

const day = (date: Date) => date.toISOString().slice(0, 10);

/** Certificates that have expired, are not yet valid, or expire soon. */
export function dateProblems(file: string, chain: readonly X509Certificate[], now: Date): readonly Problem[] {
  const [fix, again] = ["renew it", "append your CA's current chain"];
  return chain.flatMap((one, index): readonly Problem[] => {
    const what = index === 0 ? `the certificate in ${file}` : `certificate ${index + 1} of the chain in ${file}`;
    const [from, to] = [new Date(one.validFrom), new Date(one.validTo)];
    const days = Math.floor((to.getTime() - now.getTime()) / 86_400_000);
    if (now < from)
      return [
        { severity: "invalid", message: `${what} is not valid before ${day(from)}`, fix: "check the clock: date" },
      ];
    if (now > to)
      return [{ severity: "invalid", message: `${what} expired on ${day(to)}`, fix: index === 0 ? fix : again }];
    // A certificate that lives only for days is renewed automatically, at two thirds of its life.
    const limit = Math.min(EXPIRY_WARNING_DAYS, (to.getTime() - from.getTime()) / 86_400_000 / 4);
    if (days >= limit) return [];
    const left = days < 2 ? `${Math.floor((to.getTime() - now.getTime()) / 3_600_000)} hours` : `${days} days`;
    return [{ severity: "remark", message: `${what} expires in ${left}`, fix: index === 0 ? fix : again }];
  });
}

/** A certificate that is not for a server, or has no name. */
export function nameProblems(file: string, leaf: X509Certificate): readonly Problem[] {
  const fix = "get it issued for a server, with the names that clients use as subjectAltName";
  const invalid = (message: string): Problem => ({ severity: "invalid", message, fix });
  const uses: unknown = leaf.keyUsage;
  const placeholder: Problem = {
    severity: "remark",
    message: `${file} is ober's self-signed placeholder; clients will not trust it`,
    fix: "replace it with a real certificate, or set certs.acme_enabled",
  };
  return [
    ...(isPlaceholder(leaf) ? [placeholder] : []),
    ...(namesOf(leaf).length === 0
      ? [invalid(`the certificate in ${file} has no subjectAltName; clients ignore the common name`)]
      : []),
    ...(Array.isArray(uses) && !uses.includes(SERVER_AUTH)
      ? [invalid(`the certificate in ${file} is not for servers (extendedKeyUsage)`)]
      : []),
    ...(leaf.ca && !isSelfSigned(leaf) ? [invalid(`the certificate in ${file} is a CA's, not a server's`)] : []),
  ];
}

/** A chain that does not lead from the server's certificate upwards, or is signed with what clients refuse. */
export function chainProblems(file: string, chain: readonly X509Certificate[]): readonly Problem[] {
  const invalid = (message: string, fix: string): Problem => ({ severity: "invalid", message, fix });
  const weak = chain.findIndex((one) => !isSelfSigned(one) && /md5|sha1(?!\d)/i.test(String(one.signatureAlgorithm)));
  const problems =
    weak < 0
      ? []
      : [
          invalid(
            `certificate ${weak + 1} in ${file} is signed with ${chain[weak]?.signatureAlgorithm}, which clients refuse`,
            "get it issued again",
          ),
        ];
  const at = chain.findIndex((one, index) => index > 0 && !issued(one, chain[index - 1]));
  const [before, stranger] = [chain[at - 1], chain[at]];
  if (before && stranger) {
    if (chain.slice(0, at).some(({ fingerprint256 }) => fingerprint256 === stranger.fingerprint256)) {
      problems.push(invalid(`certificate ${at + 1} in ${file} occurs twice`, "remove one of the two"));
    } else if (chain.some((other) => other !== before && issued(other, before))) {
      problems.push(
        invalid(
          `the chain in ${file} is in the wrong order: certificate ${at + 1} did not issue the one before it`,
          "put the server's certificate first, then the one that issued it, and so on",
        ),
      );
    } else {
      problems.push(
        invalid(
          `certificate ${at + 1} in ${file} (${nameOf(stranger.subject)}) did not issue the one before it; its issuer is ${nameOf(before.issuer)}`,
          `append the certificate of ${nameOf(before.issuer)} instead`,
        ),
      );
    }
  }
  const [leaf] = chain;
  if (leaf && chain.length === 1 && !isSelfSigned(leaf)) {
    const message = `${file} holds the certificate without its chain: clients that do not know ${nameOf(leaf.issuer)} refuse it`;
    problems.push({
      severity: "remark",
      message,
      fix: `append the certificate of ${nameOf(leaf.issuer)}, unless it is a root that your clients trust`,
    });
  }
  return problems;
}

/** A key that others can read or change. */
export function modeProblems(keyFile: string, mode: number | undefined): readonly Problem[] {
  if (mode === undefined || (mode & 0o026) === 0) return [];
  const what = (mode & 0o022) !== 0 ? "change" : "read";
  const who = (mode & 0o006) !== 0 ? "everybody" : "the group";
  return [{ severity: "remark", message: `${who} can ${what} the key in ${keyFile}`, fix: `chmod 600 ${keyFile}` }];
}

/** A certificate may name its server by subjectAltName alone; its subject is undefined then. */
export const isPlaceholder = ({ subject }: X509Certificate) => (subject ?? "").split("\n").includes(`O=${PLACEHOLDER}`);
const issued = (issuer: X509Certificate, one: X509Certificate | undefined) =>
  one?.checkIssued(issuer) === true && verifies(one, issuer);
export const isSelfSigned = (one: X509Certificate) => one.subject === one.issuer && verifies(one, one);

/** Whether `issuer` has signed `one`; decided by name if this program's library cannot use the issuer's key. */
function verifies(one: X509Certificate, issuer: X509Certificate): boolean {
  const key = publicKey(issuer);
  return key === undefined || one.verify(key);
}

function publicKey(certificate: X509Certificate): KeyObject | undefined {
  try {
    return certificate.publicKey;
  } catch {
    // A kind of key that only OpenSSL knows.
    return undefined;
  }
}

/** The names and addresses that a certificate is for. */
export function namesOf({ subjectAltName = "" }: X509Certificate): readonly string[] {
  return (subjectAltName ?? "").split(", ").flatMap((name) => /^(?:DNS|IP Address):(.*)$/.exec(name)?.[1] ?? []);
}

/** The common name of a distinguished name, or all of it if there is none; safe to print. */
export function nameOf(distinguished: string | undefined): string {
  const name = /^CN=(.*)$/m.exec(distinguished ?? "")?.[1] ?? (distinguished ?? "no name").replaceAll("\n", ", ");
  return quote(name);
}
