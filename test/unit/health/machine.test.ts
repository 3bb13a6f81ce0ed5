import { describe, expect, test } from "bun:test";
import { type Event, INITIAL, type Phase, step } from "../../../src/health/machine.ts";
import { actionOf } from "../../../src/health/routes.ts";

const POLICY = { rise: 2, fall: 3 };

const EVENTS: Record<string, Event> = {
  "+": { type: "up" },
  "-": { type: "down", cause: "HAProxy answers 503" },
  f: { type: "scarce", cause: "1 RGW answers" },
  k: { type: "damped", cause: "failed 3 times" },
  n: { type: "starved", cause: "no RGW answers", stays: true },
  w: { type: "starved", cause: "no RGW answers", stays: false },
  "!": { type: "dead", cause: "nothing listens" },
  d: { type: "drained", cause: "drained" },
  l: { type: "leaving", cause: "drained" },
  h: { type: "held", cause: "held back" },
  s: { type: "stop", cause: "SIGTERM" },
};

/** Plays a script of events and writes down, for each, what is said to ExaBGP, or the phase entered in silence, or a dot. */
function play(script: string, policy = POLICY): string {
  let state = INITIAL;
  const said = script.split(" ").map((letter) => {
    const [next, transition] = step(state, EVENTS[letter] as Event, policy);
    state = next;
    return transition === undefined ? "." : (actionOf(transition) ?? `(${transition.to})`);
  });
  return said.join(" ");
}

