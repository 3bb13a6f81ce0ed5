/** The failures that `ober drill` makes on a node, one row each, and what the tests have measured of them: docs/measured.md. */

/** What was measured: a row of docs/measured.md, and the most that it took on Debian 13, in milliseconds. */
export type Promised = { readonly row: string; readonly ms: number };

type Drill = {
  readonly title: string;
  /** What the command does, for the question before it. */
  readonly does: string;
  /** Who brings the node back, and how. */
  readonly back: string;
  /** A word after the drill's name. */
  readonly target?: { readonly name: "NAME" | "SECONDS"; readonly what: string };
  readonly modes: readonly ("bgp" | "keepalived")[];
  /** It lasts for `--seconds`; the others end by themselves. */
  readonly lasts: boolean;
  /** It takes the node out of traffic, so another one must serve. */
  readonly leaves: boolean;
  /** When the others notice cannot be seen on the node itself. */
  readonly blind?: true;
  /** How long clients can be sent to this node in vain, in BGP mode; without BFD where that differs. */
  readonly gone?: { readonly bfd: Promised; readonly plain: Promised };
  /** How long clients of a VIP have no answer in keepalived mode, with an advertisement each second. */
  readonly vrrp?: Promised;
  /** From the end of the failure, or from the failure where the node heals itself, until routers send clients here again. */
  readonly returns?: Promised;
};

const both = (promised: Promised) => ({ bfd: promised, plain: promised });

const DRILLS = {
  "haproxy-crash": {
    title: "HAProxy crashes",
    does: "kills HAProxy with SIGKILL; its connections end",
    back: "systemd starts HAProxy again",
    modes: ["bgp", "keepalived"],
    lasts: false,
    leaves: true,
    gone: both({ row: "HAProxy's master killed: gone", ms: 19.2 }),
    vrrp: { row: "VRRP every 1 s, HAProxy killed: no fetch answer", ms: 723 },
    returns: { row: "HAProxy's master killed: back", ms: 3123 },
  },
  "haproxy-hang": {
    title: "HAProxy hangs",
    does: "stops HAProxy's processes with SIGSTOP; its connections stand still",
    back: "ober continues them with SIGCONT",
    modes: ["bgp", "keepalived"],
    lasts: true,
    leaves: true,
    gone: both({ row: "HAProxy stopped (SIGSTOP): gone", ms: 648 }),
    vrrp: { row: "VRRP every 1 s, HAProxy stopped (SIGSTOP): no fetch answer", ms: 5243 },
    returns: { row: "HAProxy stopped (SIGSTOP): back", ms: 250 },
  },
  "exabgp-crash": {
    title: "ExaBGP crashes",
    does: "kills ExaBGP with SIGKILL; the BGP sessions end",
    back: "systemd starts ExaBGP again",
    modes: ["bgp"],
    lasts: false,
    leaves: true,
    gone: both({ row: "ExaBGP killed: gone", ms: 6.4 }),
    returns: { row: "ExaBGP killed: back", ms: 2334 },
  },
  "exabgp-hang": {
    title: "ExaBGP hangs",
    does: "stops ExaBGP with SIGSTOP; the routers notice by the hold time",
    back: "systemd's watchdog restarts ExaBGP, and ober continues it with SIGCONT",
    modes: ["bgp"],
    lasts: true,
    leaves: true,
    blind: true,
    gone: both({ row: "ExaBGP stopped (SIGSTOP): gone", ms: 2810 }),
    returns: { row: "ExaBGP stopped (SIGSTOP): back", ms: 7448 },
  },
  "bfd-down": {
    title: "the BFD speaker dies",
    does: "kills BIRD and keeps it stopped; routers with BFD end the BGP session",
    back: "ober starts BIRD again",
    modes: ["bgp"],
    lasts: true,
    leaves: true,
    gone: both({ row: "BFD speaker killed: gone", ms: 139 }),
  },
  "rgw-down": {
    title: "an RGW goes down",
    does: "puts an RGW into maintenance in this node's HAProxy",
    back: "ober lets HAProxy use it again",
    target: { name: "NAME", what: "the RGW's name or address, as ober.yaml has it" },
    modes: ["bgp", "keepalived"],
    lasts: true,
    leaves: false,
  },
  "link-down": {
    title: "the network link is silent",
    does: "drops every packet of the node's interface, SSH included, as if its cable was cut behind the switch",
    back: "ober lets packets through again",
    target: { name: "SECONDS", what: "how long" },
    modes: ["bgp", "keepalived"],
    lasts: true,
    leaves: true,
    blind: true,
    gone: {
      bfd: { row: "cable cut, BFD at 3 x 50 ms: gone", ms: 156 },
      plain: { row: "cable cut, no BFD: gone", ms: 2714 },
    },
    vrrp: { row: "VRRP every 1 s, cable cut: no fetch answer", ms: 3663 },
    returns: { row: "cable cut, BFD at 3 x 50 ms: back", ms: 4636 },
  },
  "keepalived-crash": {
    title: "keepalived crashes",
    does: "kills keepalived, parent and child, with SIGKILL",
    back: "systemd starts keepalived again",
    modes: ["keepalived"],
    lasts: false,
    leaves: true,
    vrrp: { row: "VRRP every 1 s, keepalived killed, parent and child: no fetch answer", ms: 3565 },
  },
  drain: {
    title: "the node is drained",
    does: "withdraws the routes or hands the VIPs over, as `ober drain` does",
    back: "ober takes the drain back",
    modes: ["bgp", "keepalived"],
    lasts: true,
    leaves: true,
    blind: true,
  },
  reboot: {
    title: "the machine reboots",
    does: "reboots this machine, as `systemctl reboot` does",
    back: "the machine boots, and its units start",
    modes: ["bgp", "keepalived"],
    lasts: false,
    leaves: true,
  },
} as const satisfies Readonly<Record<string, Drill>>;

