/** The files of a node: configuration, secrets, certificate, generated files, the executable's link. */
import type { AcmeState } from "../certificates/acme/renewal.ts";
import { examineCertificates, problemsOf } from "../certificates/examined.ts";
import { lostNames, readNames } from "../certificates/lost-names.ts";
import type { Examined } from "../certificates/pem.ts";
import { diffText } from "../change/diff.ts";
import { hasUnits, recordTroubles } from "../change/records.ts";
import type { Pending } from "../change/transaction.ts";
import { ago } from "../domain/age.ts";
import { several } from "../domain/foreign.ts";
import { METRICS_SERVICE, METRICS_TIMER, UNIT } from "../domain/units.ts";
import { orUndefined } from "../errors.ts";
import { haproxyAsker } from "../haproxy/verdict.ts";
import type { Sight } from "../node/sight.ts";
import { generatedPaths } from "../render/index.ts";
import { metricsFileOf } from "../render/metrics.ts";
import { OWN_FILES, type OwnFile } from "../system/own-files.ts";
import { steeredBy } from "../system/steered.ts";
import type { System } from "../system/system.ts";
import { fail, pass, skip, stops, type Verdict, warn } from "./check.ts";

export async function checkConfiguration({ working, generations }: Sight): Promise<Verdict> {
  const found = await working();
  if (found === undefined) return skip("not configured yet: ober config");
  const { instead } = found;
  if (instead === undefined) return pass("valid");
  const now = (await generations())?.at(-1) ?? instead.generation;
  return fail(
    `${instead.problem}; looked at by generation ${now}, which was applied last`,
    `correct the file, or put back what is live: ober rollback ${now} --yes`,
  );
}

/** Two runs of the timer that failed, and a third that is late. */
const METRICS_OLD_S = 60;

/** Whether the timer of `ober metrics --install` still writes. */
export async function checkMetrics({ system, paths }: Sight): Promise<Verdict> {
  const unit = paths && (await system.read(`${paths.unitDirectory}/${METRICS_SERVICE}`));
  const file = unit === undefined ? undefined : metricsFileOf(unit);
  if (file === undefined) return skip("not installed");
  const { code, stdout } = await system.run(["stat", "--format=%Y", file], { accept: [0, 1] });
  const old = code === 0 ? Math.round(Date.now() / 1000 - Number(stdout)) : undefined;
  if (old !== undefined && old <= METRICS_OLD_S) return pass(`${file}, ${Math.max(0, old)} s old`);
  return warn(
    old === undefined ? `${file} is not there` : `${file} was last written ${old} s ago`,
    `ober metrics --install --out ${file}; why it ended: systemctl status ${METRICS_TIMER}`,
  );
}

export async function checkDrift({ paths, isRoot, generations, drift }: Sight): Promise<Verdict> {
  if (!paths || !isRoot) return skip("needs root and an installed node");
  const newest = (await generations())?.at(-1);
  if (newest === undefined) return skip("nothing was applied yet");
  const changes = (await drift()) ?? [];
  if (changes.length === 0) return pass(`unchanged since generation ${newest}`);
  const named = several(
    changes.map(({ path }) => path),
    NAMED_FILES,
  );
  const trouble = warn(
    `changed by hand: ${named}`,
    "put what you need into ober.yaml, then: ober apply --yes; the difference: ober doctor --only drift --verbose",
  );
  return { ...trouble, more: changes.map(diffText).join("\n") };
}

/** ober's own records: whether any is lost, damaged, or written by a newer ober. */
export async function checkRecords({ system, paths, isRoot }: Sight): Promise<Verdict> {
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
  // A node serves without its records, but a record that cannot be read blocks changes.
  const stops = troubles.some(({ name, kind }) => kind !== "lost" && OWN_FILES[name].remedy.kind !== "ignored");
  const fixes = new Set([first, ...more].map(({ fix }) => fix));
  return (stops ? fail : warn)(text.join("\n"), [...fixes].join("; "));
}

