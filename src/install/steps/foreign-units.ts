import * as v from "valibot";
import { FOREIGN_UNITS } from "../../domain/units.ts";
import { systemctl, unitStates } from "../../system/systemd.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

type UnitBefore = { readonly name: string; readonly enabled: boolean; readonly active: boolean };

/**
 * Masks the services that the distribution's packages bring. Two HAProxies can share a port without an error, each
 * taking some of the connections; so the packages' own must not run, and must not start when the packages come.
 */
export function foreignUnitsStep({ system }: InstallContext): Step<readonly UnitBefore[]> {
  const unmasked = async () => (await unitStates(system, FOREIGN_UNITS)).filter(({ load }) => load !== "masked");
  return {
    id: "foreign-units",
    title: `mask ${FOREIGN_UNITS.join(", ")}`,
    record: v.array(v.object({ name: v.string(), enabled: v.boolean(), active: v.boolean() })),
    check: async () => ((await unmasked()).length === 0 ? "done" : "needed"),
    plan: async () =>
      (await unmasked()).map(({ name, enabled, active }) => ({
        name,
        enabled: enabled === "enabled",
        active: active === "active",
      })),
    async apply(before) {
      for (const { name, load } of await unmasked()) {
        if (load !== "not-found") await systemctl(system, "disable", "--now", name);
        await systemctl(system, "mask", name);
      }
      return before.filter(({ active }) => active).map(({ name }) => `${name} was running and is stopped now`);
    },
    // Whether they ran before is not known: they can be started again, and are not.
    async claim() {
      const free = (await unmasked()).map(({ name }) => name);
      return FOREIGN_UNITS.filter((name) => !free.includes(name)).map((name) => ({
        name,
        enabled: false,
        active: false,
      }));
    },
    async undo(before) {
      for (const { name } of before) await systemctl(system, "unmask", name);
      for (const { name, enabled } of before) if (enabled) await systemctl(system, "enable", name);
      for (const { name, active } of before) if (active) await systemctl(system, "start", name);
      return [];
    },
  };
}
