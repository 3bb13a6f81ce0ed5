/**
 * Long transfers: `bun transfer-client.ts PLAN-AS-JSON`, run where the clients are. Keeps a number of uploads and downloads in
 * flight, each on a TLS connection of its own and at a constant pace, and begins short requests beside them, on new and on
 * kept connections. Prints a JSON line for each when it is over. The backend is backend.ts; every byte is checked by digest.
 * SIGTERM: no new ones, then the end.
 */
import { readFileSync } from "node:fs";
import type { TLSSocket } from "node:tls";
import { bodyDigest } from "./backend.ts";
import { connection, exchange, type Outcome } from "./exchange.ts";

export type TransferPlan = {
  /** VIPs, used in turn. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly serverName: string;
  readonly caFile: string;
  /** Transfers in flight, half of them uploads. */
  readonly inFlight: number;
  /** How long a transfer takes at least and at most. */
  readonly seconds: readonly [least: number, most: number];
  readonly bytesPerSecond: number;
  /** Short requests begun each second, each on a new connection. */
  readonly shortPerSecond: number;
  /** Connections that carry short requests one after the other, with a pause in between. */
  readonly kept: number;
  readonly keptPauseMs: number;
  /** One upload of so many bytes after the other, at this pace; 0 for none. */
  readonly large: { readonly bytes: number; readonly bytesPerSecond: number };
};

/** Times in milliseconds since 1970. */
export type TransferRecord = {
  readonly begin: number;
  readonly end: number;
  readonly kind: "upload" | "download" | "short" | "kept" | "large";
  readonly address: string;
  readonly ok: boolean;
  readonly error?: string;
};

type Wanted = {
  readonly kind: TransferRecord["kind"];
  readonly method: "GET" | "PUT";
  readonly bytes: number;
  readonly digest: string;
  readonly bytesPerSecond?: number;
};

const SHORT_BYTES = 1024;
/** A kept connection ends after so many requests, as many clients' do. */
const KEPT_REQUESTS = 20;
const UPLOAD = { kind: "upload", method: "PUT" } as const;
const DOWNLOAD = { kind: "download", method: "GET" } as const;
const now = () => performance.timeOrigin + performance.now();

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] ?? "") as TransferPlan;
  const client = clientOf(plan);
  const large = plan.large.bytes > 0 ? client.large(bodyDigest(plan.large.bytes)) : undefined;
  const kept = Array.from({ length: plan.kept }, (_, index) => client.kept(index));
  const timer = client.short();
  process.once("SIGTERM", async () => {
    clearInterval(timer);
    await client.stop();
    await Promise.all([large, ...kept]);
    process.exit(0);
  });
  for (let index = 0; index < plan.inFlight; index++) {
    client.place(index);
    if (index % 20 === 19) await Bun.sleep(100);
  }
}

function clientOf(plan: TransferPlan) {
  const server = { port: plan.port, serverName: plan.serverName, ca: readFileSync(plan.caFile, "utf8") };
  const shortDigest = bodyDigest(SHORT_BYTES);
  const running = new Set<Promise<void>>();
  let [count, stopping] = [0, false];
  const nextAddress = () => plan.addresses[count++ % plan.addresses.length] ?? "";
  const request = async (socket: TLSSocket | string, address: string, wanted: Wanted & { last: boolean }) => {
    const begin = now();
    const { kind } = wanted;
    const failed = (error: string): Outcome => ({ error, closes: true });
    const outcome =
      typeof socket === "string" ? failed(socket) : await exchange(socket, { ...wanted, host: plan.serverName });
    const { error } = outcome;
    const verdict = error === undefined ? { ok: true } : { ok: false, error };
    process.stdout.write(`${JSON.stringify({ begin, end: now(), kind, address, ...verdict })}\n`);
    return outcome;
  };
  /** A request on a connection of its own. */
  const alone = (wanted: Wanted): Promise<void> => {
    const whole = (async () => {
      const address = nextAddress();
      const socket = await connection({ ...server, address });
      await request(socket, address, { ...wanted, last: true });
      if (typeof socket !== "string") socket.destroy();
    })();
    running.add(whole);
    return whole.finally(() => running.delete(whole));
  };
  const shortOf = (index: number, kind: "short" | "kept"): Wanted => {
    return { kind, method: index % 2 === 0 ? "GET" : "PUT", bytes: SHORT_BYTES, digest: shortDigest };
  };
  return {
    /** One place among those in flight: a transfer after the other. */
    async place(index: number) {
      const [least, most] = plan.seconds;
      const { bytesPerSecond } = plan;
      while (!stopping) {
        // Spread over the whole span, so that they do not begin and end together.
        const seconds = least + ((index * 7 + count) % 97) * ((most - least) / 96);
        const bytes = Math.round(seconds * bytesPerSecond);
        const way = index % 2 === 0 ? UPLOAD : DOWNLOAD;
        await alone({ ...way, bytes, digest: bodyDigest(bytes), bytesPerSecond });
      }
    },
    /** Requests on one connection, and then on the next, until each ends by its own number or by the server's word. */
    async kept(index: number) {
      // So that they do not all ask at the same moments.
      await Bun.sleep((index / plan.kept) * plan.keptPauseMs);
      while (!stopping) {
        const address = nextAddress();
        const socket = await connection({ ...server, address });
        for (let left = KEPT_REQUESTS; left > 0 && !stopping; left--) {
          const { closes } = await request(socket, address, { ...shortOf(left, "kept"), last: left === 1 });
          await Bun.sleep(plan.keptPauseMs);
          // An end between two requests is the server's right: whoever sees it makes a new connection.
          if (closes || typeof socket === "string" || socket.destroyed) break;
        }
        if (typeof socket !== "string") socket.destroy();
      }
    },
    async large(digest: string) {
      while (!stopping) await alone({ kind: "large", method: "PUT", digest, ...plan.large });
    },
    short() {
      const began = performance.now();
      let begun = 0;
      return setInterval(() => {
        for (; begun < ((performance.now() - began) / 1000) * plan.shortPerSecond; begun++) {
          alone(shortOf(begun, "short"));
        }
      }, 5);
    },
    async stop() {
      stopping = true;
      while (running.size > 0) await Promise.all(running);
    },
  };
}
