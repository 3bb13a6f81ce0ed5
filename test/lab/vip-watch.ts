/** Steers the neighbour (vip-client.ts) and says for how long a VIP gave no answer, and who answered for it. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { CA_FILE } from "./certificate.ts";
import { inNamespace } from "./network.ts";
import { SEGMENT, VIP_NAME } from "./places.ts";
import { becomes } from "./process.ts";
import { S3_USER } from "./storage.ts";
import type { VipAnswer, VipPlan } from "./vip-client.ts";

export type VipWatch = ReturnType<typeof watchVips>;
export type Kind = VipAnswer["kind"];

/** The pace. A run of each case once shows that it works, on a machine that is busy with it; OBER_ROUNDS measures. */
const [PER_SECOND, PINGS_PER_SECOND] = Number(process.env["OBER_ROUNDS"] ?? 1) > 1 ? [20, 100] : [10, 20];
/** A gap that is seen is longer than the gap by that much at most. */
export const RESOLUTION_MS = 1000 / PER_SECOND;

export function watchVips(options: {
  readonly vips: readonly string[];
  readonly bucket: string;
  /** An object that is already there. */
  readonly object: { readonly key: string; readonly content: Uint8Array };
}) {
  const { vips, bucket, object } = options;
  const plan: VipPlan = {
    vips,
    interface: "eth0",
    asker: { address: SEGMENT.asker, mac: "02:00:0a:4d:00:06" },
    perSecond: PER_SECOND,
    pingsPerSecond: PINGS_PER_SECOND,
    fetch: {
      port: 443,
      serverName: VIP_NAME,
      caFile: CA_FILE,
      credentials: S3_USER,
      perSecond: PER_SECOND,
      timeoutMs: 5_000,
      bucket,
      object: { key: object.key, sha256: createHash("sha256").update(object.content).digest("hex") },
      putEvery: 0,
      putBytes: 0,
    },
  };
  const program = [process.execPath, join(import.meta.dirname, "vip-client.ts"), JSON.stringify(plan)];
  const client = Bun.spawn(inNamespace("neighbour", program), { stdout: "pipe", stderr: "inherit" });
  const answers: VipAnswer[] = [];
  const reading = (async () => {
    let rest = "";
    for await (const chunk of client.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) answers.push(JSON.parse(line) as VipAnswer);
    }
  })();
  const good = (vip: string, kind: Kind, from: number) =>
    answers.filter((answer) => answer.vip === vip && answer.kind === kind && !answer.error && answer.at >= from);

  return {
    /** Waits until every VIP has given `count` answers of each kind since `since`. */
    answered: (count: number, since: number, timeoutMs: number): Promise<boolean> =>
      becomes(
        () =>
          vips.every((vip) =>
            (["arp", "ping", "fetch"] as const).every((kind) => good(vip, kind, since).length >= count),
          ),
        timeoutMs,
        50,
      ),
    /** The longest time between two answers since `from`; the last answer before counts as answered at `from` at the latest. */
    longestGap: (vip: string, kind: Kind, from: number): number => {
      const times = good(vip, kind, from).map(({ at }) => at);
      return Math.max(...times.map((at, index) => at - (times[index - 1] ?? from)), 0);
    },
    /** Hardware addresses that answered for the VIP by ARP since `from`. */
    answerers: (vip: string, from: number): readonly string[] => [
      ...new Set(good(vip, "arp", from).flatMap(({ mac }) => (mac === undefined ? [] : [mac]))),
    ],
    /** How fetches through the VIP failed since `from`. */
    failures: (vip: string, from: number): readonly string[] =>
      answers.flatMap(({ vip: of, error, at }) => (of === vip && error !== undefined && at >= from ? [error] : [])),
    stop: async (): Promise<void> => {
      client.kill("SIGTERM");
      await client.exited;
      await reading;
    },
  };
}
