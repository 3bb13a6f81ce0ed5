/** A machine whose programs are scripted: units have states that systemctl changes, parsers accept what they are given. */
import type { RunResult } from "../../src/system/system.ts";
import { type TemporarySystem, temporarySystem } from "./system.ts";

export type Machine = TemporarySystem & {
  /** Units that are active or enabled; systemctl changes them. */
  readonly active: Set<string>;
  readonly enabled: Set<string>;
  /** Commands that change something, as they were typed: `systemctl reload ober-http.service`. */
  readonly deeds: readonly string[];
};

const LOOKS = ["show", "is-active", "is-enabled"];

/**
 * `refuse` names commands by how they begin, and what each says: it ends with 1, so many times (once without a number). Everything that is
 * neither systemctl nor refused says nothing and ends well.
 */
export function machine(
  units: { readonly active?: readonly string[]; readonly enabled?: readonly string[] } = {},
  refuse: Readonly<Record<string, string | { readonly says: string; readonly times: number }>> = {},
): Machine {
  const [active, enabled] = [new Set(units.active), new Set(units.enabled ?? units.active)];
  const deeds: string[] = [];
  const used = new Map<string, number>();
  const system = temporarySystem((argv): string | RunResult => {
    const typed = argv.join(" ");
    const refused = Object.entries(refuse).find(([beginning]) => typed.startsWith(beginning));
    const looks = argv[0] !== "systemctl" || LOOKS.includes(argv[1] ?? "");
    if (!looks) deeds.push(typed);
    if (refused) {
      const [beginning, how] = refused;
      const { says, times } = typeof how === "string" ? { says: how, times: 1 } : how;
      const before = used.get(beginning) ?? 0;
      used.set(beginning, before + 1);
      if (before < times) return { code: 1, stdout: "", stderr: says };
    }
    if (argv[0] !== "systemctl") return "";
    const names = argv.filter((word) => /\.(service|timer|path)$/.test(word));
    const change = (set: Set<string>, there: boolean) => {
      for (const name of names) there ? set.add(name) : set.delete(name);
    };
    const now = argv.includes("--now");
    switch (argv[1]) {
      case "show":
        return names.map((name) => block(name, active.has(name), enabled.has(name))).join("\n\n");
      case "start":
      case "restart":
        change(active, true);
        break;
      case "stop":
        change(active, false);
        break;
      case "enable":
        change(enabled, true);
        if (now) change(active, true);
        break;
      case "disable":
        change(enabled, false);
        if (now) change(active, false);
        break;
    }
    return "";
  });
  return Object.assign(system, { active, enabled, deeds });
}

const block = (name: string, active: boolean, enabled: boolean) =>
  [
    `Id=${name}`,
    "LoadState=loaded",
    `ActiveState=${active ? "active" : "inactive"}`,
    `SubState=${active ? "running" : "dead"}`,
    `UnitFileState=${enabled ? "enabled" : "disabled"}`,
    `MainPID=${active ? 100 : 0}`,
    "NRestarts=0",
    "Result=success",
  ].join("\n");
