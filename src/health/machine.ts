/**
 * When to announce and when to withdraw. Pure: the loop passes in one event for each check and carries out the
 * transitions.
 *
 * The first phase is "unknown": so the first decision is always a transition, which clears a route that an earlier process
 * left in ExaBGP (ExaBGP keeps the routes of a process that died).
 */
export type Phase = "unknown" | "up" | "leaving" | "down" | "drained" | "held" | "stopped";

export type Event =
  | { readonly type: "up" }
  | { readonly type: "down"; readonly cause: string }
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
      const streak = Math.min(Math.max(state.streak, 0) + 1, policy.rise);
      if (state.phase === "up" || streak < policy.rise) return [{ ...state, streak }];
      return enter("up", streak, state, "HAProxy answers");
    }
    case "down": {
      const streak = Math.max(Math.min(state.streak, 0) - 1, -policy.fall);
      if (state.phase === "down" || streak > -policy.fall) return [{ ...state, streak }];
      return enter("down", streak, state, event.cause);
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
      if (state.phase !== "up") return step(state, { type: "drained", cause: event.cause }, policy);
      return enter("leaving", policy.rise, state, event.cause);
    case "stop":
      return enter("stopped", 0, state, event.cause);
    default:
      return event satisfies never;
  }
}

function enter(phase: Phase, streak: number, { phase: from }: State, cause: string): readonly [State, Transition] {
  return [
    { phase, streak },
    { from, to: phase, cause },
  ];
}
