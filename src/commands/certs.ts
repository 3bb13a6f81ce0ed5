import { posix } from "node:path";
import { defineCommand } from "citty";
import { readAcmeState } from "../certificates/acme/state.ts";
import { examineCertificates } from "../certificates/examined.ts";
import { renewCertificates, siteDns, wantedNames } from "../certificates/renew.ts";
import {
  type CertificateStatus,
  certificateStatus,
  oneAtATime,
  reloadCertificates,
  statusOf,
} from "../certificates/serving.ts";
import type { Documents } from "../documents.ts";
import { UsageError } from "../errors.ts";
import { haproxyAsker } from "../haproxy/verdict.ts";
import { currentConfig, isRoot, type Node, thisNodeAsRoot } from "../node/node.ts";
import { record } from "../node/recorded.ts";
import { localSystem } from "../system/local.ts";
import { certificateLines } from "../ui/certificates.ts";
import { type Output, output } from "../ui/output.ts";
import { changeArgs, globalArgs } from "../ui/shared-args.ts";

const ACTIONS = ["list", "check", "renew", "reload"] as const;

export default defineCommand({
  meta: { name: "certs", description: "Show, check and renew the certificates; HAProxy takes a new one while it runs" },
  args: {
    ...globalArgs,
    ...changeArgs,
    action: { type: "positional", required: false, default: "list", description: `${ACTIONS.join(", ")} (list)` },
    file: {
      type: "positional",
      required: false,
      description: "With check: a file or directory anywhere, before it is put in place",
    },
    dns: { type: "boolean", description: "With check: prove that records for ACME can be made, by making one" },
    force: { type: "boolean", description: "With renew: renew even if not due; a CA allows this a few times a week" },
    timer: { type: "boolean", description: "With renew: respect the wait after a failure, as the timer does" },
  },
  async run({ args }) {
    const action = ACTIONS.find((known) => known === args.action);
    if (action === undefined) {
      throw new UsageError(`\`ober certs\` does not know '${args.action}'`, `ober certs ${ACTIONS.join("|")}`);
    }
    const belongs = { dns: "check", force: "renew", timer: "renew" } as const;
    for (const [flag, to] of Object.entries(belongs)) {
      if (args[flag as keyof typeof belongs] && action !== to)
        throw new UsageError(`--${flag} goes with ${to}`, `ober certs ${to} --${flag}`);
    }
    const out = output(args);
    if (args.file !== undefined && (action !== "check" || args.dns === true))
      throw new UsageError(`'${args.file}' goes with check alone`, `ober certs check ${args.file}`);
    if (args.file !== undefined) return checkFile(out, posix.resolve(args.file));
    const node = await thisNodeAsRoot();
    if (action === "reload") return reload(node, out);
    if (action === "renew") return renew(node, out, { force: args.force === true, timer: args.timer === true });
    return show(node, out, { check: action === "check", dns: args.dns === true });
  },
});

/** Checks any file on any machine. HAProxy judges if it is installed and the user is root; otherwise ober judges alone and says so. */
async function checkFile(out: Output, place: string): Promise<void> {
  const system = localSystem();
  const ask = isRoot() ? haproxyAsker(system) : undefined;
  const certificates = (await examineCertificates(system, place, { ask })).map((one) => statusOf(one, undefined));
  if (certificates.some(isBad)) process.exitCode = 1;
  const document: Documents["certs"] = { certificates, renewal: null };
  await out.result(document, () => checkText(certificates, out).join("\n"));
}

const isBad = ({ problems }: CertificateStatus) => problems.some(({ severity }) => severity !== "remark");

function checkText(certificates: readonly CertificateStatus[], { style }: Output): readonly string[] {
  const alone = certificates.some(({ judge }) => judge === "ober");
  return [
    ...certificateLines({ certificates, renewal: undefined }, { style, now: new Date() }),
    ...certificates.flatMap(({ problems }) => problems.map(({ fix }) => `  to do: ${fix}`)),
    alone ? style.yellow("judged by ober alone: HAProxy is not installed, or this is not root") : "judged by HAProxy",
  ];
}

