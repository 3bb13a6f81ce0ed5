/**
 * Carries out what domain/turn.ts decides, over the statistics ports of the nodes: a node leaves traffic only while another one serves, and one
 * node at a time. No node is in charge, and nothing outlives the command.
 */
import { hostname } from "node:os";
import { isHeldBack } from "../certificates/admission.ts";
import { askTurn, clusterMembers, ownServes } from "../checks/peers.ts";
import type { Config } from "../config/schema.ts";
import { TURN_KEY } from "../domain/serves.ts";
import { type Decision, decide, type PeerWord, type Turn } from "../domain/turn.ts";
import { OberError, UsageError } from "../errors.ts";
import { healthNow } from "../health/once.ts";
import { setMapKey } from "../health/serves.ts";
import { readDrainFlag } from "../system/drain-flag.ts";
import { onInterrupt } from "../system/interrupts.ts";
import type { Clock } from "../system/system.ts";
import { gatherPlace } from "./facts.ts";
import { bringsTraffic } from "./in-service.ts";
import type { Node } from "./node.ts";
import type { Teller } from "./teller.ts";

export type TurnOptions = {
  /** What the operator typed, for the other nodes and for hints: "ober restart". */
  readonly command: string;
  /** Leave although no other node serves, or another one is leaving. */
  readonly force: boolean;
  /** How long to wait for the turn; undefined to refuse at once. */
  readonly waitMs: number | undefined;
  /** Asks another node; over its statistics port unless it is given. */
  readonly ask?: typeof askTurn;
};

/** For every command that takes the node out of traffic. */
export const turnArgs = {
  waitTurn: {
    type: "string",
    valueHint: "SECONDS",
    description: "Wait until another node serves and no other leaves, instead of refusing",
  },
} as const;

/** Throws a UsageError for anything but a whole number of seconds up to a day. */
export function waitTurnMs(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (!/^\d+$/.test(given) || Number(given) > 86_400) {
    throw new UsageError(`--wait-turn "${given}" is not a number of seconds`, "give a whole number up to 86400");
  }
  return Number(given) * 1000;
}

/** An answer takes some milliseconds. */
const ASK_MS = 1000;
const POLL_MS = 200;
/** A mark counts for 15 s at the others; one that was not renewed for this long is put up and asked about anew. */
const MARK_MS = 500;
const MARK_FRESH_MS = 5000;
/** A lost answer, the moment after a reload, or a node that is about to yield: not yet a refusal. */
const PATIENCE_MS = 3000;
/** A node that was seen leaving and is silent restarts its HAProxy; one that has been so for longer is dead. */
const AWAY_MS = 60_000;

/**
 * Runs `action`, which takes this node out of traffic, in this node's turn, and tells it whether the node serves: one that does not needs no
 * turn. Throws an OberError, with nothing changed, when no other node serves its VIPs or another one leaves at the moment, and does so for
 * longer than `waitMs`.
 */
export async function inTurn<T>(
  node: Node,
  teller: Teller,
  config: Config,
  options: TurnOptions,
  action: (served: boolean) => Promise<T>,
): Promise<T> {
  const vips = await servedHere(node, config);
  if (vips.length === 0) return action(false);
  const mark = createMark(node, options.command);
  const forget = onInterrupt(() => mark.down());
  try {
    await takeTurn(node, teller, { config, vips, options, mark });
    return await action(true);
  } finally {
    await mark.down();
    forget();
  }
}

/** The VIPs that clients reach by this node. Where that is not known for sure, all that it may serve. */
async function servedHere(node: Node, config: Config): Promise<readonly string[]> {
  const { system, paths } = node;
  const [traffic, drainFlag, held, health, said] = await Promise.all([
    bringsTraffic(node, config),
    readDrainFlag(system, paths),
    isHeldBack(system, paths),
    healthNow(config.stats_port),
    ownServes(config.stats_port, ASK_MS),
  ]);
  // A HAProxy that is dead or hangs serves no client, whatever the routers believe for another moment.
  if (!traffic || drainFlag !== undefined || held || (!health.ok && health.kind !== "status")) return [];
  const every = config.vips.map(({ address }) => address);
  if (said === undefined || config.ha_mode === "keepalived") return every;
  return every.filter((vip) => said[vip] !== undefined);
}

type Mark = ReturnType<typeof createMark>;

