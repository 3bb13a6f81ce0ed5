/** Steers the clients of long transfers and says what became of them. */
import { join } from "node:path";
import { CA_FILE } from "./certificate.ts";
import { inNamespace } from "./network.ts";
import { VIP, VIP_NAME } from "./places.ts";
import { becomes } from "./process.ts";
import type { TransferPlan, TransferRecord } from "./transfer-client.ts";

/** A run of each case once shows that it works, on a machine that is busy with it; OBER_ROUNDS has the load of the published figures. */
const MANY = Number(process.env["OBER_ROUNDS"] ?? 1) > 1;
/** So many transfers that end well show that all is well. */
export const FLOW = MANY ? 80 : 30;

export type Transfers = ReturnType<typeof startTransfers>;

/** Starts transfers from a host of the lab, behind the router or on the segment, until `stop`. */
export function startTransfers(host: "client" | "neighbour", options: Partial<TransferPlan> = {}) {
  const plan: TransferPlan = {
    addresses: [VIP],
    port: 443,
    serverName: VIP_NAME,
    caFile: CA_FILE,
    inFlight: MANY ? 60 : 20,
    seconds: MANY ? [5, 20] : [3, 10],
    bytesPerSecond: 32 * 1024,
    shortPerSecond: MANY ? 20 : 8,
    kept: 0,
    keptPauseMs: 1000,
    large: { bytes: 0, bytesPerSecond: 0 },
    ...options,
  };
  const program = [process.execPath, join(import.meta.dirname, "transfer-client.ts"), JSON.stringify(plan)];
  const client = Bun.spawn(inNamespace(host, program), { stdout: "pipe", stderr: "inherit" });
  const records: TransferRecord[] = [];
  const reading = (async () => {
    let rest = "";
    for await (const chunk of client.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) records.push(JSON.parse(line) as TransferRecord);
    }
  })();
  return {
    records: (): readonly TransferRecord[] => records,
    /** Waits until `count` transfers have ended well since `since`. */
    flow: (count: number, since: number, timeoutMs: number) =>
      becomes(() => records.filter(({ ok, end }) => ok && end >= since).length >= count, timeoutMs, 50),
    /** Begins no more, waits for those in flight, and gives all records. */
    stop: async (): Promise<readonly TransferRecord[]> => {
      client.kill("SIGTERM");
      await client.exited;
      await reading;
      return records;
    },
  };
}

/** How many transfers failed, of how many, and how. */
export function failures(records: readonly TransferRecord[]) {
  const failed = records.filter(({ ok }) => !ok);
  const errors: Record<string, number> = {};
  for (const { kind, error = "" } of failed) errors[`${kind}: ${error}`] = (errors[`${kind}: ${error}`] ?? 0) + 1;
  return { failed: failed.length, of: records.length, errors };
}