/** Started by `ober-certs.path`. */
async function reload(node: Node, out: Output): Promise<void> {
  const { config } = await currentConfig(node);
  const done = await oneAtATime(node, "certs reload", () => reloadCertificates(node, config));
  for (const warning of done.warnings) out.warn(warning);
  for (const { message, fix } of done.refused) out.warn(`${message}. HAProxy keeps the previous certificate. ${fix}`);
  const changed = done.reloaded || done.swapped.length > 0 || done.added.length > 0;
  await out.result({ ...done, changed } satisfies Documents["certs reload"], () => {
    const parts = [
      ...done.swapped.map((file) => `HAProxy has loaded ${file}`),
      ...done.added.map((file) => `HAProxy has loaded ${file} (new)`),
      ...(done.reloaded ? ["HAProxy was reloaded"] : []),
    ];
    return parts.join("\n") || "nothing to change";
  });
  if (done.refused.length > 0) process.exitCode = 1;
}

async function renew(node: Node, out: Output, flags: { force: boolean; timer: boolean }): Promise<void> {
  const { config } = await currentConfig(node);
  const done = await renewCertificates(node, config, { ...flags, progress: out.progress });
  if (done.renewed.length > 0) {
    await record("certs renew", `renewed ${done.renewed.join(", ")}; next renewal ${done.next}`);
    await oneAtATime(node, "certs renew", () => reloadCertificates(node, config));
  }
  await out.result({ ...done, changed: done.renewed.length > 0 } satisfies Documents["certs renew"], () => {
    if (done.waitsUntil !== undefined) return `the last attempt failed; the next one is at ${done.waitsUntil}`;
    const what = done.renewed.length === 0 ? "nothing is due" : `renewed: ${done.renewed.join(", ")}`;
    return `${what}; next renewal ${done.next}`;
  });
}

async function show(node: Node, out: Output, { check, dns }: { check: boolean; dns: boolean }): Promise<void> {
  const { config } = await currentConfig(node);
  const { certs } = config;
  const certificates = await certificateStatus(node, config, haproxyAsker(node.system));
  const renewal = certs.acme_enabled ? await readAcmeState(node.system, node.paths) : undefined;
  const proved = dns ? await prove(node, certs, out) : undefined;
  const bad = certificates.some(isBad) || certificates.length === 0 || (renewal?.failures ?? 0) > 0;
  if (check && bad) process.exitCode = 1;
  const document: Documents["certs"] = {
    certificates,
    renewal: renewal ?? null,
    ...(proved === undefined ? {} : { dns: proved }),
  };
  await out.result(document, () =>
    [
      ...(certificates.length === 0 ? [out.style.red("no certificate found")] : []),
      ...(check ? checkText(certificates, out) : []),
      ...certificateLines({ certificates: check ? [] : certificates, renewal }, { style: out.style, now: new Date() }),
      ...(proved === undefined
        ? []
        : [`DNS: a test record at ${proved} was created, seen by all name servers, and removed`]),
    ].join("\n"),
  );
}

/** Throws an OberError that names the obstacle. */
async function prove(node: Node, certs: Parameters<typeof siteDns>[1], out: Output): Promise<string> {
  const { proveDns } = await import("../certificates/acme/dns.ts");
  const { acmeDns } = await import("../config/schema/contradictions.ts");
  if (acmeDns(certs) === undefined)
    throw new UsageError("ober.yaml does not say how DNS records are made", "certs.acme_dns: route53, rfc2136 or hook");
  const way = await siteDns(node, certs);
  out.progress(`creating a record through ${way.what}, up to ${certs.acme_dns_timeout} s`);
  return proveDns(way, wantedNames(certs)[0] ?? "", certs.acme_dns_timeout * 1000);
}
