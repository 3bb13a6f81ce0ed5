/**
 * Connections that are only held: `bun hold-client.ts PLAN-AS-JSON`. Idle ones carry a short request each `pauseMs`, active ones an upload that
 * goes on in small pieces until SIGTERM; then every idle one carries a last request, and every upload comes to its end. The backend is
 * backend.ts; every byte is checked by digest. Prints a JSON line (HoldReport) each second and at the end.
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { TLSSocket } from "node:tls";
import { bodyDigest } from "./backend.ts";
import { connection, exchange } from "./exchange.ts";

export type HoldPlan = {
  readonly address: string;
  readonly port: number;
  readonly serverName: string;
  readonly caFile: string;
  readonly idle: number;
  readonly active: number;
  /** Connections that are being opened at a time. */
  readonly opening: number;
  readonly pauseMs: number;
};

/** How many are open and have been answered, and what failed, by its words. */
export type HoldReport = {
  readonly idle: number;
  readonly active: number;
  readonly requests: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly over: boolean;
};

const SHORT = { method: "GET", bytes: 1024, digest: bodyDigest(1024), last: false } as const;
const PIECE = Buffer.alloc(1024, "ober");
/** Of an upload: more than any test waits for, all of it sent at the end. */
const PIECES = 40;

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] ?? "") as HoldPlan;
  const server = { ...plan, ca: readFileSync(plan.caFile, "utf8") };
  const digest = createHash("sha256")
    .update(Buffer.concat(Array(PIECES).fill(PIECE)))
    .digest("hex");
  const failed: Record<string, number> = {};
  let [idle, active, requests] = [0, 0, 0];
  let stop = () => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  let stopping = false;
  const pause = (ms: number) => Promise.race([Bun.sleep(ms), stopped]);
  const fail = (what: string) => {
    failed[what] = (failed[what] ?? 0) + 1;
  };
  const tell = (over: boolean) =>
    process.stdout.write(`${JSON.stringify({ idle, active, requests, failed, over } satisfies HoldReport)}\n`);
  const short = async (socket: TLSSocket) => {
    const { error } = await exchange(socket, { ...SHORT, host: plan.serverName });
    requests++;
    return error;
  };
  const keep = async (socket: TLSSocket) => {
    while (!stopping) {
      // Also at the end, so that the last requests come as the others did, and before the server takes the connection for abandoned.
      await Bun.sleep(plan.pauseMs);
      const error = await short(socket);
      if (error !== undefined) return fail(`idle: ${error}`);
    }
    socket.destroy();
  };
  const upload = async (socket: TLSSocket) => {
    const answered = new Promise<string>((resolve) => {
      let text = "";
      const end = () => resolve(text);
      socket.on("close", end).on("data", (chunk) => {
        text += chunk.toString("latin1");
        if (text.includes(digest)) end();
      });
    });
    socket.write(`PUT /x HTTP/1.1\r\nhost: ${plan.serverName}\r\ncontent-length: ${PIECES * PIECE.length}\r\n\r\n`);
    for (let sent = 0; sent < PIECES && !socket.destroyed; sent++) {
      socket.write(PIECE);
      if (!stopping) await pause(plan.pauseMs / 5);
    }
    const text = await answered;
    if (!text.startsWith("HTTP/1.1 200") || !text.includes(digest))
      fail(`upload: ${text.split("\r")[0] || "closed before the answer"}`);
    socket.destroy();
  };

  const held: Promise<void>[] = [];
  const open = async (count: number, begin: (socket: TLSSocket) => Promise<void> | undefined) => {
    let left = count;
    const opener = async () => {
      while (left-- > 0 && !stopping) {
        const socket = await connection(server);
        if (typeof socket === "string") fail(socket);
        else await begin(socket);
      }
    };
    await Promise.all(Array.from({ length: plan.opening }, opener));
  };
  process.once("SIGTERM", () => {
    stopping = true;
    stop();
  });
  const timer = setInterval(() => tell(false), 1000);
  await open(plan.idle, async (socket) => {
    const error = await short(socket);
    if (error !== undefined) return fail(`first: ${error}`);
    idle++;
    held.push(keep(socket));
  });
  await open(plan.active, async (socket) => {
    active++;
    held.push(upload(socket));
  });
  await stopped;
  await Promise.all(held);
  clearInterval(timer);
  tell(true);
  process.exit(0);
}
