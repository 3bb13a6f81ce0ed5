import {
  CANARY_PATH,
  CANARY_TEXT,
  type CanaryFault,
  type CanaryWord,
  canaryIn,
  IDENTITY_PATH,
} from "../domain/serves.ts";
import type { Dialog } from "./dialog.ts";
import type { Fetched } from "./fetch.ts";
import { type Event, INITIAL, type Phase, step } from "./machine.ts";
import type { LoopOptions, Vip } from "./options.ts";
import type { ProbeResult } from "./probe.ts";
import { actionOf } from "./routes.ts";
import type { CanaryState } from "./state.ts";

/**
 * This node's canary address, and what it sees of the others': docs/decisions/canary.md. It is announced while HAProxy answers, RGWs or not, and
 * decides nothing about the VIPs.
 */
export type Canary = {
  readonly vip: Vip;
  /** After each check of a group: announces the canary, or withdraws it. */
  checked(phase: Phase, result: ProbeResult): void;
  /** Withdraws it for good. */
  stop(): void;
  /** Call each second: fetches those canaries whose turn it is. `isRouted`: whether a router has a session. */
  beat(isRouted: boolean): void;
  /** What the other nodes are told; undefined while it is not announced to any router. */
  readonly word: CanaryWord | undefined;
  readonly state: CanaryState;
};

/** What another node last said of canaries. */
export type CanarySaid = {
  readonly address: string;
  readonly canary: CanaryWord | undefined;
  readonly answeredAt: number | undefined;
};

/** Beats between two fetches of a canary: while all is well, and while it is in doubt. So a fault has its name after about 12 s, all deadlines included. */
const CALM_BEATS = 3;
const DOUBT_BEATS = 1;
/** So many failures in a row are a fault. */
const FAILURES = 3;
const ASK_MS = 1_000;
/** Its node is on this one's network, or near it. */
const CONFIRM_MS = 500;
/** A router needs some time to take a route. Milliseconds that this node's own must have been announced before it fetches the others'. */
const SETTLED_MS = 5_000;
/** For so long (milliseconds) a node's word about this one's canary counts; it is asked every two seconds. */
const SAID_MS = 10_000;

type Sighting = {
  /** The canary that its node last said to announce; undefined while it announces none. */
  address: string | undefined;
  wait: number;
  failures: number;
  fault: CanaryFault | undefined;
  /** Undefined until the first fetch has ended well or as a fault. */
  since: string | undefined;
};

/** The canary address as the dialog with ExaBGP has it. */
export const canaryVip = (address: string): Vip => ({ address, prefix: `${address}/32`, group: "", canary: true });

