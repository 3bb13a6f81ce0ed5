import { LAST_CHOICES, type LastChoice } from "../domain/guard.ts";

/**
 * When to announce and when to withdraw. Pure: the loop passes in one event for each check and carries out the
 * transitions.
 *
 * The first phase is "unknown": so the first decision is always a transition, which clears a route that an earlier process
 * left in ExaBGP (ExaBGP keeps the routes of a process that died).
 */
export type Phase = "unknown" | "up" | LastChoice | "down" | "drained" | "held" | "stopped";

export const lastChoiceOf = (phase: Phase): LastChoice | undefined => LAST_CHOICES.find((one) => one === phase);

export type Event =
  | { readonly type: "up" }
  | { readonly type: "down"; readonly cause: string }
  /** The check is good, and fewer RGWs answer than the node needs to carry its share: routers shall prefer others as long as there are any. */
  | { readonly type: "scarce"; readonly cause: string }
  /** The check is good, and the node failed again and again: hold-down.ts. */
  | { readonly type: "damped"; readonly cause: string }
  /** HAProxy answers, and no RGW does. `stays`: as far as is known, no other node serves either; see domain/guard.ts. */
  | { readonly type: "starved"; readonly cause: string; readonly stays: boolean }
  /** HAProxy is certainly gone: no counting. */
  | { readonly type: "dead"; readonly cause: string }
  /** The operator takes the node out, regardless of the check. */
  | { readonly type: "drained"; readonly cause: string }
  /** The node must not attract clients yet, regardless of the check. */
  | { readonly type: "held"; readonly cause: string }
  /** The check is good, but the node is about to be drained: routers should prefer other nodes while there are any. */
  | { readonly type: "leaving"; readonly cause: string }
  | { readonly type: "stop"; readonly cause: string };

/** `streak` counts equal outcomes of checks in a row: positive for good ones, negative for failed ones. */
export type State = { readonly phase: Phase; readonly streak: number };

export type Policy = { readonly rise: number; readonly fall: number };

export type Transition = { readonly from: Phase; readonly to: Phase; readonly cause: string };

export const INITIAL: State = { phase: "unknown", streak: 0 };

/** The next state, and the transition if the phase changes. */
export function step(state: State, event: Event, policy: Policy): readonly [State, Transition?] {
  if (state.phase === "stopped") return [state];
  switch (event.type) {
    case "up": {
      const streak = good(state, policy);
      // The first RGW that is back serves at once: HAProxy itself has counted its checks, and the VIP is announced already.
      if (state.phase === "up" || (streak < policy.rise && !isLastChoice(state.phase))) return [{ ...state, streak }];
      return enter("up", streak, state, "HAProxy answers");
    }
    case "down": {
      const streak = bad(state, policy);
      if (state.phase === "down" || streak > -policy.fall) return [{ ...state, streak }];
      return enter("down", streak, state, event.cause);
    }
    case "scarce":
    case "damped": {
      const streak = good(state, policy);
      const isAnnounced = state.phase === "up" || isLastChoice(state.phase);
      if (state.phase === event.type || (streak < policy.rise && !isAnnounced)) return [{ ...state, streak }];
      return enter(event.type, streak, state, event.cause);
    }
    case "starved": {
      if (!event.stays) return step(state, { type: "down", cause: event.cause }, policy);
      const streak = bad(state, policy);
      if (state.phase === "starved" || streak > -policy.fall) return [{ ...state, streak }];
      return enter("starved", streak, state, `${event.cause}; no other node is known to serve`);
    }
    case "dead":
      if (state.phase === "down") return [{ ...state, streak: -policy.fall }];
      return enter("down", -policy.fall, state, event.cause);
    case "drained":
    case "held":
      // Afterwards counting starts again.
      if (state.phase === event.type) return [{ ...state, streak: 0 }];
      return enter(event.type, 0, state, event.cause);
    case "leaving":
      if (state.phase === "leaving") return [{ ...state, streak: policy.rise }];
      // A VIP that is not announced is not announced just to leave.
      if (state.phase !== "up" && state.phase !== "scarce" && state.phase !== "damped") {
        return step(state, { type: "drained", cause: event.cause }, policy);
      }
      return enter("leaving", policy.rise, state, event.cause);
    case "stop":
      return enter("stopped", 0, state, event.cause);
    default:
      return event satisfies never;
  }
}

/** The streak after a good check. */
const good = ({ streak }: State, { rise }: Policy) => Math.min(Math.max(streak, 0) + 1, rise);

/** The streak after a failed one. */
const bad = ({ streak }: State, { fall }: Policy) => Math.max(Math.min(streak, 0) - 1, -fall);

/** Announced, and not preferred, for want of RGWs. */
const isLastChoice = (phase: Phase) => phase === "scarce" || phase === "starved" || phase === "damped";

function enter(phase: Phase, streak: number, { phase: from }: State, cause: string): readonly [State, Transition] {
  return [
    { phase, streak },
    { from, to: phase, cause },
  ];
}
