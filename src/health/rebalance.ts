import { IDENTITY_PATH, type Load, loadIn, SHED_KEY, SHED_UNTIL_KEY } from "../domain/serves.ts";
import { type MapPlace, setMapKey } from "./serves.ts";

/**
 * Brings load to a node that returned: docs/decisions/rebalance.md. Clients that keep their connections would stay where they are, so for some
 * minutes a node with more than its share closes some connections, each after a complete response.
 */
export type Rebalance = {
  /** Call each second. Never throws, and never waits. */
  beat(): void;
};

/** What another node last said of its load. */
export type LoadSaid = { readonly load: Load | undefined; readonly answeredAt: number | undefined };

/** Seconds after its return for which a node draws connections from the others. */
export const RETURNED = 180;
/** So far above the mean (a share of it, and connections) a node closes none: no spread of connections is exact. */
const TOLERANCE = 0.04;
const TOLERATED = 1;
/** Seconds in which the connections above the mean would be closed at the first second's pace. */
const SPREAD = 8;
/** Connections a second that a node closes at most: each costs clients and nodes a TLS handshake. */
const MOST_CLOSED = 200;
/** Responses of a thousand that end their connection at most. */
const MOST_SHARE = 250;
/** Seconds after which HAProxy closes no more by itself, should the health loop have ended. */
const HOLDS = 5;
/** Milliseconds for which another node's word counts; it is asked every two seconds. */
const FRESH_MS = 5_000;
const ASK_MS = 500;

/** The share of responses, in thousandths, after which this node closes the connection. Pure. */
export function shareToClose(own: Load, others: readonly Load[]): number {
  const returned = others.some(({ age }) => age < RETURNED && age < own.age);
  if (!returned) return 0;
  const nodes = [own, ...others];
  const mean = nodes.reduce((sum, { connections }) => sum + connections, 0) / nodes.length;
  const above = own.connections - mean;
  if (above <= Math.max(TOLERATED, mean * TOLERANCE)) return 0;
  // Of n connections that are closed, one comes back here.
  const leaving = (nodes.length - 1) / nodes.length;
  const aSecond = Math.min(MOST_CLOSED, above / leaving / SPREAD);
  return Math.min(MOST_SHARE, Math.ceil((1000 * aSecond) / Math.max(1, own.requests)));
}

export function createRebalance(
  place: MapPlace,
  port: number,
  { said, log }: { readonly said: () => readonly LoadSaid[]; readonly log: (line: string) => void },
): Rebalance {
  let busy = false;
  let share = 0;

  const look = async () => {
    const others = said().flatMap(({ load, answeredAt }) =>
      load === undefined || answeredAt === undefined || performance.now() - answeredAt > FRESH_MS ? [] : [load],
    );
    const before = share;
    share = others.some(({ age }) => age < RETURNED) ? shareOf(await ownLoad(port), others) : 0;
    if (share === 0 && before === 0) return;
    // The time first: a share without it would be nobody's.
    if (share > 0) await setMapKey(place, SHED_UNTIL_KEY, String(Math.floor(Date.now() / 1000) + HOLDS));
    await setMapKey(place, SHED_KEY, String(share));
    if (share > 0 && before === 0)
      log("a node returned: some connections are closed after a response, until load is even");
    if (share === 0) log("connections are kept again");
  };

  return {
    beat() {
      if (busy) return;
      busy = true;
      void look().finally(() => {
        busy = false;
      });
    },
  };
}

const shareOf = (own: Load | undefined, others: readonly Load[]) => (own === undefined ? 0 : shareToClose(own, others));

/** What this node's HAProxy says of it. */
async function ownLoad(port: number): Promise<Load | undefined> {
  // Loaded when a node has returned, not before the first decision.
  const { fetchPage } = await import("./fetch.ts");
  const { body } = await fetchPage({ address: "127.0.0.1", port, path: IDENTITY_PATH }, ASK_MS);
  return body === undefined ? undefined : loadIn(body);
}
