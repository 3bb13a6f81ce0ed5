/**
 * Days of failures and repairs in a moment: clusters of two to five nodes, from a seeded generator, on the parts that decide (judge, machine, guard,
 * hold-down), beside a model that only knows what is true. OBER_MODEL_SEED and OBER_MODEL_EVENTS repeat or lengthen a run.
 */
import { expect, test } from "bun:test";
import { guard, type Sighting } from "../../../src/domain/guard.ts";
import { heldDownUntil } from "../../../src/health/hold-down.ts";
import { judge } from "../../../src/health/judge.ts";
import { INITIAL, type State, step } from "../../../src/health/machine.ts";
import { NO_RGW, type ProbeResult } from "../../../src/health/probe.ts";
import { isAnnounced } from "../../../src/health/routes.ts";

const SEED = Number(process.env["OBER_MODEL_SEED"] ?? 1);
const EVENTS = Number(process.env["OBER_MODEL_EVENTS"] ?? 2_000);
const VIP = "10.99.0.100";
const POLICY = { rise: 2, fall: 3 };
const CHECK_MS = 200;
const TIMEOUT_MS = 150;
const LONGEST_MS = 300_000;
/** RGWs, and the marks of min_servers. */
const RGWS = 4;
const [LOW, HIGH] = [2, 3];
/** What a decision takes at most: three checks that run into their limit, or two good ones. */
const DECIDED_MS = 1_000;
/** And where the others are asked: their words are asked for every two seconds, and count three seconds after the loss. */
const ASKED_MS = 7_500;

/** What is true of a node. */
type Truth = {
  haproxy: "well" | "hangs" | "dead";
  /** RGWs that it reaches. */
  rgws: number;
  drained: boolean;
  /** Whether it reaches the other nodes, and they it. */
  cutOff: boolean;
};

type Node = {
  readonly truth: Truth;
  state: State;
  checkedAt: number;
  starvedAt: number | undefined;
  losses: number[];
  readonly others: Map<number, Sighting>;
  askedAt: number;
  /** When anything last changed that bears on it. */
  changedAt: number;
};

