/** A machine whose programs are scripted: units have states that systemctl changes, parsers accept what they are given. */
import type { RunResult } from "../../src/system/system.ts";
import { type Script, type TemporarySystem, temporarySystem } from "./system.ts";
import { isLook, systemctlOn, type Units } from "./systemctl.ts";

export type Machine = TemporarySystem & {
  /** Units that are active or enabled; systemctl changes them. */
  readonly active: Set<string>;
  readonly enabled: Set<string>;
  /** Commands that change something, as they were typed: `systemctl reload ober-http.service`. */
  readonly deeds: readonly string[];
};

/** Commands by how they begin, and what each says: it ends with 1, so many times (once without a number). */
export type Refusals = Readonly<Record<string, string | { readonly says: string; readonly times: number }>>;

/** What is neither systemctl nor refused is asked of `others`, which by default says nothing and ends well. */
export function machine(
  units: { readonly active?: readonly string[]; readonly enabled?: readonly string[] } = {},
  refuse: Refusals = {},
  others: Script = () => "",
): Machine {
  const [active, enabled] = [new Set(units.active), new Set(units.enabled ?? units.active)];
  const deeds: string[] = [];
  const used = new Map<string, number>();
  const put = (set: Set<string>, name: string, there: boolean) => void (there ? set.add(name) : set.delete(name));
  const states: Units = {
    look: (name) => ({
      load: "loaded",
      active: active.has(name) ? "active" : "inactive",
      enabled: enabled.has(name) ? "enabled" : "disabled",
    }),
    keep(name, unit) {
      put(active, name, unit.active === "active");
      put(enabled, name, unit.enabled === "enabled");
    },
  };
  const system = temporarySystem((argv, input): string | RunResult => {
    const typed = argv.join(" ");
    const [program, ...words] = argv;
    const refused = Object.entries(refuse).find(([beginning]) => typed.startsWith(beginning));
    if (program === "systemctl" && !isLook(words)) deeds.push(typed);
    if (refused) {
      const [beginning, how] = refused;
      const { says, times } = typeof how === "string" ? { says: how, times: 1 } : how;
      const before = used.get(beginning) ?? 0;
      used.set(beginning, before + 1);
      if (before < times) return { code: 1, stdout: "", stderr: says };
    }
    return program === "systemctl" ? systemctlOn(states, words) : others(argv, input);
  });
  return Object.assign(system, { active, enabled, deeds });
}