/** The mark of this node, in HAProxy's memory, renewed as long as it is up. */
function createMark({ paths }: Node, command: string) {
  const place = { socket: paths.haproxySocket, map: paths.servesMap };
  let turn: Turn | undefined;
  let beat: Timer | undefined;
  let telling: Promise<boolean> = Promise.resolve(true);
  // One after the other: an older word that is still on its way must not overtake a newer one.
  const tell = (): Promise<boolean> => {
    telling = telling.then(() => {
      const at = Math.floor(Date.now() / 1000);
      const text = turn === undefined ? "{}" : JSON.stringify({ ...turn, command: command.replaceAll(" ", "_"), at });
      return setMapKey(place, TURN_KEY, text);
    });
    return telling;
  };
  return {
    /** Returns whether HAProxy took it: only then do the others see it. */
    up(phase: Turn["phase"], id: string): Promise<boolean> {
      turn = { phase, id, command };
      beat ??= setInterval(() => void tell(), MARK_MS);
      return tell();
    },
    /** While HAProxy is away there is nothing to take down. */
    async down(): Promise<void> {
      clearInterval(beat);
      beat = undefined;
      if (turn === undefined) return;
      turn = undefined;
      await tell();
    },
  };
}

async function takeTurn(
  node: Node,
  teller: Teller,
  work: {
    readonly config: Config;
    readonly vips: readonly string[];
    readonly options: TurnOptions;
    readonly mark: Mark;
  },
): Promise<void> {
  const { config, vips, options, mark } = work;
  const place = await gatherPlace(node, config);
  const id = place.address;
  // The mark is needed even if no node is asked: the others must not leave at the same time.
  if (options.force) return void (await mark.up("leaves", id));
  const others = clusterMembers(config, { hostname: hostname(), ...place }).filter(({ own }) => !own);
  const { clock } = node.system;
  const { ask: askOne = askTurn } = options;
  const memory = createMemory(clock);
  const ask = async () => memory.of(await Promise.all(others.map((other) => askOne(other, config.stats_port, ASK_MS))));
  const wish = { id, vips, settleSeconds: config.settle_time };
  const began = clock.now();
  let troubleSince = began;
  let last = "";
  let told = "";
  for (;;) {
    // A look before the mark goes up: a queue of nodes that wait must not hold each other up with their marks.
    const ahead = decide({ ...wish, vips: [] }, await ask());
    let decision: Decision = ahead;
    if (ahead.kind !== "yield") {
      const beganAt = clock.now();
      const isUp = await mark.up("asks", id);
      decision = isUp
        ? decide(wish, await ask())
        : { kind: "hold", because: "HAProxy of this node does not take the mark" };
      // A process that was stopped in between has lost its turn without knowing: its mark no longer counts.
      const goes = decision.kind === "go" && (await mark.up("leaves", id));
      if (goes && clock.now() - beganAt < MARK_FRESH_MS) return;
    }
    if (decision.kind !== "hold" && decision.kind !== "go") await mark.down();
    const now = clock.now();
    const because = "because" in decision ? decision.because : "";
    if (decision.kind !== last) troubleSince = now;
    last = decision.kind;
    const patience = options.waitMs ?? PATIENCE_MS + (decision.kind === "hold" ? config.settle_time * 1000 : 0);
    if (now - (options.waitMs === undefined ? troubleSince : began) > patience)
      throw refusal(decision, because, options);
    if (because !== told) teller.progress(`waiting for the turn to leave: ${because}`);
    told = because;
    await clock.sleep(POLL_MS);
  }
}

/** Remembers peers that were seen leaving and are not back yet: a HAProxy that restarts is silent for a moment. */
function createMemory(clock: Clock) {
  const leaving = new Map<string, { readonly turn: Turn; readonly at: number }>();
  return {
    of(words: readonly PeerWord[]): readonly PeerWord[] {
      const now = clock.now();
      return words.map((word) => {
        const { node, said } = word;
        if (said?.turn?.phase === "leaves") leaving.set(node, { turn: said.turn, at: now });
        if (said?.turn !== undefined) return word;
        const known = leaving.get(node);
        const isSettled = said !== undefined && (said.leaving || Object.keys(said.serves).length > 0);
        if (known === undefined || isSettled || now - known.at > AWAY_MS) {
          leaving.delete(node);
          return word;
        }
        return { node, said: { leaving: true, serves: {}, turn: known.turn } };
      });
    },
  };
}

function refusal(decision: Decision, because: string, { command, waitMs }: TurnOptions): OberError {
  const waited = waitMs === undefined ? "" : ` (waited ${Math.round(waitMs / 1000)} s)`;
  if (decision.kind === "alone") {
    return new OberError(`this node stays: ${because}${waited}`, {
      hint: `bring one of them back first (ober status --all), or leave all the same: ${command} --force`,
    });
  }
  return new OberError(`this node stays: ${because}${waited}`, {
    hint:
      waitMs === undefined
        ? `wait for the turn: ${command} --wait-turn 600`
        : `ober status --all shows who is away; ${command} --force`,
  });
}
