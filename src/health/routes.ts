import { lastChoiceOf, type Phase, type Transition } from "./machine.ts";
import type { Vip } from "./options.ts";

/** `demote` announces as the last choice. */
export type Action = "announce" | "demote" | "withdraw";

/** What a transition means for the routes; undefined if they need no change (down -> drained). */
export function actionOf({ from, to }: Transition): Action | undefined {
  if (to === "up") return "announce";
  if (isDemoted(to)) return isDemoted(from) ? undefined : "demote";
  return isAnnounced(from) || from === "unknown" || to === "stopped" ? "withdraw" : undefined;
}

/** Whether the routes are announced in this phase, as good ones or as the last choice. */
export const isAnnounced = (phase: Phase) => phase === "up" || isDemoted(phase);

const isDemoted = (phase: Phase) => lastChoiceOf(phase) !== undefined;

/** GRACEFUL_SHUTDOWN (RFC 8326) and, for routers that do not know it, the worst metric. */
const LAST_CHOICE = " med 4294967295 community [ 65535:0 ]";

/** One command of ExaBGP's text API. `self` is the address of each session, so one command serves every neighbor. */
export function routeCommand(action: Action, { prefix }: Pick<Vip, "prefix">): string {
  if (action === "demote") return `announce route ${prefix} next-hop self${LAST_CHOICE}\n`;
  return `${action} route ${prefix} next-hop self\n`;
}

/** The commands that carry out a transition, one line for each VIP; "" if there are none. */
export function routeCommands(transition: Transition, vips: readonly Pick<Vip, "prefix">[]): string {
  const action = actionOf(transition);
  return action === undefined ? "" : vips.map((vip) => routeCommand(action, vip)).join("");
}
