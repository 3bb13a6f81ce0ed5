/** The states of an RGW, as HAProxy's checks see them. Pure. */
import { several } from "./foreign.ts";
import { type Wish, wishText } from "./rgw-wishes.ts";

/**
 * `serves`; `busy`: at its own limit of requests, still in the pool; `drained`: taken out on purpose, finishes its requests; `out`: failed.
 */
export type RgwState = "serves" | "busy" | "drained" | "out";

/** The name of the backend with a group's far RGWs begins so; the group's name follows. See `backends` in render/haproxy.ts. */
export const FAR = "ober_far_";

/** The group that one of HAProxy's backends belongs to; undefined for ober's own. */
export const groupOf = (backend: string | undefined): string | undefined =>
  backend?.startsWith(FAR) ? backend.slice(FAR.length) : backend?.startsWith("ober_") ? undefined : backend;

/** Swift's health path, under any prefix (`rgw_swift_url_prefix`): on it, radosgw answers differently when busy and when taken out. */
export const isHealthPath = (path: string): boolean => /(^|\/)healthcheck$/.test(path.replace(/\?.*$/, ""));

/** Columns of a server's row in HAProxy's `show stat`. */
type ServerRow = Readonly<Record<string, string>>;

/** radosgw's answer at `rgw_max_concurrent_requests`: 498 for Swift's paths, 503 for others. */
const BUSY_CODES = ["498", "503"];

/**
 * The state of a server and, unless it serves, the reason. The checks are those of `stateRules` in render/haproxy.ts. `wish` is the operator's who
 * has taken it out with `ober rgw`.
 */
export function rgwState(row: ServerRow, wish?: Wish): { readonly state: RgwState; readonly reason: string } {
  const { status = "", check_code: code = "" } = row;
  // A star precedes the last result while the next check runs.
  const check = (row["check_status"] ?? "").replace(/^\* /, "");
  const said = [row["check_desc"], row["last_chk"]].filter((part) => part).join(": ");
  if (status === "MAINT (resolution)") return { state: "out", reason: "its name did not resolve when HAProxy started" };
  if (/^(MAINT|DRAIN)/.test(status)) {
    return { state: "drained", reason: wish === undefined ? "taken out by hand on HAProxy's socket" : wishText(wish) };
  }
  if (check === "L7OKC" || status.startsWith("NOLB")) {
    return { state: "drained", reason: "taken out by its own file (rgw_healthcheck_disabling_path)" };
  }
  // HAProxy shows a drained server as any other one that is down: an RGW that is drained and then stopped is no failure.
  if (wish !== undefined && /^DOWN/.test(status)) {
    return { state: "drained", reason: `${wishText(wish)}; it is down by now (${said || check})` };
  }
  if (!/^(UP|no check)/.test(status)) return { state: "out", reason: said || check };
  if (check === "L7OK" && BUSY_CODES.includes(code)) {
    return {
      state: "busy",
      reason: `at its limit of requests (rgw_max_concurrent_requests), its check answers ${code}`,
    };
  }
  return { state: "serves", reason: said };
}

/** Who serves a group's clients on this node; "near" also where no RGW is nearer than the others, "unknown" where HAProxy does not tell. */
export type ServedBy = "near" | "far" | "fallback" | "nobody" | "unknown";

/** From a group's servers and those of its fallback. */
export function servedBy(
  servers: readonly { readonly state: RgwState; readonly far: boolean }[],
  fallback: readonly { readonly state: RgwState }[],
): ServedBy {
  if (servers.length === 0) return "unknown";
  const takers = servers.filter(({ state }) => takesRequests(state));
  if (takers.some(({ far }) => !far)) return "near";
  if (takers.length > 0) return "far";
  return fallback.some(({ state }) => takesRequests(state)) ? "fallback" : "nobody";
}

/** Whether HAProxy sends it new requests. */
export const takesRequests = (state: RgwState): boolean => state === "serves" || state === "busy";

/** A server with its state, as `ober` shows it; `status` is HAProxy's own word. */
export type NamedState = {
  readonly name: string;
  readonly status: string;
  readonly state: RgwState;
  readonly reason: string;
};

/** How many failed RGWs are named; beyond it they are counted, because something else is wrong. */
const TOLD = 8;
/** How many names with the same reason are listed; beyond it they are counted. */
const NAMED = 3;

/** RGWs that do not simply serve, with their reasons; empty if all serve. Busy or drained ones with the same reason are grouped. */
export function statesText(servers: readonly NamedState[]): string {
  const out = servers.filter(({ state }) => state === "out");
  const alike = Map.groupBy(
    servers.filter(({ state }) => state === "busy" || state === "drained"),
    ({ state, reason }) => `${state}: ${reason}`,
  );
  return [
    ...out.slice(0, TOLD).map(outText),
    ...(out.length > TOLD ? [`${out.length - TOLD} more are out`] : []),
    ...[...alike].map(
      ([what, same]) =>
        `${several(
          same.map(({ name }) => name),
          NAMED,
        )} ${same.length === 1 ? "is" : "are"} ${what}`,
    ),
  ].join("; ");
}

/** A server whose name has no address is not down: HAProxy has never checked it. */
const outText = ({ name, status, reason }: NamedState): string =>
  status === "MAINT (resolution)" ? `${name}: ${reason}` : `${name} is ${status}${reason === "" ? "" : ` (${reason})`}`;

/** The verb for a group's RGWs that take requests; drained ones answer too. */
export const verbOf = (servers: readonly NamedState[]): string =>
  servers.some(({ state }) => state === "drained") ? "take requests" : "answer";
