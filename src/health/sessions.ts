/**
 * ExaBGP's reports on its sessions (`neighbor-changes` in its configuration): which are connected, and why a session ended.
 * Outside its debug level it reports this only here, and only a router's NOTIFICATION reveals a wrong AS number.
 */
export type SessionState = {
  readonly neighbor: string;
  /** ExaBGP's words: TCP is "connected" before BGP is "up". */
  readonly state: "connected" | "up" | "down";
  readonly since: string;
  /** Why it last went down, in ExaBGP's words. A NOTIFICATION is kept in preference to later plain failures. Absent while it is up. */
  readonly reason?: string;
};

export type Sessions = {
  /** Takes a line from ExaBGP. Returns the session that it is about, and whether it came up or went down. */
  hear(line: string, at: Date): { readonly turned: SessionState | undefined } | undefined;
  /** Adds earlier knowledge; reports heard since take precedence. */
  adopt(states: readonly SessionState[]): void;
  readonly states: readonly SessionState[];
};

/** More neighbors than any node has: ExaBGP may also listen, and any machine may connect. */
const MOST_NEIGHBORS = 64;

export function createSessions(): Sessions {
  const states = new Map<string, SessionState>();
  return {
    hear(line, at) {
      const [, neighbor = "", word, said] = /^neighbor (\S+) (connected|up|down)(?: - (.*))?$/.exec(line) ?? [];
      if (word === undefined) return undefined;
      const state = word as SessionState["state"];
      const before = states.get(neighbor);
      if (before === undefined && states.size >= MOST_NEIGHBORS) return { turned: undefined };
      const reason = state === "up" ? undefined : weightier(before?.reason, said && reasonIn(said));
      // Another attempt is not a change: the session has been down since it went down.
      const since = before && isUp(before.state) === isUp(state) ? before.since : at.toISOString();
      const now = { neighbor, state, since, ...(reason === undefined ? {} : { reason }) };
      states.set(neighbor, now);
      return { turned: isUp(before?.state ?? "down") === isUp(state) ? undefined : now };
    },
    adopt(former) {
      for (const state of former.slice(0, MOST_NEIGHBORS))
        if (!states.has(state.neighbor)) states.set(state.neighbor, state);
    },
    get states() {
      return [...states.values()];
    },
  };
}

const isUp = (state: SessionState["state"]) => state === "up";

/** An expired hold time means a broken path or a firewall; the others name something that is configured. */
export const TELLING = /^NOTIFICATION(?!.*hold time expired)/;

function weightier(before: string | undefined, now: string | undefined): string | undefined {
  if (now === undefined) return before;
  return before !== undefined && TELLING.test(before) && !TELLING.test(now) ? before : now;
}

/** ExaBGP's own words are short; the rest comes from a router. */
const LONGEST_REASON = 1024;

/** `peer reset, message [notification received (2,2)] error[...]` in a few words. */
export function reasonIn(line: string): string {
  const said = line.slice(0, LONGEST_REASON);
  const [, direction, code, subcode] = /notification (received|sent)\D*\((\d+),(\d+)\)/i.exec(said) ?? [];
  // A Cease by ExaBGP itself, such as at a reload, explains nothing.
  if (direction === "sent" && code === "6") return "ended by this node";
  if (direction !== undefined) return `NOTIFICATION ${direction}: ${meaningOf(Number(code), Number(subcode))}`;
  const error = /error\[(.*)\]$/.exec(said)?.[1];
  return (error ?? said).replace(/\p{Cc}+/gu, " ").slice(0, 200);
}

/** Meanings by RFC 4271, section 4.5, and RFC 4486, 8538 and 9384 for code 6: those that a wrong configuration causes. */
const MEANINGS: Readonly<Record<string, string>> = {
  "2,2": "the AS number is not the one that the other side expects",
  "2,3": "the router id is refused",
  "2,4": "an optional parameter is refused",
  "2,5": "authentication failed",
  "2,6": "the hold time is refused",
  "2,7": "a capability is refused",
  "4,0": "the hold time expired",
  "6,0": "the router ended it (BFD lost the node, or it was reset there)",
  "6,1": "too many prefixes",
  "6,2": "the session is shut down on the router",
  "6,3": "the neighbor was removed on the router",
  "6,4": "the session was reset on the router",
  "6,5": "the router rejects this connection",
  "6,7": "two connections at once",
  "6,9": "the router was reset",
  "6,10": "BFD lost the node",
};

/** The meaning of a NOTIFICATION with these numbers. */
export function meaningOf(code: number, subcode: number): string {
  return MEANINGS[`${code},${subcode}`] ?? `code ${code}, subcode ${subcode}`;
}
