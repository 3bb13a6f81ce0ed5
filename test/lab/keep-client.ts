/**
 * Clients that keep their connections: `bun keep-client.ts PLAN-AS-JSON`. Each carries a short request, waits, and carries the next on the same
 * connection for as long as the server keeps it; then it opens another one. The backend is backend.ts; every byte is checked by digest. Prints a
 * JSON line (KeepReport) each second and at the end, which is SIGTERM.
 */
import { readFileSync } from "node:fs";
import type { TLSSocket } from "node:tls";
import { bodyDigest } from "./backend.ts";
import { connection, exchange } from "./exchange.ts";

export type KeepPlan = {
  readonly address: string;
  readonly port: number;
  readonly serverName: string;
  readonly caFile: string;
  readonly clients: number;
  readonly pauseMs: number;
};

/** `opened` counts connections, `failed` requests that had no good answer, by its words. */
export type KeepReport = {
  readonly requests: number;
  readonly opened: number;
  readonly failed: Readonly<Record<string, number>>;
};

const SHORT = { method: "GET", bytes: 1024, digest: bodyDigest(1024), last: false } as const;

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] ?? "") as KeepPlan;
  const server = { ...plan, ca: readFileSync(plan.caFile, "utf8") };
  const failed: Record<string, number> = {};
  let [requests, opened] = [0, 0];
  let stopping = false;
  const fail = (what: string) => {
    failed[what] = (failed[what] ?? 0) + 1;
  };
  const tell = () => process.stdout.write(`${JSON.stringify({ requests, opened, failed } satisfies KeepReport)}\n`);
  const client = async (index: number) => {
    let socket: TLSSocket | undefined;
    await Bun.sleep((index * plan.pauseMs) / plan.clients);
    while (!stopping) {
      if (socket === undefined || socket.destroyed) {
        const open = await connection(server);
        opened++;
        if (typeof open === "string") {
          fail(open);
          await Bun.sleep(plan.pauseMs);
          continue;
        }
        socket = open;
      }
      const { error, closes } = await exchange(socket, { ...SHORT, host: plan.serverName });
      requests++;
      if (error !== undefined) fail(error);
      if (closes) {
        socket.destroy();
        socket = undefined;
      }
      await Bun.sleep(plan.pauseMs);
    }
    socket?.destroy();
  };
  process.once("SIGTERM", () => {
    stopping = true;
  });
  const timer = setInterval(tell, 1000);
  await Promise.all(Array.from({ length: plan.clients }, (_, index) => client(index)));
  clearInterval(timer);
  tell();
  process.exit(0);
}