function generator(seed: number) {
  let value = seed;
  return (bound: number) => {
    value = (Math.imul(value, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((value / 4_294_967_296) * bound);
  };
}

const probe = ({ haproxy, rgws }: Truth): ProbeResult => {
  if (haproxy === "dead") return { ok: false, kind: "refused", reason: "nothing listens", latencyMs: 0 };
  if (haproxy === "hangs") return { ok: false, kind: "timeout", reason: "no answer", latencyMs: TIMEOUT_MS };
  if (rgws === 0) return { ok: false, kind: "status", reason: NO_RGW, latencyMs: 0 };
  return { ok: true, latencyMs: 0, servers: { alive: rgws, low: LOW, high: HIGH } };
};

/** Whether clients who come to it are served. */
const serves = ({ haproxy, rgws, drained }: Truth) => haproxy === "well" && rgws > 0 && !drained;

function check(node: Node, now: number): void {
  const result = probe(node.truth);
  node.starvedAt = !result.ok && result.reason === NO_RGW ? (node.starvedAt ?? now) : undefined;
  const until = result.ok ? heldDownUntil(node.losses, LONGEST_MS, now) : undefined;
  const seen = {
    result,
    drain: node.truth.drained ? { soft: false, cause: "drained" } : undefined,
    held: false,
    damped: until === undefined ? undefined : "failed again and again",
    stays: () => guard([VIP], { lostAt: node.starvedAt ?? now, now }, [...node.others.values()]) === "stay",
  };
  const [next, transition] = step(node.state, judge(seen, node.state.phase), POLICY);
  if (transition?.to === "down" && isAnnounced(transition.from)) node.losses.push(now);
  node.state = next;
}

function ask(nodes: readonly Node[], own: number, now: number): void {
  const node = nodes[own];
  nodes.forEach(({ truth, state }, other) => {
    // Its statistics port answers as long as HAProxy does.
    if (node === undefined || other === own || truth.haproxy !== "well" || truth.cutOff || node.truth.cutOff) return;
    const says = ["up", "scarce", "damped"].includes(state.phase) ? [VIP] : [];
    node.others.set(other, { answeredAt: now, serves: says });
  });
}

/** What must be so once nothing has changed for long enough; undefined where it is. */
function fault(nodes: readonly Node[], own: number, now: number): string | undefined {
  const node = nodes[own];
  if (node === undefined || now - node.changedAt < DECIDED_MS) return undefined;
  const { truth, state } = node;
  const { phase } = state;
  const announced = isAnnounced(phase);
  if (truth.drained) return announced ? "a drained node is announced" : undefined;
  if (truth.haproxy !== "well") return announced ? `a node whose HAProxy is ${truth.haproxy} is announced` : undefined;
  if (truth.rgws > 0) {
    if (!announced) return `a node that serves is ${phase}`;
    const [held, before] = [now, now - CHECK_MS].map((at) => heldDownUntil(node.losses, LONGEST_MS, at) !== undefined);
    // It ended since the last check.
    if (held !== before) return undefined;
    if (held && phase === "up") return "a node that is held down is preferred";
    if (!held && phase === "damped") return "a node that is no longer held down is the last choice";
    if (!held && truth.rgws >= HIGH && phase !== "up") return `a node with enough RGWs is ${phase}`;
    if (!held && truth.rgws < LOW && phase !== "scarce") return `a node with ${truth.rgws} RGWs is ${phase}`;
    return undefined;
  }
  if (phase === "up" || phase === "scarce") return "a node without an RGW is a good choice";
  if (now - node.changedAt < ASKED_MS || nodes.some(({ changedAt }) => now - changedAt < ASKED_MS)) return undefined;
  const reached = nodes.filter((one, other) => other !== own && one.truth.haproxy === "well" && !one.truth.cutOff);
  const wanted = !truth.cutOff && reached.length > 0 && !reached.some((one) => serves(one.truth));
  if (wanted !== announced)
    return `without an RGW it is ${phase}, with ${reached.length} others of which some serve: ${!wanted}`;
  return undefined;
}

type Happening = (nodes: readonly Node[], one: Truth, random: (bound: number) => number) => Partial<Truth>;

/** What becomes of one node, or of all: the storage is what they share. */
const HAPPENINGS: readonly { readonly to: "one" | "all"; readonly what: Happening }[] = [
  { to: "one", what: () => ({ haproxy: "dead" }) },
  { to: "one", what: () => ({ haproxy: "hangs" }) },
  { to: "one", what: () => ({ haproxy: "well" }) },
  { to: "one", what: () => ({ haproxy: "well" }) },
  { to: "one", what: (_nodes, _one, random) => ({ rgws: random(RGWS + 1) }) },
  { to: "one", what: () => ({ rgws: RGWS }) },
  { to: "all", what: () => ({ rgws: 0 }) },
  { to: "all", what: (_nodes, _one, random) => ({ rgws: 1 + random(RGWS) }) },
  { to: "one", what: (_nodes, one) => ({ drained: !one.drained }) },
  { to: "one", what: () => ({ drained: false }) },
  { to: "one", what: (_nodes, one) => ({ cutOff: !one.cutOff }) },
  { to: "one", what: () => ({ cutOff: false }) },
];

test(`${EVENTS} failures and repairs: what is announced is what the model says`, () => {
  const random = generator(SEED);
  let now = 1_000_000;
  let events = 0;
  for (let cluster = 0; events < EVENTS; cluster++) {
    const nodes: readonly Node[] = Array.from({ length: 2 + random(4) }, () => ({
      truth: { haproxy: "well", rgws: RGWS, drained: false, cutOff: false },
      state: INITIAL,
      checkedAt: now + random(CHECK_MS),
      starvedAt: undefined,
      losses: [],
      others: new Map(),
      askedAt: now + random(2_000),
      changedAt: now,
    }));
    // Each has been heard before anything happens.
    for (let own = 0; own < nodes.length; own++) ask(nodes, own, now);
    for (let i = 0; i < 50 && events < EVENTS; i++, events++) {
      // Mostly one thing after the other; sometimes several at once, or a long quiet time in which a hold-down ends.
      const quiet = [50, 500, 3_000, 12_000, 12_000, 400_000][random(6)] ?? 0;
      const victim = nodes[random(nodes.length)];
      const before = nodes.map(({ truth }) => JSON.stringify(truth));
      const happening = HAPPENINGS[random(HAPPENINGS.length)];
      if (victim !== undefined && happening !== undefined) {
        const change = happening.what(nodes, victim.truth, random);
        for (const { truth } of happening.to === "all" ? nodes : [victim]) Object.assign(truth, change);
      }
      nodes.forEach((node, own) => {
        if (JSON.stringify(node.truth) !== before[own]) node.changedAt = now;
      });
      for (const end = now + quiet; now < end; now += 50) {
        nodes.forEach((node, own) => {
          if (now >= node.askedAt) {
            node.askedAt = now + 2_000;
            ask(nodes, own, now);
          }
          if (now >= node.checkedAt) {
            node.checkedAt = now + CHECK_MS;
            check(node, now);
          }
        });
        // A decision in a long quiet time changes only with the clock.
        if (quiet > 100_000 && end - now > 400 && now - Math.max(...nodes.map(({ changedAt }) => changedAt)) > ASKED_MS)
          now += 150;
        for (let own = 0; own < nodes.length; own++) {
          const wrong = fault(nodes, own, now);
          if (wrong !== undefined)
            throw new Error(
              `OBER_MODEL_SEED=${SEED}: cluster ${cluster}, event ${i}, node ${own}: ${wrong}\n${JSON.stringify(nodes.map(({ truth, state, losses, changedAt }) => ({ ...truth, ...state, losses: losses.map((at) => now - at), ago: now - changedAt })))}`,
            );
        }
      }
    }
  }
  expect(events).toBe(EVENTS);
}, 120_000);
