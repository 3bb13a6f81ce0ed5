import type { Socket } from "bun";
import type { Target } from "./options.ts";

/**
 * One check of HAProxy over a keep-alive connection, as raw HTTP/1.1, which starts faster than `fetch` or `node:net`. The
 * idle connection is the sentinel: the kernel closes it the moment HAProxy dies, so a crash is an event.
 *
 * The kinds of failure:
 * - "refused": nothing listens. HAProxy is dead, at once.
 * - "closed": the connection broke before the answer. A dying process closes its descriptors in any order, and a reload
 *   closes connections that it has not served, so this proves nothing: ask again at once.
 * - "timeout", "status", "malformed": an ordinary failure.
 */
export type ProbeResult =
  | { readonly ok: true; readonly servers?: Servers; readonly latencyMs: number }
  | {
      readonly ok: false;
      readonly kind: "refused" | "closed" | "timeout" | "status" | "malformed";
      readonly reason: string;
      readonly latencyMs: number;
    };

/** How many RGWs answer, and the marks of `min_servers`: below `low` the node is the last choice, from `high` on it is as good as any. */
export type Servers = { readonly alive: number; readonly low: number; readonly high: number };

export type Prober = {
  /** Asks once. Network failures never throw. One call at a time. */
  probe(timeoutMs: number): Promise<ProbeResult>;
  /** Ends the connection without calling `onLost`. */
  close(): void;
};

type Connection = {
  /** The socket once it is open. */
  socket: Socket<Connection> | undefined;
  /** The bytes received since the last request. */
  received: string;
  /** Ends the probe that waits on this connection; absent while it is idle. */
  settle: ((result: Outcome) => void) | undefined;
};

/** A result without its latency, which only `probe` knows. */
type Outcome =
  | { ok: true; servers?: Servers }
  | { ok: false; kind: Exclude<ProbeResult, { ok: true }>["kind"]; reason: string };

/** More than any answer to `/health`; a server that sends more is not ours. */
const LONGEST_ANSWER = 16_384;

/** A prober of `target`. Calls `onLost` when the idle connection ends: the server is gone, or reloads. */
export function createProber(target: Target, onLost: () => void): Prober {
  const request = `GET ${target.path} HTTP/1.1\r\nhost: ${target.host}\r\nuser-agent: ober\r\n\r\n`;
  let held: Connection | undefined;

  const drop = (connection: Connection) => {
    if (held === connection) held = undefined;
    const { socket } = connection;
    connection.socket = undefined;
    socket?.terminate();
  };

  const end = (connection: Connection, outcome: Outcome) => {
    const { settle } = connection;
    connection.settle = undefined;
    settle?.(outcome);
  };

  const lost = (connection: Connection, reason: string) => {
    const idle = connection.settle === undefined && held === connection;
    drop(connection);
    end(connection, { ok: false, kind: "closed", reason });
    if (idle) onLost();
  };

  const handlers = {
    open(socket: Socket<Connection>) {
      const connection = socket.data;
      // The probe timed out while connecting.
      if (connection.settle === undefined) {
        socket.terminate();
        return;
      }
      connection.socket = socket;
      socket.write(request);
    },
    data(socket: Socket<Connection>, chunk: Buffer) {
      const connection = socket.data;
      connection.received += chunk.toString("latin1");
      const answer = readAnswer(connection.received);
      if (answer === undefined) return;
      const unasked = connection.settle === undefined;
      connection.received = "";
      // Settle before dropping the connection, which would count as an end without an answer.
      end(connection, answer.outcome);
      if (answer.last || unasked) drop(connection);
    },
    end(socket: Socket<Connection>) {
      lost(socket.data, "HAProxy closed the connection");
    },
    close(socket: Socket<Connection>) {
      lost(socket.data, "HAProxy closed the connection");
    },
    error(socket: Socket<Connection>, error: Error) {
      lost(socket.data, `the connection to HAProxy failed: ${error.message}`);
    },
    connectError(socket: Socket<Connection>, error: Error & { code?: string }) {
      const connection = socket.data;
      if (held === connection) held = undefined;
      end(connection, connectFailure(error, target));
    },
  };

  const connect = (settle: (outcome: Outcome) => void) => {
    const connection: Connection = { socket: undefined, received: "", settle };
    held = connection;
    // `connectError` has already reported the error with which this promise rejects.
    Bun.connect<Connection>({ hostname: target.host, port: target.port, data: connection, socket: handlers }).catch(
      (error) => end(connection, connectFailure(error, target)),
    );
    return connection;
  };

  return {
    async probe(timeoutMs) {
      const startedAt = performance.now();
      const outcome = await new Promise<Outcome>((resolve) => {
        let connection: Connection;
        const timer = setTimeout(() => {
          connection.settle = undefined;
          drop(connection);
          resolve({ ok: false, kind: "timeout", reason: `no answer from ${target.text} within ${timeoutMs} ms` });
        }, timeoutMs);
        const settle = (result: Outcome) => {
          clearTimeout(timer);
          resolve(result);
        };
        if (held?.socket) {
          connection = held;
          connection.settle = settle;
          connection.received = "";
          held.socket.write(request);
        } else {
          connection = connect(settle);
        }
      });
      return { ...outcome, latencyMs: performance.now() - startedAt };
    },
    close() {
      if (held) drop(held);
    },
  };

  function connectFailure(error: Error & { code?: string }, { text }: Target): Outcome {
    if (error.code === "ECONNREFUSED") return { ok: false, kind: "refused", reason: `nothing listens at ${text}` };
    return { ok: false, kind: "closed", reason: `cannot connect to ${text}: ${error.message}` };
  }
}

/** The answer in `text`; undefined while it is incomplete. `last`: the connection cannot be used again. */
export function readAnswer(text: string): { readonly outcome: Outcome; readonly last: boolean } | undefined {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) {
    return text.length > LONGEST_ANSWER ? { outcome: malformed("an endless header"), last: true } : undefined;
  }
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1];
  if (status === undefined) return { outcome: malformed("something that is not HTTP/1"), last: true };
  const head = text.slice(0, headEnd).toLowerCase();
  const length = /\r\ncontent-length: *(\d+)/.exec(head)?.[1];
  const last = length === undefined || Number(length) > LONGEST_ANSWER || /\r\nconnection: *close/.test(head);
  if (!last && text.length < headEnd + 4 + Number(length)) return undefined;
  if (status === "200") return { outcome: { ok: true, ...serversIn(text.slice(headEnd + 4)) }, last };
  return { outcome: { ok: false, kind: "status", reason: `HAProxy answers ${status}` }, last };
}

/** `up ALIVE LOW HIGH`, as HAProxy says for a group with `min_servers`; without one it says `up`. */
function serversIn(body: string): { readonly servers?: Servers } {
  const [alive, low, high] = (/^up (\d{1,6}) (\d{1,6}) (\d{1,6})\n/.exec(body) ?? []).slice(1).map(Number);
  return alive === undefined || low === undefined || high === undefined ? {} : { servers: { alive, low, high } };
}

/** What a check says while HAProxy has no RGW to send a request to. */
export const NO_RGW = "HAProxy answers 503";

function malformed(what: string): Outcome {
  return { ok: false, kind: "malformed", reason: `the health address answers ${what}` };
}
