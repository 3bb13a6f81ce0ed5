/**
 * The router's kernel, watched by netlink: every change of a VIP's next hops with the time at which it was made, on the
 * clock of this machine, so that it can be compared with the time of an injected failure.
 */
import { OberError } from "../../src/errors.ts";
import { inNamespace } from "./network.ts";
import { becomes } from "./process.ts";
import { nextHops, nextHopsIn } from "./router.ts";

/** The next hops (sorted) that the kernel holds from `at` (milliseconds since 1970, with fractions) on. */
export type RouteState = { readonly at: number; readonly nextHops: readonly string[] };

export type RouteWatch = Awaited<ReturnType<typeof watchRoute>>;

/** Starts to watch; the first state is what the kernel holds now. `stop` it. */
export async function watchRoute(vip: string) {
  const monitor = Bun.spawn(inNamespace("router", ["ip", "-o", "-ts", "monitor", "route"]), {
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, TZ: "UTC" },
  });
  const states: RouteState[] = [{ at: now(), nextHops: await nextHops(vip) }];
  const reading = (async () => {
    let rest = "";
    for await (const chunk of monitor.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const state = parseMonitorLine(line, vip);
        if (state !== undefined) states.push(state);
      }
    }
  })();

  /** The first state from `since` on that fulfils `condition`; waits for it until `since + timeoutMs`. */
  async function first(
    condition: (state: RouteState) => boolean,
    since: number,
    timeoutMs: number,
  ): Promise<RouteState | undefined> {
    const find = () => {
      // What held already at `since` counts from then.
      const held = states.findLast(({ at }) => at <= since);
      if (held !== undefined && condition(held)) return { ...held, at: since };
      return states.find((state) => state.at > since && condition(state));
    };
    await becomes(() => find() !== undefined, Math.max(0, since + timeoutMs - now()));
    return find();
  }

  return {
    states: (): readonly RouteState[] => states,
    /** Milliseconds from `since` until the kernel no longer sends to `hop`; throws after `timeoutMs`. */
    gone: async (hop: string, since: number, timeoutMs: number): Promise<number> => {
      const state = await first(({ nextHops }) => !nextHops.includes(hop), since, timeoutMs);
      if (state === undefined)
        throw new OberError(`the router still sends to ${hop} ${timeoutMs} ms after the failure`);
      return state.at - since;
    },
    /** Milliseconds from `since` until the kernel sends to exactly `hops`; throws after `timeoutMs`. */
    settled: async (hops: readonly string[], since: number, timeoutMs: number): Promise<number> => {
      const wanted = [...hops].sort().join(" ");
      const state = await first(({ nextHops }) => nextHops.join(" ") === wanted, since, timeoutMs);
      if (state === undefined) {
        const last = states.at(-1)?.nextHops.join(" ") || "no node";
        throw new OberError(`the router sends to ${last} instead of ${wanted || "nobody"} after ${timeoutMs} ms`);
      }
      return state.at - since;
    },
    stop: async (): Promise<void> => {
      monitor.kill();
      await monitor.exited;
      await reading;
    },
  };
}

/** The clock that the kernel's times are compared with. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** The state that a line of `ip -o -ts monitor route` (TZ=UTC) tells; undefined when it is about something else. */
export function parseMonitorLine(line: string, vip: string): RouteState | undefined {
  const match = /^\[(\S+?)\.(\d+)\] (Deleted )?(\S+) (.*)$/.exec(line);
  if (match === null || match[4] !== vip) return undefined;
  const [, second = "", fraction = "", deleted, , rest = ""] = match;
  const at = Date.parse(`${second}Z`) + Number(`0.${fraction}`) * 1000;
  return { at, nextHops: deleted === undefined ? nextHopsIn(rest) : [] };
}
