/** One connection to a server that carries one HTTP/1.1 request at a time, for an observer: its answers are counted, not kept. */
import net from "node:net";
import tls from "node:tls";
import { withoutEscapes } from "../domain/foreign.ts";

export type LaneTarget = {
  readonly address: string;
  readonly port: number;
  /** Undefined for plain HTTP. */
  readonly tls?:
    | { readonly servername: string | undefined; readonly verify: boolean; readonly ca: string | undefined }
    | undefined;
};

export type LaneAnswer =
  | { readonly status: number; readonly node: string | undefined }
  /** Why there is none, in words or as the kernel's error code. */
  | { readonly status: undefined; readonly reason: string };

export type Lane = ReturnType<typeof openLane>;

/** The head of an answer is longer only from a server that is not the one meant. */
const LONGEST_HEAD = 128 * 1024;
/** The end of a body in chunks, without trailers. */
const LAST_CHUNK = "\r\n0\r\n\r\n";

type Head = {
  readonly status: number;
  readonly node: string | undefined;
  readonly length: number | undefined;
  readonly chunked: boolean;
  readonly close: boolean;
};

/** The head of an answer; undefined while it is not whole. `NaN` as status for what is no HTTP. Pure. */
export function headIn(text: string): { readonly head: Head; readonly bytes: number } | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const lines = text.slice(0, end);
  const header = (name: string) => new RegExp(`\\r\\n${name}: *([^\\r\\n]*)`, "i").exec(lines)?.[1]?.trim();
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(lines)?.[1] ?? Number.NaN);
  const length = /^\d{1,15}$/.exec(header("content-length") ?? "")?.[0];
  const empty = status === 204 || status === 304;
  return {
    head: {
      status,
      node: header("x-ober-node"),
      length: empty ? 0 : length === undefined ? undefined : Number(length),
      chunked: /chunked/i.test(header("transfer-encoding") ?? ""),
      close: /close/i.test(header("connection") ?? "") || lines.startsWith("HTTP/1.0"),
    },
    bytes: end + 4,
  };
}

/** Connects with the first request. Never throws. */
export function openLane(target: LaneTarget) {
  let socket: net.Socket | undefined;
  let closed = false;
  let waiting: { readonly settle: (answer: LaneAnswer) => void } | undefined;
  let text = "";
  let head: Head | undefined;
  let body = 0;
  let tail = "";

  const end = () => {
    closed = true;
    socket?.destroy();
  };
  const settle = (answer: LaneAnswer) => {
    const asked = waiting;
    waiting = undefined;
    asked?.settle(answer);
  };
  const fail = (reason: string) => {
    end();
    settle({ status: undefined, reason });
  };
  const whole = () => {
    if (head === undefined) return;
    const { status, node, close } = head;
    if (close) end();
    settle({ status, node });
  };
  /** The head, as far as it is here; returns what follows it. */
  const takeHead = (chunk: string): string | undefined => {
    text += chunk;
    const found = headIn(text);
    if (found === undefined && text.length > LONGEST_HEAD) fail("no HTTP");
    if (found === undefined) return undefined;
    const rest = text.slice(found.bytes);
    text = "";
    if (Number.isNaN(found.head.status)) {
      fail("no HTTP");
      return undefined;
    }
    // A 100 Continue comes before the answer.
    if (found.head.status < 200) return takeHead(rest);
    head = found.head;
    // An empty body in chunks begins with its last one.
    tail = "\r\n";
    return rest;
  };
  const take = (chunk: string) => {
    if (waiting === undefined) return fail("an answer to no request");
    const part = head === undefined ? takeHead(chunk) : chunk;
    if (part === undefined || head === undefined) return;
    body += part.length;
    tail = `${tail}${part}`.slice(-LAST_CHUNK.length);
    const over = head.chunked ? tail === LAST_CHUNK : head.length !== undefined && body >= head.length;
    if (over) whole();
  };
  const connect = (): net.Socket => {
    const { address: host, port, tls: secure } = target;
    const made =
      secure === undefined
        ? net.connect({ host, port })
        : tls.connect({
            host,
            port,
            rejectUnauthorized: secure.verify,
            ALPNProtocols: ["http/1.1"],
            ...(secure.ca === undefined ? {} : { ca: secure.ca }),
            ...(secure.servername === undefined ? {} : { servername: secure.servername }),
          });
    // Each byte is one character: only lengths and the head matter.
    made.setEncoding("latin1");
    made.on("data", (chunk: string) => take(chunk));
    made.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? withoutEscapes(error.message)));
    made.on("close", () => {
      closed = true;
      // A body without a length ends with its connection.
      if (head !== undefined && !head.chunked && head.length === undefined) whole();
      else settle({ status: undefined, reason: "the connection was closed" });
    });
    return made;
  };

  return {
    isClosed: () => closed,
    isBusy: () => waiting !== undefined,
    /** Sends a whole request; the answer, or why there was none within `timeoutMs`. One at a time. */
    send(request: string, timeoutMs: number): Promise<LaneAnswer> {
      return new Promise((resolve) => {
        const timer = setTimeout(() => fail(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
        waiting = {
          settle(answer) {
            clearTimeout(timer);
            resolve(answer);
          },
        };
        [text, head, body, tail] = ["", undefined, 0, ""];
        if (socket === undefined) {
          socket = connect();
          socket.once(target.tls === undefined ? "connect" : "secureConnect", () => socket?.write(request));
        } else {
          socket.write(request);
        }
      });
    },
    close: end,
  };
}
