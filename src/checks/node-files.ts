/** What lies on the disk of a node: configuration, secrets, certificate, generated files, the executable's link. */
import type { AcmeState } from "../certificates/acme/renewal.ts";
import { readAcmeState } from "../certificates/acme/state.ts";
import { examineCertificates, problemsOf } from "../certificates/examined.ts";
import { diffText } from "../change/diff.ts";
import { drift, generationNumbers, readGeneration } from "../change/generations.ts";
import { hasUnits, recordTroubles } from "../change/records.ts";
import { pending } from "../change/transaction.ts";
import { parseConfig } from "../config/schema.ts";
import { readSecrets } from "../config/secrets.ts";
import { parseYaml } from "../config/store.ts";
import { certificatePlace } from "../domain/paths.ts";
import { METRICS_SERVICE, METRICS_TIMER } from "../domain/units.ts";
import { haproxyAsker } from "../haproxy/verdict.ts";
import { generatedPaths } from "../render/index.ts";
import { metricsFileOf } from "../render/metrics.ts";
import { OWN_FILES } from "../system/own-files.ts";
import { steeredBy } from "../system/steered.ts";
import type { System } from "../system/system.ts";
import { fail, pass, skip, type Verdict, warn } from "./check.ts";
import { configOf, type Host } from "./host-config.ts";

export async function checkConfiguration({ system, paths }: Host): Promise<Verdict> {
  const text = paths && (await system.read(paths.config));
  if (!paths || text === undefined) return skip("not configured yet: ober config");
  parseConfig(parseYaml(text, paths.config), paths.config);
  return pass("valid");
}

/** Two runs of the timer that failed, and a third that is late. */
const METRICS_OLD_S = 60;

/** Whether what `ober metrics --install` set up still writes. */
export async function checkMetrics({ system, paths }: Host): Promise<Verdict> {
  const unit = paths && (await system.read(`${paths.unitDirectory}/${METRICS_SERVICE}`));
  const file = unit === undefined ? undefined : metricsFileOf(unit);
  if (file === undefined) return skip("not installed");
  const { code, stdout } = await system.run(["stat", "--format=%Y", file], { accept: [0, 1] });
  const old = code === 0 ? Math.round(Date.now() / 1000 - Number(stdout)) : undefined;
  if (old !== undefined && old <= METRICS_OLD_S) return pass(`${file}, ${Math.max(0, old)} s old`);
  return warn(
    old === undefined ? `${file} is not there` : `${file} was last written ${old} s ago`,
    `systemctl status ${METRICS_TIMER}; ober metrics --install --out ${file}`,
  );
}

export async function checkDrift({ system, paths, isRoot }: Host): Promise<Verdict> {
  if (!paths || !isRoot) return skip("needs root and an installed node");
  const newest = (await generationNumbers(system, paths)).at(-1);
  if (newest === undefined) return skip("nothing was applied yet");
  const changes = await drift(system, paths);
  return changes.length === 0
    ? pass(`as generation ${newest} left them`)
    : warn(
        `${changes.map(({ path }) => path).join(", ")}: what \`ober apply\` would put back:\n${changes.map(diffText).join("\n")}`,
        "put what you need into ober.yaml, then `ober apply --yes`",
      );
}

/** ober's own records: what is lost of them, damaged, or of a newer ober. */
export async function checkRecords({ system, paths, isRoot }: Host): Promise<Verdict> {
  if (!paths || !isRoot) return skip("needs root and an installed node");
  const troubles = await recordTroubles(system, paths);
  const [first, ...more] = troubles;
  if (first === undefined) return pass("all readable");
  const lost = troubles.filter(({ kind }) => kind === "lost").map(({ file }) => file);
  const text = [
    ...(lost.length === 0 ? [] : [`lost: ${lost.join(", ")}: uninstall and rollback need what was there`]),
    ...troubles
      .filter(({ kind }) => kind !== "lost")
      .map(({ name, file, text }) => `${file} ${text}; no longer known: ${OWN_FILES[name].knew}`),
  ];
  // A node serves without them; what cannot be read keeps changes from being made.
  const stops = troubles.some(({ name, kind }) => kind !== "lost" && OWN_FILES[name].remedy.kind !== "ignored");
  const fixes = new Set([first, ...more].map(({ fix }) => fix));
  return (stops ? fail : warn)(text.join("\n"), [...fixes].join("; "));
}

/** Whoever can change what root runs, or believes, is root. */
export async function checkSteered(host: Host): Promise<Verdict> {
  const { system, paths } = host;
  if (!paths || (await system.stat(paths.executable)) === undefined) return skip("not installed");
  const hook = (await configOf(host))?.certs.acme_hook ?? "";
  const files = [paths.executable, paths.config, ...generatedPaths(paths), ...(hook === "" ? [] : [hook])];
  const reasons = new Set((await Promise.all(files.map((file) => steeredBy(system, file)))).filter(Boolean));
  const [first, ...more] = [...reasons];
  if (first === undefined) return pass("only root can change it");
  const place = first.split(" ")[0];
  return fail(
    `${first}${more.length > 0 ? `, and ${more.length} more` : ""}: who can change it is root on this node`,
    `chown root: ${place} && chmod go-w ${place}`,
  );
}

