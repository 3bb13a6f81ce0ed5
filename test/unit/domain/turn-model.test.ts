/**
 * Every order in which the nodes of a cluster can put up their marks, ask each other, leave, come back, die, and lose an answer or the command
 * that leaves: never is the last serving node taken away by a command, and every command that waits for its turn can get it.
 */
import { expect, test } from "bun:test";
import { decide, type PeerWord, type Turn } from "../../../src/domain/turn.ts";

const SETTLE = 5;
/** More than one: whole state spaces that take minutes as well. */
const ROUNDS = Number(process.env["OBER_ROUNDS"] ?? 1);
const VIP = "10.9.9.1";
/** Seconds of service of a node that is away, has just come back, and serves. */
const SERVICE = [undefined, 1, 60] as const;
const MARKS = [undefined, "asks", "leaves"] as const;

/** What a command is about to do. "refused" and "done" are ends. */
type Step = "wants" | "reads" | "goes" | "away" | "done" | "killed";
type Node = {
  readonly alive: boolean;
  /** Index into SERVICE. */
  readonly service: 0 | 1 | 2;
  /** Index into MARKS. */
  readonly mark: 0 | 1 | 2;
  readonly step: Step;
  /** The next peer to ask, and what those before it said, as far as it matters: see `knows`. */
  readonly at: number;
  readonly known: string;
};
type State = readonly Node[];

type Rules = {
  /** Commands that come back (restart), or stay away (drain). */
  readonly returns: boolean;
  /** Whether a command waits for its turn; one that does not gives up as soon as it may not go. */
  readonly waits: boolean;
  readonly deaths: number;
  readonly losses: boolean;
  /** Whether all peers are asked in one instant. */
  readonly coarse: boolean;
};

const START: Node = { alive: true, service: 2, mark: 0, step: "wants", at: 0, known: "" };
const BYSTANDER: Node = { ...START, step: "done" };

const idOf = (index: number) => `10.0.0.${index + 1}`;
const turnOf = (phase: Turn["phase"], index: number): Turn => ({ phase, id: idOf(index), command: "ober restart" });

function wordOf(state: State, index: number, lost: boolean): PeerWord {
  const node = state[index];
  if (!node?.alive || lost) return { node: `n${index}`, said: undefined };
  const seconds = SERVICE[node.service];
  const phase = MARKS[node.mark];
  return {
    node: `n${index}`,
    said: {
      leaving: node.service === 0,
      serves: seconds === undefined ? {} : { [VIP]: seconds },
      turn: phase === undefined ? undefined : turnOf(phase, index),
    },
  };
}

/** What `decide` can make of a word, in a letter: Yield, Hold, serves For long, has Just come back, or nothing. */
function letter(word: PeerWord, own: number): string {
  const alone = decide({ id: idOf(own), vips: [VIP], settleSeconds: SETTLE }, [word]);
  if (alone.kind === "yield") return "Y";
  if (word.said?.turn !== undefined) return "H";
  return alone.kind === "go" ? "F" : alone.kind === "hold" ? "J" : "";
}

const knows = (known: string, more: string) => [...new Set(known + more)].sort().join("");

/** The words that a node's letters stand for: `decide` must say of these what it would say of all. */
function wordsFor(known: string, own: number): readonly PeerWord[] {
  const word = (node: string, seconds: number, turn?: Turn): PeerWord => ({
    node,
    said: { leaving: false, serves: { [VIP]: seconds }, turn },
  });
  const all: Readonly<Record<string, PeerWord>> = {
    Y: word("y", 60, turnOf("leaves", 8)),
    H: word("h", 60, { ...turnOf("asks", 8), id: "10.0.0.9" }),
    F: word("f", 60),
    J: word("j", 1),
  };
  return [...known].flatMap((one) => all[one] ?? []).concat(known === "" ? [wordOf([], own + 1, true)] : []);
}

