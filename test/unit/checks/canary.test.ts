import { describe, expect, test } from "bun:test";
import { canaryVerdict } from "../../../src/checks/canary.ts";
import type { CanaryState } from "../../../src/health/state.ts";

const NOW = Date.parse("2026-11-27T10:00:00Z");
const since = "2026-11-27T09:59:30.000Z";
const [N2, N3] = ["10.77.0.12", "10.77.0.13"] as const;
const good = (node: string) => ({ node, ok: true, since });
const bad = (node: string, reason: NonNullable<CanaryState["seenBy"][number]["reason"]>) => ({
  node,
  ok: false,
  since,
  reason,
});
const at = <T extends { node: string }>(one: T) => ({ ...one, address: `10.99.1.${Number(one.node.slice(-2)) - 10}` });
const state = (change: Partial<CanaryState>): CanaryState => ({
  address: "10.99.1.1",
  announced: true,
  seen: [at(good(N2)), at(good(N3))],
  seenBy: [good(N2), good(N3)],
  ...change,
});
const verdict = (change: Partial<CanaryState>) => canaryVerdict(state(change), NOW);

describe("the verdict on canaries", () => {
  test("all is well", () => {
    expect(verdict({})).toEqual({
      status: "pass",
      detail: "10.99.1.1 is fetched by 2 other nodes; theirs are fetched: 2",
    });
    expect(verdict({ seen: [], seenBy: [] }).status).toBe("pass");
    expect(verdict({ announced: false, seen: [], seenBy: [] }).status).toBe("pass");
  });

  test("no other node fetches this one's: the routers' filter", () => {
    const said = verdict({ seenBy: [bad(N2, "unreachable"), bad(N3, "unreachable")] });
    expect(said.status).toBe("fail");
    expect(said.detail).toBe(
      "2 of 2 other nodes cannot fetch this node's canary 10.99.1.1 through the routers, first 30 s ago: a router knows no way to it",
    );
    expect(said).toHaveProperty("fix", expect.stringContaining("their filter refuses it"));
    // It never claims that clients do not reach the VIP: that is not known.
    expect(said).not.toHaveProperty("stops");
  });

  test("the node at fault is the one that nobody fetches, not those that it cannot fetch", () => {
    const faulty = verdict({
      seen: [at(bad(N2, "silent")), at(bad(N3, "silent"))],
      seenBy: [bad(N2, "silent"), bad(N3, "silent")],
    });
    expect(faulty.status).toBe("fail");
    const other = verdict({ seen: [at(good(N2)), at(bad(N3, "silent"))], seenBy: [good(N2), bad(N3, "silent")] });
    expect(other).toMatchObject({
      status: "warn",
      detail:
        "the canary 10.99.1.3 of 10.77.0.13 cannot be fetched through the routers, since 30 s ago: nothing comes back",
    });
  });

  test("some of the others fetch it: a warning", () => {
    expect(verdict({ seenBy: [good(N2), bad(N3, "silent")] })).toMatchObject({
      status: "warn",
      detail: expect.stringContaining("1 of 2 other nodes cannot fetch"),
    });
  });

  test("a node that is away is named as that", () => {
    expect(verdict({ seen: [at(good(N2)), at(bad(N3, "down"))], seenBy: [good(N2)] })).toMatchObject({
      status: "warn",
      detail: expect.stringContaining("its node does not answer at its own address either"),
      fix: `ping ${N3}; on ${N3}: ober status; its link`,
    });
  });

  test("this machine cannot ask", () => {
    expect(verdict({ trouble: "routeless", seen: [] })).toMatchObject({ status: "warn" });
    expect(verdict({ trouble: "sourceless", seen: [] })).toMatchObject({ fix: "ober doctor --fix" });
  });
});
