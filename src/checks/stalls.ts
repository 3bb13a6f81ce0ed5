/** Whether the host takes CPU time from this virtual machine for longer than ober's timers bear. */
import type { Config } from "../config/schema.ts";
import { numberIn } from "../domain/foreign.ts";
import type { Sight } from "../node/sight.ts";
import { pass, skip, type Verdict, warn } from "./check.ts";

/** A timer, and the shortest stall that it may take for a failure; measured by test/e2e/stalls.test.ts. */
export type StallTimer = { readonly name: string; readonly ms: number; readonly key: string };

/** keepalived's own unit of the skew time: (256 - priority) / 256 of an interval. A first backup has 90; RFC 5798, 6.1. */
const SKEW = (256 - 90) / 256;
/** `ober health`: three checks in a row, each with 150 ms. The pause between them may add 200 ms. */
const HEALTH_LOOP_MS = 450;

/** The timers of this configuration, the shortest first. Pure. */
export function stallTimers({ ha_mode, bgp, keepalived }: Pick<Config, "ha_mode" | "bgp" | "keepalived">) {
  const timers: StallTimer[] = [];
  if (ha_mode === "bgp") {
    timers.push({ name: "the health loop", ms: HEALTH_LOOP_MS, key: "" });
    // A stall begins up to one packet after the last one was sent.
    timers.push({ name: "the hold time", ms: Math.round((1000 * bgp.hold_time * 2) / 3), key: "bgp.hold_time" });
    if (bgp.bfd_enabled) {
      timers.push({ name: "BFD", ms: bgp.bfd_interval_ms * (bgp.bfd_multiplier - 1), key: "bgp.bfd_interval_ms" });
    }
  } else {
    timers.push({
      name: "VRRP",
      ms: Math.round(1000 * keepalived.advert_int * (2 + SKEW)),
      key: "keepalived.advert_int",
    });
  }
  return timers.sort((a, b) => a.ms - b.ms);
}

/** Long enough for shares of two hundredths, because the kernel counts in hundredths of a second. */
const SAMPLE_MS = 500;

export async function checkSteal({ system, config }: Sight): Promise<Verdict> {
  const found = await config();
  if (found === undefined) return skip("not configured");
  const before = (await system.read("/proc/stat")) ?? "";
  await system.clock.sleep(SAMPLE_MS);
  return stealVerdict(stealIn(before, (await system.read("/proc/stat")) ?? ""), stallTimers(found));
}

/** Shares (0 to 1) of CPU time that the host gave to others. */
export type Steal = { readonly sinceBoot: number; readonly now: number };

/** From two readings of /proc/stat: of the CPU with the most, since boot and between them; see proc_stat(5). Pure. */
export function stealIn(before: string, after: string): Steal {
  const [was, is] = [cpusIn(before), cpusIn(after)];
  const share = ({ steal, all }: Times) => (all <= 0 ? 0 : Math.max(0, steal / all));
  const most = (shares: readonly number[]) => shares.reduce((worst, one) => Math.max(worst, one), 0);
  return {
    sinceBoot: most([...is.values()].map(share)),
    now: most(
      [...is].map(([cpu, times]) => {
        const { steal = times.steal, all = times.all } = was.get(cpu) ?? {};
        return share({ steal: times.steal - steal, all: times.all - all });
      }),
    ),
  };
}

type Times = { readonly steal: number; readonly all: number };

/** user, nice, system, idle, iowait, irq, softirq, steal; a guest's time is part of user. */
const FIELDS = 8;

function cpusIn(stat: string): ReadonlyMap<string, Times> {
  const lines = [...stat.matchAll(/^(cpu\d{1,5}) ([\d ]{1,400})/gm)];
  return new Map(
    lines.map(([, cpu = "", rest = ""]) => {
      const times = rest
        .trim()
        .split(" ")
        .slice(0, FIELDS)
        .map((text) => numberIn(text) ?? 0);
      return [cpu, { steal: times[FIELDS - 1] ?? 0, all: times.reduce((sum, one) => sum + one, 0) }] as const;
    }),
  );
}

/** In the worst case the host takes its share of a second at once, as one stall. Pure. */
export function stealVerdict({ sinceBoot, now }: Steal, timers: readonly StallTimer[]): Verdict {
  const percent = (share: number) => `${Math.round(1000 * share) / 10} %`;
  const ms = Math.round(1000 * Math.max(sinceBoot, now));
  const taken = `the host takes ${percent(now)} of a CPU now, ${percent(sinceBoot)} since boot`;
  const [shortest] = timers;
  if (shortest === undefined) return pass(taken);
  const bears = (timer: StallTimer) => `${timer.name} bears ${timer.ms} ms`;
  const flapping = timers.filter((timer) => ms >= timer.ms);
  if (flapping.length === 0) return pass(`${taken}; ${bears(shortest)}`);
  const keys = flapping.flatMap(({ key }) => (key === "" ? [] : [key]));
  const longer = keys.length === 0 ? "" : `; until then a larger ${keys.join(" and ")} in ober.yaml, then ober apply`;
  return warn(
    `${taken}: up to ${ms} ms of a second at once, and ${flapping.map(bears).join(", ")}`,
    `give this virtual machine CPUs of its own on its host${longer}`,
  );
}
