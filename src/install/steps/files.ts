import { posix } from "node:path";
import * as v from "valibot";
import { UNDO } from "../../change/apply.ts";
import { shutOut } from "../../change/firewall-rules.ts";
import { readOwned } from "../../change/owned.ts";
import { hasUnits } from "../../change/records.ts";
import { LOG_NAMESPACE, placesOf } from "../../domain/paths.ts";
import { METRICS_SERVICE, METRICS_TIMER, UNIT_FILES, UNITS } from "../../domain/units.ts";
import { parseOwn } from "../../system/own-files.ts";
import type { System } from "../../system/system.ts";
import { systemctl, unitStates } from "../../system/systemd.ts";
import { removeWhole } from "../remove.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

/**
 * The generated files and units. `config` writes them; this step only knows the way back: units stopped and disabled,
 * what ober made removed, what it replaced put back.
 */
export function filesStep({ system, paths, keepConfig }: InstallContext): Step<null> {
  return {
    id: "files",
    title: "generated files and units",
    record: v.null(),
    // On record from the first run on, because `config` may write files at any later time.
    async check() {
      const journal = parseOwn("journal", (await system.read(paths.journal)) ?? "");
      const entry = journal?.steps.find(({ id }) => id === "files");
      return entry?.state === "applied" ? "done" : "needed";
    },
    plan: async () => null,
    apply: async () => [],
    claim: async () => ((await hasUnits(system, paths)) ? null : undefined),
    async undo() {
      // A change that waits for its confirmation would be undone again and again by an ober that is gone.
      await system.run(["systemctl", "stop", "--quiet", `${UNDO}.timer`, `${UNDO}.service`], { accept: [0, 5] });
      const units = (
        await unitStates(system, [...UNITS.map(({ name }) => name), METRICS_SERVICE, METRICS_TIMER])
      ).filter(({ load }) => load !== "not-found");
      for (const { name } of [...units].reverse()) await systemctl(system, "disable", "--now", name);
      const kept: string[] = [];
      for (const [path, before] of Object.entries(await readOwned(system, paths))) {
        if (keepConfig && path.startsWith(`${paths.etc}/`)) {
          kept.push(path);
          continue;
        }
        if (before) await system.writeAtomic(path, before.content, { mode: before.mode });
        else await removeWhole(system, path);
        // Drop-ins of an operator keep their directory; an empty one is nobody's.
        if (path.startsWith(`${paths.unitDirectory}/`)) await system.removeEmptyDirectory(`${path}.d`);
      }
      // A renewal that was killed.
      for (const path of [paths.unfinishedCertificate, paths.unfinishedRsaCertificate]) await removeWhole(system, path);
      await systemctl(system, "daemon-reload");
      for (const name of UNIT_FILES) await system.run(["systemctl", "reset-failed", name], { accept: [0, 1, 5] });
      for (const path of placesOf(paths, "run")) await system.removeTree(path);
      await removeJournal(system);
      const remarks = await shutOut({ system, paths });
      return kept.length > 0 ? [...remarks, `kept ${kept.length} files under ${posix.join(paths.etc, "/")}`] : remarks;
    },
  };
}

/** The journal of ober's units, and the journald that wrote it. */
async function removeJournal(system: System): Promise<void> {
  const kinds = ["systemd-journald@%.service", "systemd-journald@%.socket", "systemd-journald-varlink@%.socket"];
  const units = kinds.map((kind) => kind.replace("%", LOG_NAMESPACE));
  await system.run(["systemctl", "stop", ...units], { accept: [0, 5] });
  for (const parent of ["/var/log/journal", "/run/log/journal"]) {
    const machines = (await system.list(parent)).filter((name) => name.endsWith(`.${LOG_NAMESPACE}`));
    for (const name of machines) await system.removeTree(`${parent}/${name}`);
  }
}
