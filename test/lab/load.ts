/** Steers the load client and says what its requests went through. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { CA_FILE } from "./certificate.ts";
import type { LoadPlan, RequestRecord } from "./load-client.ts";
import { inNamespace } from "./network.ts";
import { VIP, VIP_NAME } from "./places.ts";
import { becomes } from "./process.ts";
import { S3_USER } from "./storage.ts";

export type LoadOptions = Partial<
  Pick<LoadPlan, "perSecond" | "timeoutMs" | "putEvery" | "putBytes" | "address" | "port">
> & {
  readonly bucket: string;
  /** An object that is already there. */
  readonly object: { readonly key: string; readonly content: Uint8Array };
};

export type Load = ReturnType<typeof startLoad>;

/** What the requests that began in a span of time went through. */
export type LoadSummary = {
  readonly requests: number;
  readonly failed: number;
  /** How long new requests failed: from `from` to the begin of the last one that failed. */
  readonly failingMs: number;
  readonly slowestMs: number;
  readonly errors: Readonly<Record<string, number>>;
};

/** Begins requests to the VIP over TLS, each on a new connection, GETs and PUTs mixed, until `stop`. */
export function startLoad(options: LoadOptions) {
  const { object, ...rest } = options;
  const plan: LoadPlan = {
    address: VIP,
    port: 443,
    serverName: VIP_NAME,
    caFile: CA_FILE,
    credentials: S3_USER,
    perSecond: 40,
    timeoutMs: 5_000,
    putEvery: 4,
    putBytes: 64 * 1024,
    ...rest,
    object: { key: object.key, sha256: createHash("sha256").update(object.content).digest("hex") },
  };
  const program = [process.execPath, join(import.meta.dirname, "load-client.ts"), JSON.stringify(plan)];
  const client = Bun.spawn(inNamespace("client", program), { stdout: "pipe", stderr: "inherit" });
  const records: RequestRecord[] = [];
  const reading = (async () => {
    let rest = "";
    for await (const chunk of client.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) records.push(JSON.parse(line) as RequestRecord);
    }
  })();

  return {
    records: (): readonly RequestRecord[] => records,
    /** Waits until `count` requests have succeeded since `since`. */
    succeeds: (count: number, since: number, timeoutMs: number) =>
      becomes(() => records.filter(({ ok, begin }) => ok && begin >= since).length >= count, timeoutMs),
    /** Begins no more requests, waits for those in flight, and gives all records in the order of their begin. */
    stop: async (): Promise<readonly RequestRecord[]> => {
      client.kill("SIGTERM");
      await client.exited;
      await reading;
      return records.sort((a, b) => a.begin - b.begin);
    },
  };
}

/** Sums up the requests that began at `from` or later. */
export function summarise(records: readonly RequestRecord[], from: number): LoadSummary {
  const chosen = records.filter(({ begin }) => begin >= from);
  const failures = chosen.filter(({ ok }) => !ok);
  const errors: Record<string, number> = {};
  for (const { stage, error = "" } of failures) {
    const name = `${error} (${stage})`;
    errors[name] = (errors[name] ?? 0) + 1;
  }
  return {
    requests: chosen.length,
    failed: failures.length,
    failingMs: Math.max(0, ...failures.map(({ begin }) => begin - from)),
    slowestMs: Math.max(0, ...chosen.filter(({ ok }) => ok).map(({ begin, end }) => end - begin)),
    errors,
  };
}

/** The requests that had begun and were not over at `at`. */
export function inFlightAt(records: readonly RequestRecord[], at: number): readonly RequestRecord[] {
  return records.filter(({ begin, end }) => begin < at && end > at);
}