/** Every state that can follow, with whether it takes a fault. */
function successors(state: State, rules: Rules): readonly (readonly [State, "step" | "fault"])[] {
  const found: (readonly [State, "step" | "fault"])[] = [];
  const put = (index: number, change: Partial<Node>, kind: "step" | "fault" = "step") =>
    found.push([state.map((node, i) => (i === index ? { ...node, ...change } : node)), kind]);
  const dead = state.filter(({ alive }) => !alive).length;
  for (const [index, node] of state.entries()) {
    if (!node.alive) continue;
    if (dead < rules.deaths) put(index, { alive: false, mark: 0, at: 0, known: "" }, "fault");
    if (["reads", "goes", "away"].includes(node.step) && rules.deaths > 0)
      put(index, { step: "killed", at: 0, known: "" }, "fault");
    if (node.service === 1) put(index, { service: 2 });
    switch (node.step) {
      case "wants":
        put(index, { step: "reads", mark: 1, at: 0, known: "" });
        break;
      case "reads":
        read(state, { index, rules, put });
        break;
      case "goes":
        put(index, { step: "away", service: 0 });
        break;
      case "away":
        put(index, rules.returns ? { step: "done", service: 1, mark: 0 } : { step: "done", mark: 0 });
        break;
      case "killed":
        // Nobody renews its mark: it no longer counts after a while.
        if (node.mark !== 0) put(index, { mark: 0 });
        break;
      case "done":
        break;
      default:
        node.step satisfies never;
    }
  }
  return found;
}

function read(
  state: State,
  {
    index,
    rules,
    put,
  }: { index: number; rules: Rules; put: (index: number, change: Partial<Node>, kind?: "step" | "fault") => void },
): void {
  const node = state[index] ?? START;
  const peers = state.map((_, i) => i).filter((i) => i !== index);
  if (rules.coarse) {
    for (const lost of rules.losses ? [undefined, ...peers] : [undefined]) {
      const known = peers.reduce((sum, peer) => knows(sum, letter(wordOf(state, peer, peer === lost), index)), "");
      conclude(known, { index, rules, put, kind: lost === undefined ? "step" : "fault" });
    }
    return;
  }
  const peer = peers[node.at];
  if (peer === undefined) {
    conclude(node.known, { index, rules, put, kind: "step" });
    return;
  }
  put(index, { at: node.at + 1, known: knows(node.known, letter(wordOf(state, peer, false), index)) });
  if (rules.losses) put(index, { at: node.at + 1 }, "fault");
}

function conclude(
  known: string,
  {
    index,
    rules,
    put,
    kind,
  }: {
    index: number;
    rules: Rules;
    put: (index: number, change: Partial<Node>, kind?: "step" | "fault") => void;
    kind: "step" | "fault";
  },
): void {
  const decision = decide({ id: idOf(index), vips: [VIP], settleSeconds: SETTLE }, wordsFor(known, index));
  const again = { at: 0, known: "" };
  switch (decision.kind) {
    case "go":
      put(index, { ...again, step: "goes", mark: 2 }, kind);
      break;
    case "hold":
      put(index, again, kind);
      // One that does not wait for ever gives up in the end.
      if (!rules.waits) put(index, { ...again, step: "done", mark: 0 }, kind);
      break;
    default:
      put(index, { ...again, step: rules.waits ? "wants" : "done", mark: 0 }, kind);
  }
}

const keyOf = (state: State) =>
  state
    .map(
      ({ alive, service, mark, step, at, known }) =>
        `${alive ? 1 : 0}${service}${mark}${step[0]}${step[1]}${at}${known}`,
    )
    .join("|");

/** Serves nobody any more, although no node died that served: a command took the last one away. */
const isDark = (state: State) =>
  state.every(({ alive, service }) => service === 0 || !alive) &&
  state.every(({ alive, service }) => alive || service === 0);