/** Longer lists are shown as a number. */
const NAMED_FILES = 3;

/** A user who can change what root runs or trusts is root. */
export async function checkSteered(sight: Sight): Promise<Verdict> {
  const { system, paths } = sight;
  if (!paths || (await system.stat(paths.executable)) === undefined) return skip("not installed");
  const config = await orUndefined(sight.config);
  const hook = config?.certs.acme_hook ?? "";
  const sources = (config?.backends ?? []).flatMap(({ servers }) =>
    servers.flatMap(({ source }) =>
      source === undefined ? [] : ["file" in source ? source.file : (source.command[0] ?? "")],
    ),
  );
  const files = [paths.executable, paths.config, ...generatedPaths(paths), ...(hook === "" ? [] : [hook]), ...sources];
  const reasons = new Set((await Promise.all(files.map((file) => steeredBy(system, file)))).filter(Boolean));
  const [first, ...more] = [...reasons];
  if (first === undefined) return pass("only root can change it");
  const place = first.split(" ")[0];
  return fail(
    `${first}${more.length > 0 ? `, and ${more.length} more` : ""}: a user who can change it is root on this node`,
    `chown root:root ${place} && chmod go-w ${place}`,
  );
}

/** A change that reverts by itself is easily forgotten. */
export async function checkUnconfirmed({ paths, isRoot, change, now }: Sight): Promise<Verdict> {
  if (!paths || !isRoot) return skip("needs root and an installed node");
  const found = await change();
  return found === undefined ? pass("none") : unconfirmedVerdict(found, now);
}

/** Pure. */
export function unconfirmedVerdict(
  {
    state,
    upgrade,
    drill,
  }: {
    readonly state: Pending | undefined;
    readonly upgrade: boolean;
    readonly drill?: OwnFile<"drill"> | "damaged";
  },
  now: number,
): Verdict {
  if (drill === "damaged") return warn("a failure drill is under way, or was cut off", "ober recover");
  if (drill !== undefined) {
    const since = ago(now - Date.parse(drill.at));
    return warn(`the failure drill ${drill.drill} by ${drill.by}, ${since}: under way, or cut off`, "ober recover");
  }
  if (upgrade) return warn("an upgrade of packages was cut off, or is under way", "ober upgrade");
  if (!state) return pass("none");
  const { unconfirmed } = state;
  if (!unconfirmed) return warn("a change was cut off in its middle, or is under way", "ober recover");
  const seconds = Math.ceil((Date.parse(unconfirmed.until) - now) / 1000);
  const when = seconds > 0 ? `reverts in ${seconds} s unless you run: ober confirm` : "reverts now";
  return warn(`applied by ${unconfirmed.generation.by}; ${when}`, "ober confirm");
}

/** An edit that was not applied takes effect with the next change, perhaps another operator's. */
export async function checkApplied({ paths, isRoot, applied, change, working }: Sight): Promise<Verdict> {
  if (!paths || !isRoot) return skip("needs root and an installed node");
  const generation = await applied();
  if (generation === undefined) return skip("nothing was applied yet");
  if ((await change())?.state) return skip("a change is under way");
  const was = generation.files.find(({ path }) => path === paths.config)?.content;
  return was === (await working())?.text
    ? pass(`none since generation ${generation.number}`)
    : warn(
        "ober.yaml was edited and not applied",
        `ober apply --yes; what it would change: ober apply --dry-run; to drop the edit: ober rollback ${generation.number} --yes`,
      );
}

export async function checkSecrets({ isRoot, secrets }: Sight): Promise<Verdict> {
  if (!isRoot) return skip("needs root");
  await secrets();
  return pass("readable by root only");
}

