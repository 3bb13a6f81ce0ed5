import { expect, test } from "bun:test";
import { createSessions, reasonIn } from "../../../src/health/sessions.ts";

const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second));

test("knows since when a session is up", () => {
  const sessions = createSessions();
  expect(sessions.hear("neighbor 10.77.0.1 connected", at(1))).toEqual({ turned: undefined });
  expect(sessions.hear("neighbor 10.77.0.1 up", at(2))).toEqual({
    turned: { neighbor: "10.77.0.1", state: "up", since: at(2).toISOString() },
  });
  expect(sessions.states).toEqual([{ neighbor: "10.77.0.1", state: "up", since: at(2).toISOString() }]);
});

test("tells of a session that goes, once, with the reason", () => {
  const sessions = createSessions();
  sessions.hear("neighbor 10.77.0.1 up", at(1));
  const down = "neighbor 10.77.0.1 down - peer reset, message [notification received (6,2)] error[x]";
  expect(sessions.hear(down, at(2))?.turned).toEqual({
    neighbor: "10.77.0.1",
    state: "down",
    since: at(2).toISOString(),
    reason: "NOTIFICATION received: the session is shut down on the router",
  });
  expect(sessions.hear(down, at(3))?.turned).toBeUndefined();
});

test("keeps the router's notification over what failed after it, and since when it is down", () => {
  const sessions = createSessions();
  sessions.hear("neighbor 10.77.0.1 down - peer reset, message [notification received (2,2)] error[x]", at(1));
  sessions.hear("neighbor 10.77.0.1 connected", at(2));
  sessions.hear("neighbor 10.77.0.1 down - peer reset, message [closing connection] error[closed]", at(3));
  expect(sessions.states).toEqual([
    {
      neighbor: "10.77.0.1",
      state: "down",
      since: at(1).toISOString(),
      reason: "NOTIFICATION received: the AS number is not the one that the other side expects",
    },
  ]);
  sessions.hear("neighbor 10.77.0.1 up", at(4));
  expect(sessions.states[0]?.reason).toBeUndefined();
});

test.each(["done", "error", "shutdown", "neighbor", '{ "answer": "done" }', ""])(
  "does not take '%s' for a session",
  (line) => {
    expect(createSessions().hear(line, at(0))).toBeUndefined();
  },
);

test.each([
  ["peer reset, message [closing connection] error[timed out]", "timed out"],
  ["peer reset, message [notification sent (4,0)] error[x]", "NOTIFICATION sent: the hold time expired"],
  ["peer reset, message [notification sent (6,3)] error[x]", "ended by this node"],
  ["peer reset, message [notification received (9,9)] error[x]", "NOTIFICATION received: code 9, subcode 9"],
])("%s is %s", (said, reason) => {
  expect(reasonIn(said)).toBe(reason);
});

test("remembers no more neighbors than a node can have", () => {
  const sessions = createSessions();
  for (let i = 0; i < 500; i++) sessions.hear(`neighbor 10.0.${i >> 8}.${i & 255} connected`, at(0));
  expect(sessions.states).toHaveLength(64);
});