/** All states that can be reached. Throws at the first dark one; returns how many there are, and those from which nobody gets any further. */
function explore(nodes: State, rules: Rules) {
  const start = keyOf(nodes);
  const before = new Map<string, string[]>([[start, []]]);
  const ended: string[] = [];
  const queue: State[] = [nodes];
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    if (isDark(state)) throw new Error(`nobody serves: ${keyOf(state)}`);
    const key = keyOf(state);
    if (state.every(({ alive, step }) => !alive || step === "done" || step === "killed")) ended.push(key);
    for (const [next, kind] of successors(state, rules)) {
      const to = keyOf(next);
      const known = before.get(to);
      if (known === undefined) {
        before.set(to, kind === "step" ? [key] : []);
        queue.push(next);
      } else if (kind === "step" && to !== key) known.push(key);
    }
  }
  // From the ends backwards, by steps alone: what is not met can never end without a fault.
  const met = new Set(ended);
  const back = [...ended];
  for (let key = back.pop(); key !== undefined; key = back.pop()) {
    for (const from of before.get(key) ?? []) {
      if (met.has(from)) continue;
      met.add(from);
      back.push(from);
    }
  }
  return { states: before.size, stuck: [...before.keys()].filter((key) => !met.has(key)) };
}

const cluster = (size: number, wanting: number): State => [
  ...Array.from({ length: wanting }, () => START),
  ...Array.from({ length: size - wanting }, () => BYSTANDER),
];

const NO_FAULTS = { deaths: 0, losses: false, coarse: false } as const;

test("two and three nodes that restart in turn, asking one after the other: one always serves, and all get their turn", () => {
  for (const size of [2, 3]) {
    expect(explore(cluster(size, size), { ...NO_FAULTS, returns: true, waits: true }).stuck).toEqual([]);
  }
});

test("the same with an answer lost, a node that dies, or a command that is killed at any point", () => {
  for (const waits of [true, false]) {
    explore(cluster(2, 2), { returns: true, waits, deaths: 1, losses: true, coarse: false });
    explore(cluster(2, 2), { returns: false, waits, deaths: 1, losses: true, coarse: false });
    explore(cluster(3, 2), { returns: false, waits, deaths: 1, losses: true, coarse: false });
  }
});

test("nodes that stay away: the last one stays", () => {
  for (const size of [2, 3]) explore(cluster(size, size), { ...NO_FAULTS, returns: false, waits: false });
});

test("four to six nodes that all restart at once, each asking all others in one instant", () => {
  for (const size of [4, 5, 6]) {
    expect(explore(cluster(size, size), { ...NO_FAULTS, coarse: true, returns: true, waits: true }).stuck).toEqual([]);
  }
  explore(cluster(6, 4), { deaths: 0, losses: true, coarse: true, returns: false, waits: false });
});

test("nodes asking one after the other; in a long run four with every fault, and five", () => {
  if (ROUNDS > 1) explore(cluster(4, 4), { returns: true, waits: true, deaths: 1, losses: true, coarse: false });
  const size = ROUNDS > 1 ? 5 : 3;
  expect(explore(cluster(size, size), { ...NO_FAULTS, returns: true, waits: true }).stuck).toEqual([]);
}, 600_000);

test("random walks of two to six nodes with every fault", () => {
  let seed = Number(process.env["OBER_SEED"] ?? 1);
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed / 2_147_483_648;
  };
  for (let walk = 0; walk < 400 * ROUNDS; walk++) {
    const size = 2 + (walk % 5);
    const rules = {
      returns: random() < 0.5,
      waits: random() < 0.5,
      deaths: walk % 3,
      losses: random() < 0.5,
      coarse: false,
    };
    let state: State = cluster(size, size);
    for (let step = 0; step < 200; step++) {
      if (isDark(state)) throw new Error(`nobody serves in walk ${walk}: ${keyOf(state)}`);
      const next = successors(state, rules);
      const chosen = next[Math.floor(random() * next.length)];
      if (chosen === undefined) break;
      state = chosen[0];
    }
  }
});

test("the model would see a node that leaves without asking", () => {
  const hasty: State = [
    { ...START, step: "goes", mark: 2 },
    { ...START, step: "goes", mark: 2 },
  ];
  expect(() => explore(hasty, { ...NO_FAULTS, returns: false, waits: false })).toThrow("nobody serves");
});
