import { ERRNO, openConnection, type Tcp } from "./libc.ts";

/**
 * A page, or why there is none: the machine has no such source (`sourceless`) or no route (`routeless`); a router or the last link knows no way
 * (`unreachable`); the connection is refused; or nothing comes back in time.
 */
export type Fetched =
  | { readonly body: string; readonly failure?: never }
  | { readonly failure: "sourceless" | "routeless" | "unreachable" | "refused" | "silent"; readonly body?: never };

export type Place = { readonly address: string; readonly port: number; readonly path: string };

const LOOK_MS = 10;
const LARGEST = 128 * 1024;

/**
 * Fetches a page by HTTP/1.0 from an IPv4 address, from the machine's address `source` if given, within `deadlineMs`. Bun's own sockets have no
 * source and do not tell an unreachable address from one that refuses. Never throws.
 */
export async function fetchPage(place: Place, deadlineMs: number, source?: string): Promise<Fetched> {
  const connection = openConnection(place.address, place.port, source);
  if (typeof connection === "number") return { failure: "sourceless" };
  try {
    return await exchange(connection, place, performance.now() + deadlineMs);
  } finally {
    connection.close();
  }
}

async function exchange(connection: Tcp, { address, path }: Place, deadline: number): Promise<Fetched> {
  const first = connection.connect();
  if (first === -ERRNO.networkUnreachable || first === -ERRNO.hostUnreachable) return { failure: "routeless" };
  for (let state = first; state !== 0; state = connection.connect()) {
    const failure = failureOf(state);
    if (failure !== undefined) return { failure };
    if (performance.now() > deadline) return { failure: "silent" };
    await Bun.sleep(LOOK_MS);
  }
  // So short a request fits into an empty buffer as a whole.
  connection.send(new TextEncoder().encode(`GET ${path} HTTP/1.0\r\nhost: ${address}\r\nuser-agent: ober\r\n\r\n`));
  return pageIn(await read(connection, deadline));
}

async function read(connection: Tcp, deadline: number): Promise<string | Fetched> {
  const room = new Uint8Array(16 * 1024);
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const count = connection.receive(room);
    if (count === 0) return text;
    if (count > 0) text += decoder.decode(room.subarray(0, count), { stream: true });
    else if (count !== -ERRNO.again) return { failure: failureOf(count) ?? "silent" };
    if (performance.now() > deadline || text.length > LARGEST) return { failure: "silent" };
    if (count < 0) await Bun.sleep(LOOK_MS);
  }
}

/** A machine that accepts the connection and ends it without a page refuses too: HAProxy does so by its lists. */
function pageIn(text: string | Fetched): Fetched {
  if (typeof text !== "string") return text;
  const head = text.indexOf("\r\n\r\n");
  return /^HTTP\/1\.[01] 200 /.test(text) && head > 0 ? { body: text.slice(head + 4) } : { failure: "refused" };
}

/** Undefined while it is under way. */
function failureOf(state: number): Exclude<Fetched["failure"], undefined> | undefined {
  if (state === -ERRNO.inProgress) return undefined;
  if (state === -ERRNO.networkUnreachable || state === -ERRNO.hostUnreachable) return "unreachable";
  // ECONNRESET too: something is there.
  return state === -ERRNO.timedOut ? "silent" : "refused";
}