export function createCanary(
  vip: Vip,
  options: Pick<LoopOptions, "rise" | "fall" | "url">,
  dialog: Pick<Dialog, "tell" | "of">,
  { said, changed }: { readonly said: () => readonly CanarySaid[]; readonly changed: () => void },
): Canary {
  const sightings = new Map<string, Sighting>();
  const voices = new Map<string, { fault: CanaryFault | undefined; since: string }>();
  let state = INITIAL;
  let routedAt: number | undefined;
  let trouble: CanaryState["trouble"];
  const isAnnounced = () => {
    const { wish, acknowledged } = dialog.of(vip);
    return wish === "announce" && acknowledged;
  };

  const advance = (event: Event, last?: "last") => {
    const [next, transition] = step(state, event, options);
    state = next;
    const action = transition && actionOf(transition);
    if (action !== undefined) dialog.tell([vip], action, performance.now(), last);
  };

  const look = async (node: string, sighting: Sighting, address: string) => {
    const fault = await faultOf({
      node,
      address,
      port: options.url.port,
      source: vip.address,
      doubted: sighting.failures > 0,
    });
    trouble = fault === "sourceless" || fault === "routeless" ? fault : undefined;
    // Its node may have left meanwhile.
    if (sighting.address !== address || trouble !== undefined || fault === "left") return;
    const seen = fault as CanaryFault | undefined;
    sighting.failures = seen === undefined ? 0 : Math.min(sighting.failures + 1, FAILURES);
    sighting.wait = seen === undefined ? CALM_BEATS : DOUBT_BEATS;
    if (seen !== undefined && sighting.failures < FAILURES) return;
    if (sighting.since !== undefined && seen === sighting.fault) return;
    Object.assign(sighting, { fault: seen, since: new Date().toISOString() });
    changed();
  };

  return {
    vip,
    checked(phase, result) {
      const event = eventOf(phase, result);
      if (event !== undefined) advance(event);
    },
    stop() {
      advance({ type: "stop", cause: "" }, "last");
    },
    beat(isRouted) {
      routedAt = isRouted && isAnnounced() ? (routedAt ?? performance.now()) : undefined;
      hearVoices();
      const settled = routedAt !== undefined && performance.now() - routedAt >= SETTLED_MS;
      for (const { address: node, canary } of said()) {
        const sighting = sightingOf(node, settled ? canary?.address : undefined);
        if (sighting.address === undefined) continue;
        sighting.wait -= 1;
        if (sighting.wait > 0) continue;
        // One fetch at a time: it sets the next one's turn.
        sighting.wait = Number.POSITIVE_INFINITY;
        void look(node, sighting, sighting.address).finally(() => {
          if (sighting.wait === Number.POSITIVE_INFINITY) sighting.wait = DOUBT_BEATS;
        });
      }
    },
    get word() {
      if (routedAt === undefined) return undefined;
      const unseen = [...sightings.values()].flatMap(({ address, fault }) =>
        address === undefined || fault === undefined ? [] : [[address, fault] as const],
      );
      return { address: vip.address, unseen: Object.fromEntries(unseen) };
    },
    get state() {
      const seen = [...sightings].flatMap(([node, { address, fault, since }]) =>
        address === undefined || since === undefined ? [] : [{ node, address, since, ...outcome(fault) }],
      );
      const seenBy = [...voices].map(([node, { fault, since }]) => ({ node, since, ...outcome(fault) }));
      const own = { address: vip.address, announced: isAnnounced(), ...(trouble === undefined ? {} : { trouble }) };
      return { ...own, seen, seenBy };
    },
  };

  /** The node's sighting, anew where it announces another canary than before, or none. */
  function sightingOf(node: string, address: string | undefined): Sighting {
    const known = sightings.get(node);
    if (known !== undefined && known.address === address) return known;
    const fresh = { address, wait: CALM_BEATS, failures: 0, fault: undefined, since: undefined };
    sightings.set(node, fresh);
    if (known?.since !== undefined) changed();
    return fresh;
  }

  /** What the others, of those that look, say of this node's canary. */
  function hearVoices(): void {
    for (const { address: node, canary, answeredAt } of said()) {
      const isFresh = answeredAt !== undefined && performance.now() - answeredAt <= SAID_MS;
      const before = voices.get(node);
      if (!isFresh || canary === undefined || routedAt === undefined) {
        if (voices.delete(node)) changed();
        continue;
      }
      const fault = canary.unseen[vip.address];
      if (before !== undefined && before.fault === fault) continue;
      voices.set(node, { fault, since: new Date().toISOString() });
      changed();
    }
  }
}

const outcome = (fault: CanaryFault | undefined) => (fault === undefined ? { ok: true } : { ok: false, reason: fault });

/** What a check of HAProxy, in the phase of its group, means for the canary; undefined for nothing. HAProxy that answers 503 answers. Pure. */
export function eventOf(phase: Phase, result: ProbeResult): Event | undefined {
  if (phase === "unknown" || phase === "stopped") return undefined;
  if (phase === "drained") return { type: "drained", cause: "" };
  if (result.ok || result.kind === "status") return { type: "up" };
  return { type: result.kind === "refused" ? "dead" : "down", cause: "" };
}

/** `sourceless` and `routeless`: this machine cannot ask at all. */
type Outcome = CanaryFault | undefined | "left" | "sourceless" | "routeless";
type Asked = {
  readonly node: string;
  readonly address: string;
  readonly port: number;
  readonly source: string;
  readonly doubted: boolean;
};

/**
 * Fetches a canary from this node's own: so both ways lead through the routers, and no router tells this node of a shorter one. When it fails,
 * the node is asked at its own address: `left` where it says that it does not announce (any longer).
 */
async function faultOf({ node, address, port, source, doubted }: Asked): Promise<Outcome> {
  // Loaded with the first fetch, not before the first decision.
  const { fetchPage } = await import("./fetch.ts");
  const askOwn = () => fetchPage({ address: node, port, path: IDENTITY_PATH }, CONFIRM_MS);
  // One that failed before is asked for at both addresses at once, so that the fault has its name sooner.
  const early = doubted ? askOwn() : undefined;
  const { body, failure } = await fetchPage({ address, port, path: CANARY_PATH }, ASK_MS, source);
  if (body !== undefined && body.trim() === `${CANARY_TEXT} ${node}`) return undefined;
  if (failure === "sourceless" || failure === "routeless") return failure;
  const own = await (early ?? askOwn());
  return faultIn({ failure, own, address });
}

/** The fault, from how the canary failed (undefined: something else answered) and what its node says at its own address. Pure. */
export function faultIn({
  failure,
  own,
  address,
}: {
  readonly failure: "unreachable" | "refused" | "silent" | undefined;
  readonly own: Fetched;
  readonly address: string;
}): CanaryFault | "left" {
  if (own.failure === "silent" || own.failure === "unreachable") return "down";
  if (own.body === undefined || canaryIn(own.body)?.address !== address) return "left";
  return failure ?? "stranger";
}