export type DrillName = keyof typeof DRILLS;

export const DRILL_NAMES = Object.keys(DRILLS) as readonly DrillName[];

export const isDrillName = (word: string): word is DrillName => Object.hasOwn(DRILLS, word);

/** The row of a drill. */
export const drillOf = (name: DrillName): Drill => DRILLS[name];

/** Bounds of `--seconds`: a node that is away for longer is no drill. */
export const SECONDS = { least: 1, most: 300, usual: 10 } as const;

/** What a drill has shown on its node. Kept as PATH/var/drills/N.json. */
export type DrillResult = {
  readonly number: number;
  readonly drill: DrillName;
  /** The RGW of `rgw-down`. */
  readonly target?: string | undefined;
  readonly seconds: number;
  readonly at: string;
  readonly by: string;
  readonly mode: "bgp" | "keepalived";
  /** Whether every router had a BFD session when the drill began; "off" where ober.yaml does not want BFD. */
  readonly bfd: "off" | "up" | "down";
  /** `interrupted`: by its operator. `cut-off`: its process or the machine died, and the node was restored after that. */
  readonly outcome: "done" | "interrupted" | "cut-off" | "rebooted" | "not-back";
  /** From the failure until the node had left by its own knowledge, in milliseconds; null where only the routers can know. */
  readonly goneMs: number | null;
  /** From the end of the failure, or from the failure where the node heals itself, until the node was back. */
  readonly backMs: number | null;
};

/** What the node knew of itself: whether it was in service, from this moment on (monotonic milliseconds). */
export type Seen = { readonly at: number; readonly served: boolean };

/**
 * When the node left and came back, from what was seen. `healedAt` is when the failure was ended; undefined where the node heals itself. Pure.
 */
export function timesOf(
  seen: readonly Seen[],
  failedAt: number,
  healedAt: number | undefined,
): { readonly goneMs: number | null; readonly backMs: number | null } {
  const left = seen.find(({ at, served }) => at >= failedAt && !served);
  if (left === undefined) return { goneMs: null, backMs: null };
  const last = seen.findLastIndex(({ served }) => !served);
  const back = seen[last + 1]?.at;
  const since = healedAt ?? failedAt;
  // One that came back by itself before the failure's end needed no time after it.
  return { goneMs: left.at - failedAt, backMs: back === undefined ? null : Math.max(0, back - since) };
}

/** The node looks at itself this often; a time is known as exactly as that. */
export const LOOK_MS = 50;

/** A measurement of one machine holds for another one only roughly: twice the time, and one look. */
const asPromised = (ms: number, promised: number): boolean => ms <= 2 * promised + 2 * LOOK_MS;

