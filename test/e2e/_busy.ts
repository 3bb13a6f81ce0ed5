/** Eight RGWs that can be busy, hung or taken out, and clients that want more than they give. */
import { join } from "node:path";
import { CA_FILE } from "../lab/certificate.ts";
import type { LabNode } from "../lab/lab.ts";
import { inNamespace } from "../lab/network.ts";
import { ober } from "../lab/ober.ts";
import type { PacePlan, PaceResult } from "../lab/pace-client.ts";
import { namespaceOf, STORAGE, VIP, VIP_NAME } from "../lab/places.ts";
import { run, until } from "../lab/process.ts";
import type { Counts, Mode } from "../lab/stand-ins.ts";

const PORT = 7490;
const ADDRESSES = Array.from({ length: 8 }, (_, index) => `10.66.0.${31 + index}`);
/** As `backends[].servers` names them. */
export const STAND_INS = `10.66.0.[31-38]:${PORT}`;
/** Requests that each works on at a time, and how long one takes. */
export const LIMIT = 64;
export const WORK_MS = 5_000;
/** Requests a second that all eight can do. */
export const CAPACITY = (ADDRESSES.length * LIMIT * 1000) / WORK_MS;

export type StandIns = Awaited<ReturnType<typeof startStandIns>>;

/** Starts them where the RGWs are. Dispose them at the end. */
export async function startStandIns() {
  const namespace = ["ip", "-n", namespaceOf("rgw"), "address"];
  for (const address of ADDRESSES) {
    await run([...namespace, "replace", `${address}/${STORAGE.prefix}`, "dev", "eth0"]);
  }
  const program = join(import.meta.dirname, "../lab/stand-ins.ts");
  const options = [String(PORT), String(LIMIT), String(WORK_MS), ...ADDRESSES];
  const child = Bun.spawn(inNamespace("rgw", [process.execPath, program, ...options]), { stdout: "ignore" });
  const ask = async (index: number, words: readonly string[], path: string) => {
    const url = `http://${ADDRESSES[index]}:${PORT}${path}`;
    return (await run(inNamespace("rgw", ["curl", "-s", "-f", "-m", "5", ...words, url]))).stdout;
  };
  const counts = async (index: number) => JSON.parse(await ask(index, [], "/counts")) as Counts;
  await until("the stand-ins answer", () => counts(7), 15_000, 50);
  return {
    name: (index: number) => `${ADDRESSES[index]}:${PORT}`,
    counts,
    mode: (index: number, mode: Mode) => ask(index, ["-X", "POST"], `/mode/${mode}`),
    async all(mode: Mode) {
      await Promise.all(ADDRESSES.map((_, index) => ask(index, ["-X", "POST"], `/mode/${mode}`)));
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
      for (const address of ADDRESSES) {
        await run([...namespace, "delete", `${address}/${STORAGE.prefix}`, "dev", "eth0"], { accept: [0, 2] });
      }
    },
  };
}

/** Clients that ask the VIP for objects at a constant pace over TLS. `result` waits for the end. */
export function startPace(plan: Pick<PacePlan, "perSecond" | "seconds">) {
  const whole: PacePlan = {
    address: VIP,
    port: 443,
    caFile: CA_FILE,
    serverName: VIP_NAME,
    path: "/bucket/object",
    timeoutMs: 60_000,
    wait: false,
    ...plan,
  };
  const program = join(import.meta.dirname, "../lab/pace-client.ts");
  const child = Bun.spawn(inNamespace("client", [process.execPath, program, JSON.stringify(whole)]), {
    stdout: "pipe",
  });
  const text = new Response(child.stdout).text();
  return {
    result: async () => JSON.parse(await text) as PaceResult,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** Answers with a status in the seconds from `from` until `to`, a second. */
export function rate({ perSecond }: PaceResult, status: number, from: number, to: number): number {
  const chosen = perSecond.slice(from, to);
  return chosen.reduce((sum, second) => sum + (second[String(status)] ?? 0), 0) / (to - from);
}

/** Holds connections and knocks for more, from one of the lab's hosts. Dispose it at the end. */
export function startKnocking(host: string, at: { address: string; port: number; held: number; perSecond: number }) {
  const program = join(import.meta.dirname, "../lab/knock-client.ts");
  const words = [at.address, String(at.port), String(at.held), String(at.perSecond)];
  const child = Bun.spawn(inNamespace(host, [process.execPath, program, ...words]), { stdout: "pipe" });
  let open = 0;
  const reading = (async () => {
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      open = Number(chunk.trim().split("\n").at(-1));
    }
  })();
  return {
    open: () => open,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
      await reading;
    },
  };
}

export type SeenServer = { readonly name: string; readonly state: string; readonly reason: string };
export type Seen = {
  readonly backends: readonly { readonly servers: readonly SeenServer[] }[];
  readonly loop?: { readonly counters: { readonly transitions: number; readonly failures: number } };
  readonly clients: { readonly connections: number; readonly limit: number; readonly queued: number };
};

/** What `ober status` of a node says. */
export async function seenBy(node: LabNode): Promise<Seen & { readonly servers: readonly SeenServer[] }> {
  const seen = JSON.parse((await ober(node, ["status", "--json"], { accept: [0, 1] })).stdout) as Seen;
  return { ...seen, servers: seen.backends[0]?.servers ?? [] };
}

/** How often HAProxy of a node has taken each server out, by its name; a reload begins anew. */
export async function timesOut(node: LabNode): Promise<Readonly<Record<string, number>>> {
  const { stdout } = await run(inNamespace(node.name, ["curl", "-s", "http://127.0.0.1:8404/stats;csv"]));
  const [header = "", ...lines] = stdout.replace(/^# /, "").split("\n");
  const column = (name: string) => header.split(",").indexOf(name);
  const rows = lines.map((line) => line.split(",")).filter((row) => row[0] === "s3" && row[1] !== "BACKEND");
  return Object.fromEntries(rows.map((row) => [row[1] ?? "", Number(row[column("chkdown")])]));
}
