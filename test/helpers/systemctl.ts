/** systemctl, with the states of units in the place of systemd. */
export type Unit = { readonly load: string; readonly active: string; readonly enabled: string };

export type Units = {
  look(name: string): Unit;
  /** The unit is from now on as `unit` says. */
  keep(name: string, unit: Unit): void;
  /** The mask of a unit is taken away: what is under it counts again. */
  unmask?(name: string): void;
};

const LOOKS = ["show", "is-active", "is-enabled"];

/** Whether the words that follow `systemctl` change nothing. */
export const isLook = ([verb = ""]: readonly string[]): boolean => LOOKS.includes(verb);

/** Does what the words that follow `systemctl` say, and returns what it prints. */
export function systemctlOn({ look, keep, unmask }: Units, words: readonly string[]): string {
  const [verb = "", ...rest] = words;
  const names = rest.filter((word) => /\.(service|timer|path)$/.test(word));
  if (verb === "show") return names.map((name) => shown(name, look(name))).join("\n\n");
  const now = rest.includes("--now");
  for (const name of names) {
    const unit = look(name);
    if (verb === "start" || verb === "restart") keep(name, { ...unit, active: "active" });
    if (verb === "stop") keep(name, { ...unit, active: "inactive" });
    if (verb === "enable") keep(name, { ...unit, enabled: "enabled", active: now ? "active" : unit.active });
    if (verb === "disable") keep(name, { ...unit, enabled: "disabled", active: now ? "inactive" : unit.active });
    if (verb === "mask") keep(name, { ...unit, load: "masked", enabled: "masked" });
    if (verb === "unmask") unmask?.(name);
  }
  return "";
}

const shown = (name: string, { load, active, enabled }: Unit) =>
  [
    `Id=${name}`,
    `LoadState=${load}`,
    `ActiveState=${active}`,
    `SubState=${active === "active" ? "running" : "dead"}`,
    `UnitFileState=${enabled}`,
    `MainPID=${active === "active" ? 100 : 0}`,
    "NRestarts=0",
    "Result=success",
  ].join("\n");
