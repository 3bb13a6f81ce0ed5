import { describe, expect, test } from "bun:test";
import { CONFIRMED_MS, FRESH_MS, guard, type Sighting } from "../../../src/domain/guard.ts";
import { servedIn } from "../../../src/domain/serves.ts";

const VIP = "10.99.0.100";
const OTHER = "10.99.0.101";
const LOST = 10_000;

describe("a node that has lost every RGW", () => {
  const heard = (answeredAt: number | undefined, ...serves: string[]): Sighting => ({ answeredAt, serves });
  const late = LOST + CONFIRMED_MS;
  const cases: [what: string, now: number, others: Sighting[], verdict: string, vips?: string[]][] = [
    ["stays when it is the only node", late, [], "stay"],
    ["withdraws when no other node has ever answered", late, [heard(undefined)], "withdraw"],
    ["withdraws when the last answer is old", late, [heard(late - FRESH_MS - 1, VIP)], "withdraw"],
    ["stays while another node's word is from before the loss", LOST, [heard(LOST - 1, VIP)], "stay"],
    ["stays while it may not have noticed yet", late - 1, [heard(late - 1, VIP)], "stay"],
    ["withdraws when another node still serves some seconds later", late, [heard(late, VIP)], "withdraw"],
    ["stays when the others answer, and none serves", late + 60_000, [heard(late + 59_000), heard(undefined)], "stay"],
    ["withdraws when one of the others serves", late, [heard(late), heard(late, VIP)], "withdraw"],
    ["stays when one of its VIPs is served by nobody", late, [heard(late, VIP)], "stay", [VIP, OTHER]],
    [
      "withdraws when two others serve its VIPs",
      late,
      [heard(late, VIP), heard(late, OTHER)],
      "withdraw",
      [VIP, OTHER],
    ],
  ];
  test.each(cases)("%s", (_what, now, others, verdict, vips = [VIP]) => {
    expect<string>(guard(vips, { lostAt: LOST, now }, others)).toBe(verdict);
  });
});

/**
 * Nodes that lose every RGW within the same second, each noticing in its own time and asking the others in its own rhythm: whatever the moments,
 * a VIP that all of them announced is announced by one of them at least.
 */
test("of several nodes that lose all RGWs at once, one stays announced at any time", () => {
  let seed = 7;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed / 2_147_483_648;
  };
  for (let round = 0; round < 300; round++) {
    const count = 2 + Math.floor(random() * 4);
    const nodes = Array.from({ length: count }, () => ({
      lostAt: 10_000 + random() * 1_000,
      asksAt: random() * 2_000,
      announced: true,
      others: new Map<number, Sighting>(),
    }));
    for (let now = 9_000; now < 30_000; now += 50) {
      const serves = nodes.map(({ lostAt }) => (now < lostAt ? [VIP] : []));
      nodes.forEach((node, own) => {
        if (now >= node.asksAt) {
          node.asksAt = now + 2_000;
          serves.forEach((vips, other) => {
            if (other !== own) node.others.set(other, { answeredAt: now, serves: vips });
          });
        }
        if (now < node.lostAt) return;
        node.announced = guard([VIP], { lostAt: node.lostAt, now }, [...node.others.values()]) === "stay";
      });
      if (!nodes.some(({ announced }) => announced)) throw new Error(`round ${round}: nobody announces at ${now}`);
    }
    expect(nodes.map(({ announced }) => announced)).toEqual(nodes.map(() => true));
  }
});

describe("what a node says that it serves", () => {
  const said = (parts: object) =>
    JSON.stringify({ leaving: false, now: 1_000, serves: { at: 995, vips: {} }, ...parts });
  test.each([
    ["its VIPs", said({ serves: { at: 999, vips: { [VIP]: 5, [OTHER]: 6 } } }), [VIP, OTHER]],
    ["nothing when its word was not renewed", said({ serves: { at: 989, vips: { [VIP]: 5 } } }), []],
    ["nothing before anything was said", said({ serves: {} }), []],
    ["nothing while it leaves", said({ leaving: true, serves: { at: 999, vips: { [VIP]: 5 } } }), []],
    ["not known from something else", '{"status":"ok"}', undefined],
    ["not known from a list", "[]", undefined],
    ["not known from no JSON", "<html>", undefined],
  ])("%s", (_what, body, vips) => {
    expect(servedIn(body)).toEqual(vips);
  });
});
