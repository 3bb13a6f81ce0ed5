import { expect, test } from "bun:test";
import { isHealthPath, type NamedState, rgwState, statesText } from "../../../src/domain/rgw.ts";

/** Columns of `show stat` as HAProxy 2.6 to 3.4 writes them; see test/contract/busy.test.ts. */
test.each([
  ["UP", "L7OK", "200", "serves"],
  ["UP", "* L7OK", "200", "serves"],
  ["UP 1/3", "L4TOUT", "", "serves"],
  ["no check", "", "", "serves"],
  ["UP", "L7OK", "498", "busy"],
  ["UP", "* L7OK", "498", "busy"],
  ["UP", "L7OK", "503", "busy"],
  ["UP 2/3", "L7STS", "503", "serves"],
  ["NOLB", "L7OKC", "503", "drained"],
  ["NOLB 1/3", "* L4CON", "", "drained"],
  ["DOWN 1/2", "L7OKC", "503", "drained"],
  ["DRAIN", "L7OK", "200", "drained"],
  ["MAINT", "", "", "drained"],
  ["MAINT (resolution)", "", "", "out"],
  ["DOWN", "L7STS", "500", "out"],
  ["DOWN 1/2", "L7OK", "498", "out"],
  ["DOWN", "* L4CON", "", "out"],
])("%s after a check of %s %s: %s", (status, check_status, check_code, state) => {
  expect(rgwState({ status, check_status, check_code }).state).toBe(state as never);
});

test("one that an operator has drained and that was stopped then is no failure; one that is up serves", () => {
  const wish = { group: "s3", server: "rgw1:7480", wish: "drain", by: "ann", at: "", reason: "" } as const;
  const down = { status: "DOWN", check_status: "L4CON", check_desc: "Layer4 connection problem" };
  expect(rgwState(down, wish)).toEqual({
    state: "drained",
    reason: "taken out by ann (ober rgw drain); it is down by now (Layer4 connection problem)",
  });
  expect(rgwState(down).state).toBe("out");
  expect(rgwState({ status: "UP", check_status: "L7OK", check_code: "200" }, wish).state).toBe("serves");
  expect(rgwState({ status: "MAINT (resolution)" }, wish).state).toBe("out");
});

test("who has taken an RGW out is said", () => {
  const reasons = [
    { status: "NOLB", check_status: "L7OKC", check_code: "503" },
    { status: "MAINT" },
    { status: "DOWN", check_status: "L4CON", check_desc: "Layer4 connection problem", last_chk: "refused" },
    { status: "UP", check_status: "L7OK", check_code: "498" },
  ].map((row) => rgwState(row).reason);
  expect(reasons).toEqual([
    "taken out by its own file (rgw_healthcheck_disabling_path)",
    "taken out by hand on HAProxy's socket",
    "Layer4 connection problem: refused",
    "at its limit of requests (rgw_max_concurrent_requests), its check answers 498",
  ]);
});

test.each([
  ["/swift/healthcheck", true],
  ["/healthcheck", true],
  ["/prefix/healthcheck?x=1", true],
  ["/", false],
  ["/myhealthcheck", false],
  ["/swift/healthcheck/", false],
])("%s is Swift's health path: %p", (path, is) => {
  expect(isHealthPath(path)).toBe(is);
});

test("servers that are busy for one reason are said together, the ones that are out each for itself", () => {
  const server = (name: string, state: NamedState["state"], reason: string): NamedState => ({
    name,
    status: state === "out" ? "DOWN" : "UP",
    state,
    reason,
  });
  const busy = (name: string) => server(name, "busy", "498");
  expect(statesText([server("a", "serves", "")])).toBe("");
  expect(statesText([busy("a"), server("b", "out", "refused"), busy("c")])).toBe(
    "b is DOWN (refused); a, c are busy: 498",
  );
  expect(statesText([..."abcde"].map(busy))).toBe("a, b, c and 2 more are busy: 498");
  expect(statesText([server("a", "drained", "by file"), server("b", "out", "")])).toBe(
    "b is DOWN; a is drained: by file",
  );
});
