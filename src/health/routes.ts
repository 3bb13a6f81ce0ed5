import type { Transition } from "./machine.ts";
import type { Vip } from "./options.ts";

export type Action = "announce" | "withdraw";

/** What a transition means for the routes; undefined when they already are as it wants them (down -> drained). */
export function actionOf({ from, to }: Transition): Action | undefined {
  if (to === "up") return "announce";
  return from === "up" || from === "unknown" || to === "stopped" ? "withdraw" : undefined;
}

/** One command of ExaBGP's text API. `self` is the address of each session, so one command serves every neighbor. */
export function routeCommand(action: Action, { prefix }: Pick<Vip, "prefix">): string {
  return `${action} route ${prefix} next-hop self\n`;
}

/** The commands that carry a transition out, one line for each VIP; "" when there is nothing to say. */
export function routeCommands(transition: Transition, vips: readonly Pick<Vip, "prefix">[]): string {
  const action = actionOf(transition);
  return action === undefined ? "" : vips.map((vip) => routeCommand(action, vip)).join("");
}