export async function checkExecutable({ system, paths }: Sight): Promise<Verdict> {
  if (!paths || !((await system.stat(paths.journal)) || (await hasUnits(system, paths))))
    return skip("not bootstrapped");
  const { mode } = (await system.stat(paths.executable)) ?? { mode: 0 };
  if ((mode & 0o022) !== 0)
    return fail(`${paths.executable} can be changed by others`, `chmod 755 ${paths.executable}`, [
      ["chmod", "755", paths.executable],
    ]);
  const target = await system.readLink(paths.link);
  const former = /^(.+)\/bin\/ober$/.exec(target ?? "")?.[1];
  if (former !== undefined && former !== paths.prefix && (await system.stat(former)) === undefined)
    return fail(
      `this installation was moved: ${paths.link} and the units lead to ${former}`,
      `mv ${paths.prefix} ${former}`,
    );
  if (target === paths.executable) return pass(`${paths.link} leads to ${paths.executable}`);
  const link = ["ln", "-s", paths.executable, paths.link];
  return (await system.stat(paths.link)) === undefined
    ? warn(`${paths.link} is missing`, link.join(" "), [link])
    : fail(`${paths.link} is not this installation's`, `mv ${paths.link} ${paths.link}.before && ${link.join(" ")}`);
}

/** What HAProxy would serve: the key must fit, the dates must be right, and only root may read the key. */
export async function checkCertificate(sight: Sight): Promise<Verdict> {
  if ((await sight.config()) === undefined) return skip("not configured");
  if (!sight.isRoot) return skip("needs root");
  const verdict = examinedVerdict((await sight.examined()) ?? []);
  if (verdict.status === "pass") return (await lostVerdict(sight)) ?? verdict;
  // A running HAProxy keeps serving what it has loaded.
  const runs = await orUndefined(async () => (await sight.unit(UNIT.http)).active === "active");
  return verdict.status === "fail" && runs === false && verdict.detail.includes(NO_START) ? stops(verdict) : verdict;
}

/** A certificate that serves, and lacks a name that the one before it had; undefined where none is lacking. */
async function lostVerdict({ system, paths }: Sight): Promise<Verdict | undefined> {
  const kept = paths && (await readNames(system, paths));
  const lost = kept === undefined ? [] : lostNames(kept);
  if (paths === undefined || lost.length === 0) return undefined;
  return warn(
    `no longer for ${several(lost, NAMED_FILES)}, as the one before was: clients that use that name refuse it`,
    `have it issued with ${lost.length === 1 ? "that name" : "those names"} too; where no client uses it any more: rm ${paths.certificateNames}`,
  );
}

const NO_START = "HAProxy cannot start or reload until that is mended";

/** A failing renewal is reported long before the certificate expires. */
export async function checkRenewal(sight: Sight): Promise<Verdict> {
  if (!(await sight.config())?.certs.acme_enabled) return skip("ACME is off");
  if (!sight.isRoot) return skip("needs root");
  const state = await sight.renewal();
  return state === undefined ? skip("ACME is off") : renewalVerdict(state);
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

/** There are one, two and four hours between the attempts: this many failures are not a short disturbance. */
const MANY_FAILURES = 4;

/** The same for `test`. Throws an OberError if there is no certificate. */
export const certificateVerdict = async (system: System, place: string): Promise<Verdict> =>
  examinedVerdict(await examineCertificates(system, place, { ask: haproxyAsker(system) }));

/** Pure. */
function examinedVerdict(examined: readonly Examined[]): Verdict {
  const problems = problemsOf(examined);
  const [first] = problems;
  const asked = examined.every(({ judge }) => judge === "haproxy") ? ", and HAProxy takes it" : "";
  if (first === undefined)
    return pass(`${examined.map(({ file }) => file).join(", ")}: key fits, dates are right${asked}`);
  const repair = /^chmod 600 \S+$/.test(first.fix) ? [first.fix.split(" ")] : undefined;
  const worst = problems.some(({ severity }) => severity !== "remark");
  const startless = problems.some(({ severity }) => severity === "broken") ? `; ${NO_START}` : "";
  return (worst ? fail : warn)(`${problems.map(({ message }) => message).join("; ")}${startless}`, first.fix, repair);
}