/** A change that goes away by itself is easily forgotten. */
export async function checkUnconfirmed({ system, paths, isRoot }: Host): Promise<Verdict> {
  if (!paths || !isRoot) return skip("needs root and an installed node");
  if ((await system.stat(paths.upgradeRecord)) !== undefined) {
    return warn("an upgrade of packages was cut off, or is under way", "ober upgrade");
  }
  const state = await pending(system, paths);
  if (!state) return pass("none");
  const { unconfirmed } = state;
  return unconfirmed
    ? warn(`by ${unconfirmed.generation.by}, undone at ${unconfirmed.until}`, "ober confirm")
    : warn("a change was cut off in its middle", "ober recover");
}

/** An edit that nobody applied takes effect with somebody else's change. */
export async function checkApplied({ system, paths, isRoot }: Host): Promise<Verdict> {
  if (!paths || !isRoot) return skip("needs root and an installed node");
  const newest = (await generationNumbers(system, paths)).at(-1);
  if (newest === undefined || (await pending(system, paths))) return skip("nothing was applied yet");
  const { files } = await readGeneration(system, paths, newest);
  const applied = files.find(({ path }) => path === paths.config)?.content;
  return applied === (await system.read(paths.config))
    ? pass(`as generation ${newest} has it`)
    : warn("ober.yaml was edited and not applied", "ober apply --dry-run, then ober apply");
}

export async function checkSecrets({ system, isRoot }: Host): Promise<Verdict> {
  if (!isRoot) return skip("needs root");
  await readSecrets(system);
  return pass("readable by root only");
}

export async function checkExecutable({ system, paths }: Host): Promise<Verdict> {
  if (!paths || !((await system.stat(paths.journal)) || (await hasUnits(system, paths))))
    return skip("not bootstrapped");
  const { mode } = (await system.stat(paths.executable)) ?? { mode: 0 };
  if ((mode & 0o022) !== 0)
    return fail(`${paths.executable} can be changed by others`, `chmod 755 ${paths.executable}`, [
      ["chmod", "755", paths.executable],
    ]);
  const target = await system.readLink(paths.link);
  if (target === paths.executable) return pass(`${paths.link} leads to ${paths.executable}`);
  const link = ["ln", "-s", paths.executable, paths.link];
  return (await system.stat(paths.link)) === undefined
    ? warn(`${paths.link} is missing`, link.join(" "), [link])
    : fail(`${paths.link} is not this installation's`, `ls -l ${paths.link}; bootstrap links it when it is gone`);
}

/** What HAProxy would serve: the key fits, the dates are right, nobody else reads the key. */
export async function checkCertificate(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (!config || !host.paths) return skip("not configured");
  if (!host.isRoot) return skip("needs root");
  return certificateVerdict(host.system, certificatePlace(host.paths, config.certs));
}

/** A renewal that fails is told long before the certificate ends. */
export async function checkRenewal(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (!config || !host.paths || !config.certs.acme_enabled) return skip("ober gets no certificates here");
  if (!host.isRoot) return skip("needs root");
  return renewalVerdict(await readAcmeState(host.system, host.paths));
}

export function renewalVerdict({ failures, error, retryAt, renewAt }: AcmeState): Verdict {
  if (failures > 0) {
    const text = `failed ${failures === 1 ? "once" : `${failures} times in a row`}: ${error}`;
    return (failures > MANY_FAILURES ? fail : warn)(
      `${text}; again at ${retryAt}`,
      "ober certs check --dns; ober certs renew",
    );
  }
  return renewAt === undefined ? warn("not yet asked for", "ober certs renew") : pass(`at ${renewAt}`);
}

/** With an hour, then two, then four between them: more than a disturbance. */
const MANY_FAILURES = 4;

/** The same for `test`. Throws an OberError when there is no certificate. */
export async function certificateVerdict(system: System, place: string): Promise<Verdict> {
  const examined = await examineCertificates(system, place, { ask: haproxyAsker(system) });
  const problems = problemsOf(examined);
  const [first] = problems;
  const asked = examined.every(({ judge }) => judge === "haproxy") ? ", and HAProxy takes it" : "";
  if (first === undefined)
    return pass(`${examined.map(({ file }) => file).join(", ")}: key fits, dates are right${asked}`);
  const repair = /^chmod 600 \S+$/.test(first.fix) ? [first.fix.split(" ")] : undefined;
  const worst = problems.some(({ severity }) => severity !== "remark");
  const startless = problems.some(({ severity }) => severity === "broken")
    ? "; HAProxy cannot start or reload until that is mended"
    : "";
  return (worst ? fail : warn)(`${problems.map(({ message }) => message).join("; ")}${startless}`, first.fix, repair);
}
