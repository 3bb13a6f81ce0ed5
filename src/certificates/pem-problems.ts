/** What clients make of a certificate that HAProxy serves: its dates, names, chain, and who can read its key. Pure. */
import type { KeyObject, X509Certificate } from "node:crypto";
import { quote } from "../domain/quote.ts";

/** `broken`: HAProxy could not serve it. `invalid`: it could, and clients would refuse it. `remark`: it works, for now. */
export type Severity = "broken" | "invalid" | "remark";
export type Problem = { readonly severity: Severity; readonly message: string; readonly fix: string };

/** Warned about before it is too late to act in office hours. */
const EXPIRY_WARNING_DAYS = 21;
/** The organization in the certificate that ober makes for a first start. */
export const PLACEHOLDER = "ober self-signed";

const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";

const day = (date: Date) => date.toISOString().slice(0, 10);

/** Certificates that have ended, that have not begun, or that soon end. */
export function dateProblems(file: string, chain: readonly X509Certificate[], now: Date): readonly Problem[] {
  const [fix, again] = ["renew it", "append the chain that your CA gives out now"];
  return chain.flatMap((one, index): readonly Problem[] => {
    const what = index === 0 ? `the certificate in ${file}` : `certificate ${index + 1} of the chain in ${file}`;
    const [from, to] = [new Date(one.validFrom), new Date(one.validTo)];
    const days = Math.floor((to.getTime() - now.getTime()) / 86_400_000);
    if (now < from)
      return [
        { severity: "invalid", message: `${what} is not valid before ${day(from)}`, fix: "is the clock right? `date`" },
      ];
    if (now > to)
      return [{ severity: "invalid", message: `${what} expired on ${day(to)}`, fix: index === 0 ? fix : again }];
    // Certificates that live for days only are renewed by a machine, at two thirds of their life.
    const limit = Math.min(EXPIRY_WARNING_DAYS, (to.getTime() - from.getTime()) / 86_400_000 / 4);
    if (days >= limit) return [];
    const left = days < 2 ? `${Math.floor((to.getTime() - now.getTime()) / 3_600_000)} hours` : `${days} days`;
    return [{ severity: "remark", message: `${what} expires in ${left}`, fix: index === 0 ? fix : again }];
  });
}

/** A certificate that is not for a server, or not for any name. */
export function nameProblems(file: string, leaf: X509Certificate): readonly Problem[] {
  const fix = "have it issued for a server, with the names that clients use as subjectAltName";
  const invalid = (message: string): Problem => ({ severity: "invalid", message, fix });
  const uses: unknown = leaf.keyUsage;
  const placeholder: Problem = {
    severity: "remark",
    message: `${file} is the self-signed certificate that ober made for a first start: clients refuse it`,
    fix: "put a real one there, or set certs.acme_enabled",
  };
  return [
    ...(isPlaceholder(leaf) ? [placeholder] : []),
    ...(namesOf(leaf).length === 0
      ? [invalid(`the certificate in ${file} has no subjectAltName, and clients ignore the common name`)]
      : []),
    ...(Array.isArray(uses) && !uses.includes(SERVER_AUTH)
      ? [invalid(`the certificate in ${file} is not for servers (extendedKeyUsage)`)]
      : []),
    ...(leaf.ca && !isSelfSigned(leaf) ? [invalid(`the certificate in ${file} is a CA's and not a server's`)] : []),
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
            "have it issued again",
          ),
        ];
  const at = chain.findIndex((one, index) => index > 0 && !issued(one, chain[index - 1]));
  const [before, stranger] = [chain[at - 1], chain[at]];
  if (before && stranger) {
    if (chain.slice(0, at).some(({ fingerprint256 }) => fingerprint256 === stranger.fingerprint256)) {
      problems.push(invalid(`certificate ${at + 1} in ${file} stands there twice`, "remove one of the two"));
    } else if (chain.some((other) => other !== before && issued(other, before))) {
      problems.push(
        invalid(
          `the chain in ${file} is in the wrong order: certificate ${at + 1} has not issued the one before it`,
          "order: the server's certificate, then the one that issued it, and so on",
        ),
      );
    } else {
      problems.push(
        invalid(
          `certificate ${at + 1} in ${file} (${nameOf(stranger.subject)}) has not issued the one before it: ${nameOf(before.issuer)} has`,
          `append the certificate of ${nameOf(before.issuer)} instead`,
        ),
      );
    }
  }
  const [leaf] = chain;
  if (leaf && chain.length === 1 && !isSelfSigned(leaf)) {
    const message = `${file} holds the certificate without the chain: clients that do not know ${nameOf(leaf.issuer)} refuse it`;
    problems.push({
      severity: "remark",
      message,
      fix: `append the certificate of ${nameOf(leaf.issuer)}, unless it is the root that your clients have`,
    });
  }
  return problems;
}

/** A key that others than its owner can read or change. */
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

/** Whether `issuer` has signed `one`; believed by its name where this program's library cannot use the issuer's key. */
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

/** The common name of a distinguished name, or all of it where there is none; safe to print. */
export function nameOf(distinguished: string | undefined): string {
  const name = /^CN=(.*)$/m.exec(distinguished ?? "")?.[1] ?? (distinguished ?? "nobody").replaceAll("\n", ", ");
  return quote(name);
}
