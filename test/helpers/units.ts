import type { UnitState } from "../../src/system/systemd.ts";

/** A unit that runs and is enabled, but for what `patch` says. */
export const unit = (name: string, patch: Partial<UnitState> = {}): UnitState => ({
  name,
  load: "loaded",
  active: "active",
  sub: "running",
  enabled: "enabled",
  mainPid: 1,
  restarts: 0,
  since: undefined,
  result: "success",
  ...patch,
});
