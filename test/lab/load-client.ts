/**
 * The load: `bun load-client.ts PLAN-AS-JSON`, run where the clients are. Begins requests at a constant pace, each on a new
 * connection, never waiting for the one before, and prints a JSON line for each when it is over. SIGTERM ends it.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type ConnectionOptions, connect } from "node:tls";
import { type Credentials, signedHeaders } from "../../src/system/s3.ts";

export type LoadPlan = {
  readonly address: string;
  readonly port: number;
  readonly serverName: string;
  readonly caFile: string;
  readonly credentials: Credentials;
  readonly perSecond: number;
  /** A request that is not over after this time has failed. */
  readonly timeoutMs: number;
  readonly bucket: string;
  /** The object that is got, and its digest. */
  readonly object: { readonly key: string; readonly sha256: string };
  /** Every n-th request is a PUT of `putBytes`; 0 means that all are GETs. */
  readonly putEvery: number;
  readonly putBytes: number;
};

/** One finished request; times in milliseconds since 1970. `stage` is how far it came. */
export type RequestRecord = {
  readonly begin: number;
  readonly end: number;
  readonly method: "GET" | "PUT";
  readonly stage: "connecting" | "handshake" | "waiting" | "receiving" | "done";
  readonly ok: boolean;
  readonly error?: string;
};

const now = () => performance.timeOrigin + performance.now();

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] ?? "") as LoadPlan;
  const ca = readFileSync(plan.caFile, "utf8");
  const running = new Set<Promise<void>>();
  const begin = performance.now();
  let count = 0;
  const timer = setInterval(() => {
    // After a pause of this process the missed requests are begun at once: the pace holds.
    for (; count < ((performance.now() - begin) / 1000) * plan.perSecond; count++) {
      const request = ask(plan, ca, count).then((record) => {
        process.stdout.write(`${JSON.stringify(record)}\n`);
      });
      running.add(request);
      request.finally(() => running.delete(request));
    }
  }, 2);
  process.once("SIGTERM", async () => {
    clearInterval(timer);
    await Promise.all(running);
    process.exit(0);
  });
}

/** One request on a connection of its own; never rejects. */
export function ask(plan: LoadPlan, ca: string, count: number): Promise<RequestRecord> {
  const isPut = plan.putEvery > 0 && count % plan.putEvery === 0;
  const method = isPut ? "PUT" : "GET";
  const key = isPut ? `load-${count % 16}` : plan.object.key;
  const body = isPut ? Buffer.alloc(plan.putBytes, count % 251) : Buffer.alloc(0);
  const expected = isPut ? createHash("md5").update(body).digest("hex") : plan.object.sha256;
  const path = `/${plan.bucket}/${key}`;
  const begin = now();

  return new Promise((resolve) => {
    let stage: RequestRecord["stage"] = "connecting";
    const received: Buffer[] = [];
    const options: ConnectionOptions = {
      host: plan.address,
      port: plan.port,
      servername: plan.serverName,
      ca,
      ALPNProtocols: ["http/1.1"],
    };
    const socket = connect(options);
    let over = false;
    const finish = (error?: string) => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      socket.destroy();
      const outcome = error === undefined ? { ok: true } : { ok: false, error };
      resolve({ begin, end: now(), method, stage: error === undefined ? "done" : stage, ...outcome });
    };
    const timer = setTimeout(() => finish(`no answer within ${plan.timeoutMs} ms`), plan.timeoutMs);
    socket.on("connect", () => {
      stage = "handshake";
    });
    socket.on("secureConnect", () => {
      stage = "waiting";
      const { credentials, serverName: host } = plan;
      const signed = signedHeaders({ method, host, path, body, credentials, at: new Date() });
      const headers = Object.entries({ ...signed, "content-length": String(body.length), connection: "close" });
      socket.write(
        `${method} ${path} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
      );
      if (body.length > 0) socket.write(body);
    });
    socket.on("data", (chunk: Buffer) => {
      stage = "receiving";
      received.push(chunk);
      const verdict = judge(Buffer.concat(received), method, expected);
      if (verdict !== "incomplete") finish(verdict);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    socket.on("end", () => finish("closed before the end of the answer"));
    socket.on("close", () => finish("closed before the end of the answer"));
  });
}

/** Undefined for a whole and right answer, what is wrong with it, or "incomplete". */
function judge(received: Buffer, method: "GET" | "PUT", expected: string): string | undefined {
  const headEnd = received.indexOf("\r\n\r\n");
  if (headEnd < 0) return "incomplete";
  const head = received.subarray(0, headEnd).toString("latin1");
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  const content = received.subarray(headEnd + 4);
  if (content.length < length) return "incomplete";
  const status = head.split(" ")[1];
  if (status !== "200") return `status ${status}`;
  const digest =
    method === "PUT" ? /^etag: *"?(\w+)/im.exec(head)?.[1] : createHash("sha256").update(content).digest("hex");
  return digest === expected ? undefined : "wrong content";
}