/** Milliseconds for people: "0.15 s", "3.1 s", "12 s". */
export function inSeconds(ms: number): string {
  const seconds = ms / 1000;
  if (seconds >= 10) return `${Math.round(seconds)} s`;
  return `${seconds.toFixed(seconds >= 1 ? 1 : 2)} s`;
}

/** What the tests have measured of clients' longest time without an answer, in milliseconds. */
export type Expected = { readonly withBfd: number; readonly without: number };

/** Undefined where nothing was measured. `advertInt`: seconds between keepalived's advertisements. Pure. */
export function expectedOf(name: DrillName, mode: "bgp" | "keepalived", advertInt = 1): Expected | undefined {
  const { gone, vrrp } = drillOf(name);
  if (mode === "bgp") return gone === undefined ? undefined : { withBfd: gone.bfd.ms, without: gone.plain.ms };
  if (vrrp === undefined) return undefined;
  // Above a second the others wait for three advertisements; below, HAProxy's check dominates, so less is not promised.
  const ms = vrrp.ms * Math.max(1, advertInt);
  return { withBfd: ms, without: ms };
}

/** A measured time beside what was promised, in words. Undefined where nothing is promised. Pure. */
export function compared(ms: number, expected: Expected | undefined): string | undefined {
  if (expected === undefined) return undefined;
  const { withBfd, without } = expected;
  if (withBfd === without) {
    const verdict = asPromised(ms, without) ? "as promised" : "longer than promised";
    return `${inSeconds(ms)}, and ${inSeconds(without)} were measured: ${verdict}`;
  }
  if (asPromised(ms, withBfd)) return `${inSeconds(ms)}, and ${inSeconds(withBfd)} with BFD: as promised`;
  if (asPromised(ms, without))
    return `${inSeconds(ms)}, and ${inSeconds(withBfd)} with BFD: your router did not bring the BFD session up`;
  return `${inSeconds(ms)}, and ${inSeconds(without)} even without BFD: longer than promised`;
}

/** What a result means, beside the promise and the results before it of the same drill. One line each. Pure. */
export function judgedDrill(result: DrillResult, before: readonly DrillResult[]): readonly string[] {
  const { drill, mode, bfd, goneMs, backMs, outcome } = result;
  const { gone, returns } = drillOf(drill);
  const lines: string[] = [];
  const like = before.filter((one) => one.drill === drill && one.number < result.number).slice(-3);
  const earlier = (key: "goneMs" | "backMs") => {
    const times = like.flatMap((one) => (one[key] === null ? [] : [inSeconds(one[key])]));
    return times.length === 0 ? "" : `; before: ${times.join(", ")}`;
  };
  const promised = (one: Promised | undefined, ms: number) => {
    if (one === undefined || mode === "keepalived") return "";
    return ` (measured: ${inSeconds(one.ms)}${asPromised(ms, one.ms) ? "" : ", this took longer"})`;
  };
  if (goneMs !== null) {
    const one = bfd === "up" ? gone?.bfd : gone?.plain;
    lines.push(`out of traffic after ${inSeconds(goneMs)}${promised(one, goneMs)}${earlier("goneMs")}`);
  } else if (drillOf(drill).leaves && outcome !== "rebooted" && outcome !== "cut-off") {
    lines.push("the node itself cannot see when the routers or the other nodes noticed: ober drill --observe VIP");
  }
  if (backMs !== null) lines.push(`back after ${inSeconds(backMs)}${promised(returns, backMs)}${earlier("backMs")}`);
  if (bfd === "down" && gone !== undefined && gone.bfd !== gone.plain) {
    lines.push(
      `no BFD session was up: a router needs ${inSeconds(gone.plain.ms)}, and ${inSeconds(gone.bfd.ms)} with BFD (ober doctor --only bfd)`,
    );
  }
  return lines;
}

/** The words of an outcome. */
export const OUTCOMES: Readonly<Record<DrillResult["outcome"], string>> = {
  done: "done; the node is as it was",
  interrupted: "interrupted; the node was restored",
  "cut-off": "cut off; the node was restored",
  rebooted: "the machine has booted again",
  "not-back": "the failure was ended, but the node did not come back in time",
};