describe("the machine", () => {
  const scripts: [behaviour: string, events: string, said: string][] = [
    ["announces after two good checks", "+ + + +", ". announce . ."],
    ["withdraws after three failures", "+ + - - -", ". announce . . withdraw"],
    ["bears two failures in a row", "+ + - - + - - +", ". announce . . . . . ."],
    ["announces again after two good checks", "+ + - - - + +", ". announce . . withdraw . announce"],
    ["needs the good checks in a row", "- - - + - + - + +", ". . withdraw . . . . . announce"],
    ["speaks also when its first decision is to withdraw", "- - - -", ". . withdraw ."],
    ["speaks at once when HAProxy is dead from the start", "! ! !", "withdraw . ."],
    ["decides nothing while the first checks disagree", "+ - + - - + +", ". . . . . . announce"],
    ["does not count when HAProxy is dead", "+ + !", ". announce withdraw"],
    ["takes death as the end of a streak", "+ + ! + ! + +", ". announce withdraw . . . announce"],
    ["withdraws for a drain, however healthy", "+ + d d", ". announce withdraw ."],
    ["says withdraw when it starts drained", "d d", "withdraw ."],
    ["says withdraw when it starts held back, and comes by itself", "h h + +", "withdraw . . announce"],
    ["withdraws what is held back, however healthy", "+ + h - h +", ". announce withdraw . . ."],
    ["stays away when a drain ends and the node is held back", "d h d h", "withdraw (held) (drained) (held)"],
    ["changes only the cause when a withdrawn node is drained", "- - - d", ". . withdraw (drained)"],
    ["counts from the beginning after a drain", "+ + d + d + +", ". announce withdraw . . . announce"],
    ["stays out after a drain that ends in failures", "+ + d - - - + +", ". announce withdraw . . (down) . announce"],
    ["stays drained when HAProxy dies meanwhile", "+ + d d d", ". announce withdraw . ."],
    ["is the last choice before it is drained", "+ + l l d", ". announce demote . withdraw"],
    ["comes back as a good choice when it is not drained after all", "+ + l + +", ". announce demote announce ."],
    ["withdraws when it dies while it leaves", "+ + l ! l", ". announce demote withdraw (drained)"],
    ["withdraws after three failures while it leaves", "+ + l - - -", ". announce demote . . withdraw"],
    [
      "comes back as the last choice after failures again and again, and preferred at once when that is over",
      "+ + ! k k k + +",
      ". announce withdraw . demote . announce .",
    ],
    ["withdraws when it fails while it is the last choice", "k k ! k k", ". demote withdraw . demote"],
    ["is the last choice and leaves", "k k l d", ". demote (leaving) withdraw"],
    ["does not come in order to leave", "l + l", "withdraw . ."],
    [
      "is the last choice at once when few RGWs answer, and preferred at once when enough do",
      "+ + f f + f",
      ". announce demote . announce demote",
    ],
    ["needs two good checks with few RGWs as well", "- - - f f", ". . withdraw . demote"],
    [
      "says nothing new when few RGWs become none, or some",
      "+ + f n n n f",
      ". announce demote . . (starved) (scarce)",
    ],
    ["withdraws when few RGWs become none and another node serves", "+ + f w w w", ". announce demote . . withdraw"],
    ["leaves as the last choice that it is already", "+ + f l d", ". announce demote (leaving) withdraw"],
    ["stays as the last choice when no RGW answers anywhere", "+ + n n n n", ". announce . . demote ."],
    ["withdraws when no RGW answers here and another node serves", "+ + w w w w", ". announce . . withdraw ."],
    [
      "withdraws at once when it learns later that another node serves",
      "+ + n n n w",
      ". announce . . demote withdraw",
    ],
    ["is the last choice again when nobody serves any more", "+ + w w w n", ". announce . . withdraw demote"],
    ["serves at once when the first RGW is back", "+ + n n n +", ". announce . . demote announce"],
    ["counts when RGWs come back to a node that withdrew", "+ + w w w + +", ". announce . . withdraw . announce"],
    ["is the last choice from the start when no RGW answers anywhere", "n n n", ". . demote"],
    ["withdraws when HAProxy hangs while no RGW answers", "+ + n n n -", ". announce . . demote withdraw"],
    ["withdraws when HAProxy dies while no RGW answers", "+ + n n n !", ". announce . . demote withdraw"],
    ["is drained while no RGW answers", "+ + n n n d", ". announce . . demote withdraw"],
    ["withdraws at the end", "+ + s", ". announce withdraw"],
    ["withdraws at the end whatever the phase was", "- - - s", ". . withdraw withdraw"],
    ["withdraws at the end when nothing was decided", "+ s", ". withdraw"],
    ["says nothing after the end", "+ + s + + - - - d ! s", ". announce withdraw . . . . . . . ."],
  ];
  test.each(scripts)("%s", (_behaviour, events, said) => {
    expect(play(events)).toBe(said);
  });

  test("follows a policy of one", () => {
    expect(play("+ - + -", { rise: 1, fall: 1 })).toBe("announce withdraw announce withdraw");
  });

  test("names the cause of what failed last, and where it came from", () => {
    const [, transition] = step({ phase: "up", streak: -2 }, { type: "down", cause: "no answer" }, POLICY);
    expect(transition).toEqual({ from: "up", to: "down", cause: "no answer" });
  });

  test("does not count without end", () => {
    let state = INITIAL;
    for (let i = 0; i < 1000; i++) [state] = step(state, { type: "up" }, POLICY);
    expect(state).toEqual({ phase: "up", streak: 2 });
    for (let i = 0; i < 1000; i++) [state] = step(state, { type: "down", cause: "" }, POLICY);
    expect(state).toEqual({ phase: "down", streak: -3 });
  });

  test("never contradicts what it said, over every script of six events", () => {
    const letters = Object.keys(EVENTS);
    let scripts = 0;
    for (let n = 0; n < letters.length ** 6; n++) {
      let announced: boolean | undefined;
      let state = INITIAL;
      for (let i = 0, rest = n; i < 6; i++, rest = Math.floor(rest / letters.length)) {
        const [next, transition] = step(state, EVENTS[letters[rest % letters.length] ?? ""] as Event, POLICY);
        state = next;
        const action = transition && actionOf(transition);
        if (action !== undefined) announced = action !== "withdraw";
      }
      const expected: Record<Phase, boolean | undefined> = {
        unknown: undefined,
        up: true,
        scarce: true,
        starved: true,
        damped: true,
        leaving: true,
        down: false,
        drained: false,
        held: false,
        stopped: false,
      };
      if (announced !== expected[state.phase])
        throw new Error(`script ${n}: ${state.phase} but announced is ${announced}`);
      scripts += 1;
    }
    expect(scripts).toBe(letters.length ** 6);
  });
});
