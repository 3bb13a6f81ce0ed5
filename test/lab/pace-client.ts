/**
 * Clients that do not wait for each other: `bun pace-client.ts PLAN-AS-JSON`. Begins requests at a constant pace on kept connections, as
 * SDKs do, and opens another one where none is free. SIGTERM, or the end of the plan, has it print what came of them as JSON.
 */
import { readFileSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";

export type PacePlan = {
  readonly address: string;
  readonly port: number;
  /** By TLS, with this CA; plain without. */
  readonly caFile?: string;
  readonly serverName: string;
  readonly path: string;
  readonly perSecond: number;
  readonly seconds: number;
  readonly timeoutMs: number;
  /** Whether the requests that run at the end are waited for. */
  readonly wait: boolean;
  /** Begins none while this many run: then the answers set the pace. */
  readonly atOnce?: number;
  /** A connection for each request, so that ECMP spreads them evenly. */
  readonly fresh?: boolean;
};

export type PaceResult = {
  /** How many requests ended in each second since the begin, by status; 0 is no answer. */
  readonly perSecond: readonly Readonly<Record<string, number>>[];
  readonly errors: Readonly<Record<string, number>>;
  /** The slowest that got 200, and the one in the middle. */
  readonly slowestMs: number;
  readonly medianMs: number;
  /** The last answer that was not 200, as it came. */
  readonly refusal: string;
};

type Answer = { readonly status: number; readonly text: string };

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] ?? "") as PacePlan;
  const ca = plan.caFile === undefined ? undefined : readFileSync(plan.caFile, "utf8");
  const idle: net.Socket[] = [];
  const seconds: Record<string, number>[] = [];
  const errors: Record<string, number> = {};
  const times: number[] = [];
  const running = new Set<Promise<void>>();
  let refusal = "";
  const begin = performance.now();

  const open = () =>
    new Promise<net.Socket>((resolve, reject) => {
      const { address: host, port, serverName: servername } = plan;
      const socket = ca === undefined ? net.connect({ host, port }) : tls.connect({ host, port, servername, ca });
      socket.once(ca === undefined ? "connect" : "secureConnect", () => resolve(socket));
      socket.once("error", reject);
      socket.setTimeout(plan.timeoutMs, () => socket.destroy(new Error("ETIMEDOUT")));
    });

  const ask = async () => {
    const startedAt = performance.now();
    const { status, text } = await exchange().catch((error: Error & { code?: string }) => {
      const name = error.code ?? error.message;
      errors[name] = (errors[name] ?? 0) + 1;
      return { status: 0, text: "" };
    });
    if (status === 200) times.push(performance.now() - startedAt);
    else if (text !== "") refusal = text;
    const second = Math.floor((performance.now() - begin) / 1000);
    while (seconds.length <= second) seconds.push({});
    const counts = seconds[second] as Record<string, number>;
    counts[status] = (counts[status] ?? 0) + 1;
  };

  const exchange = async (): Promise<Answer> => {
    const kept = idle.pop();
    const socket = kept ?? (await open());
    const request = `GET ${plan.path} HTTP/1.1\r\nHost: ${plan.serverName}\r\n\r\n`;
    const answer = await readAnswer(socket, request);
    if (plan.fresh || /^connection: close/im.test(answer.text)) socket.destroy();
    else idle.push(socket);
    return answer;
  };

  const timer = setInterval(() => {
    const at = performance.now() - begin;
    if (at > plan.seconds * 1000) return void finish();
    // After a pause of this process the missed requests are begun at once: the pace holds.
    for (; started < (at / 1000) * plan.perSecond; started++) {
      if (running.size >= (plan.atOnce ?? Number.POSITIVE_INFINITY)) continue;
      const one = ask();
      running.add(one);
      one.finally(() => running.delete(one));
    }
  }, 2);
  let started = 0;

  const finish = async () => {
    clearInterval(timer);
    if (plan.wait) await Promise.all(running);
    times.sort((a, b) => a - b);
    const result: PaceResult = {
      perSecond: seconds,
      errors,
      slowestMs: times.at(-1) ?? 0,
      medianMs: times[Math.floor(times.length / 2)] ?? 0,
      refusal,
    };
    process.stdout.write(JSON.stringify(result), () => process.exit(0));
  };
  process.on("SIGTERM", finish);
}

/** One answer whose length is said; rejects when the connection ends before. */
function readAnswer(socket: net.Socket, request: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let text = "";
    const settle = (act: () => void) => {
      socket.off("data", read);
      socket.off("close", ended);
      socket.off("error", failed);
      act();
    };
    const failed = (error: Error) => settle(() => reject(error));
    const ended = () => settle(() => reject(new Error("closed before the answer")));
    const read = (chunk: Buffer) => {
      text += chunk.toString("latin1");
      const head = text.indexOf("\r\n\r\n");
      if (head < 0) return;
      const length = Number(/^content-length: (\d+)/im.exec(text.slice(0, head))?.[1] ?? 0);
      if (text.length < head + 4 + length) return;
      settle(() => resolve({ status: Number(text.slice(9, 12)), text: text.slice(0, 2_000) }));
    };
    socket.on("data", read);
    socket.on("close", ended);
    socket.on("error", failed);
    socket.write(request);
  });
}
