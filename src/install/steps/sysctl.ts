import * as v from "valibot";
import { currentFile } from "../../change/current-file.ts";
import { own, readOwned } from "../../change/owned.ts";
import { mergePorts, withoutPorts } from "../../domain/ports.ts";
import { orUndefined } from "../../errors.ts";
import { parseSysctl, renderSysctl } from "../../render/sysctl.ts";
import { RESERVED_PORTS_KEY, siteReservedPorts } from "../../system/reserved-ports.ts";
import { readSysctl, writeSysctls } from "../../system/sysctl.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

/** Values in force before, for every key of either mode that this kernel has. */
type Before = readonly (readonly [key: string, value: string])[];

/** Kernel tuning, in force at once and at every boot. A container may refuse keys: that is reported and no failure. */
export function sysctlStep({ system, paths }: InstallContext): Step<Before> {
  const file = (mode: "bgp" | "keepalived", sitePorts = "") =>
    renderSysctl({ ha_mode: mode, stats_port: 8404 }, paths, sitePorts);
  return {
    id: "sysctl",
    title: paths.sysctl,
    record: v.array(v.tuple([v.string(), v.string()])),
    async check() {
      // A record that cannot be read is made again before this step is taken.
      const owned = await orUndefined(() => readOwned(system, paths));
      return owned !== undefined && paths.sysctl in owned ? "done" : "needed";
    },
    async plan() {
      const keys = parseSysctl(file("keepalived").content).map(([key]) => key);
      const values = await Promise.all(keys.map(async (key) => [key, await readSysctl(system, key)] as const));
      return values.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
    },
    async apply(record) {
      const former = new Map(record).get(RESERVED_PORTS_KEY) ?? "";
      const rendered = file("bgp", mergePorts(former, await siteReservedPorts(system, paths)));
      const before = await currentFile(system, paths.sysctl);
      await own(system, paths, [{ path: paths.sysctl, before, after: rendered }]);
      if (before === undefined) await system.writeAtomic(paths.sysctl, rendered.content, { mode: rendered.mode });
      const refused = await writeSysctls(system, parseSysctl(rendered.content));
      return refused.map((line) => `this kernel refuses ${line}`);
    },
    /** What was in force before is not known; ports that the site keeps free stand in the file beside ober's own. */
    async claim() {
      const text = await system.read(paths.sysctl);
      if (text === undefined) return undefined;
      const reserved = (content: string) => new Map(parseSysctl(content)).get(RESERVED_PORTS_KEY) ?? "";
      return [[RESERVED_PORTS_KEY, withoutPorts(reserved(text), reserved(file("bgp").content))] as const];
    },
    async undo(before) {
      const refused = await writeSysctls(system, before);
      return refused.map((line) => `could not put back ${line}`);
    },
  };
}
