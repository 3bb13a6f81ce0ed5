import type { MapPlace } from "./serves.ts";
import type { TrackPlace } from "./tracks.ts";

/**
 * The arguments of `ober health`, read without citty: keepalived starts `health --once` every two seconds, ExaBGP's start
 * waits for the other form, and citty's parser alone takes a fifth of the time of a whole `curl`.
 */
export type HealthOptions = OnceOptions | LoopOptions;

type OnceOptions = {
  readonly once: true;
  /** Accept any answer: fail only if HAProxy hangs. */
  readonly alive: boolean;
  readonly url: Target;
  readonly timeoutMs: number;
  /** Where to report that keepalived is on standby; undefined to report nothing. */
  readonly map: MapPlace | undefined;
  /** While this file exists, the node serves but the others must not count on it; see `drain.ts`. */
  readonly hold: string;
};

export type LoopOptions = {
  readonly once: false;
  readonly url: Target;
  readonly vips: readonly Vip[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly rise: number;
  readonly fall: number;
  /** Files that take the node out of traffic; the first that exists counts. */
  readonly drainFlags: readonly string[];
  /** While this file exists, the node serves but is not announced; see `drain.ts`. */
  readonly hold: string;
  /** The longest time (milliseconds) that a node which fails again and again is the last choice; 0: never. */
  readonly longestHoldDownMs: number;
  /** Where HAProxy writes its process id. */
  readonly haproxyPidFile: string;
  readonly stateFile: string;
  /** The history, which survives reboots; see `history.ts`. */
  readonly historyFile: string;
  /** Where to report what is served. */
  readonly map: MapPlace;
  /** Where to tell keepalived, in VRRP mode; undefined where ExaBGP runs the loop and is told. */
  readonly track: TrackOptions | undefined;
  /** Addresses of the other nodes, which are asked what they serve. */
  readonly peers: readonly string[];
  /** Whether a node that has lost its RGWs stays announced where no other node serves. */
  readonly guarded: boolean;
  /** Whether connections are closed after a response while a node that returned has fewer than this one. */
  readonly rebalance: boolean;
  /** This node's canary address; undefined without one. */
  readonly canary: string | undefined;
};

export type TrackOptions = TrackPlace & {
  /** How many nodes the cluster has: what puts a node behind all others. */
  readonly nodes: number;
  /** Where keepalived writes its process id. */
  readonly pidFile: string;
};

/** `prefix` is announced; `group` is the backend group that decides, "" for the whole node. `canary`: no VIP, see `canary.ts`. */
export type Vip = {
  readonly address: string;
  readonly prefix: string;
  readonly group: string;
  readonly canary?: true;
};

/** The URL to check, in the parts that a raw HTTP/1.1 request needs. */
export type Target = { readonly host: string; readonly port: number; readonly path: string; readonly text: string };

/** A problem of the command line, for a UsageError; this folder has no error classes. */
export type OptionsProblem = { readonly problem: string; readonly hint: string };

const DEFAULT_URL = "http://127.0.0.1:8404/health";
const DEFAULT_STATE_FILE = "/run/ober-bgp/health.json";
const KEEPALIVED_PID = "/run/ober-ha/keepalived.pid";
const HAPROXY_PID = "/run/ober/haproxy.pid";
const HAPROXY_SOCKET = "/run/ober/haproxy.sock";

/** keepalived ends its script after one second; answering earlier keeps the reason in the log. */
const ONCE_TIMEOUT_MS = 800;

/**
 * A stalled HAProxy is withdrawn after at most interval + fall x timeout = 650 ms; HAProxy answers `/health` in well
 * under a millisecond, so three misses of 150 ms each in a row are not a hiccup. Five checks a second cost a few thousandths
 * of a core; a crash does not wait for them.
 */
const DEFAULTS = {
  "--interval-ms": 200,
  "--timeout-ms": 150,
  "--rise": 2,
  "--fall": 3,
  "--nodes": 1,
  "--hold-down": 0,
} as const;
const LIMITS = {
  "--interval-ms": 60_000,
  "--timeout-ms": 60_000,
  "--rise": 100,
  "--fall": 100,
  "--nodes": 255,
  "--hold-down": 3_600,
} as const;

/** Reads the words after `health`; returns a problem unless the command line is complete and known. */
export function readOptions(words: readonly string[], executable: string): HealthOptions | OptionsProblem {
  const numbers: Record<keyof typeof DEFAULTS, number | undefined> = {
    "--interval-ms": undefined,
    "--timeout-ms": undefined,
    "--rise": undefined,
    "--fall": undefined,
    "--nodes": undefined,
    "--hold-down": undefined,
  };
  const texts = {
    "--url": DEFAULT_URL,
    "--drain-flag": `${varOf(executable)}/drain`,
    "--passing-drain-flag": "/run/ober/drain",
    "--hold": `${varOf(executable)}/hold`,
    "--state": DEFAULT_STATE_FILE,
    "--history": `${varOf(executable)}/history`,
    "--socket": HAPROXY_SOCKET,
    "--map": `${prefixOf(executable)}/etc/haproxy/serves.map`,
    "--haproxy-pid": HAPROXY_PID,
    "--track": "",
    "--hanging": "",
    "--keepalived-pid": KEEPALIVED_PID,
  };
  const vips: Vip[] = [];
  const peers: string[] = [];
  let canary: string | undefined;
  let guarded = false;
  let rebalance = false;
  let once = false;
  let alive = false;
  let standsBy = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (["--once", "--alive", "--stands-by", "--guarded", "--rebalance"].includes(word)) {
      if (word === "--guarded") guarded = true;
      else if (word === "--rebalance") rebalance = true;
      else if (word === "--once") once = true;
      else if (word === "--alive") alive = true;
      else standsBy = true;
      continue;
    }
    if (!word.startsWith("-")) {
      const vip = readVip(word);
      if (vip === undefined)
        return problem(`'${word}' is not an address`, "give bare addresses, for instance 10.0.0.100 or 10.0.0.100@s3");
      if (vips.some(({ address }) => address === vip.address)) return problem(`VIP ${vip.address} is given twice`);
      vips.push(vip);
      continue;
    }
    const equals = word.indexOf("=");
    const name = equals < 0 ? word : word.slice(0, equals);
    const value = equals < 0 ? words[++i] : word.slice(equals + 1);
    if (value === undefined || value === "") return problem(`${name} needs a value`);
    if (name === "--peer") {
      if (readVip(value)?.group !== "") return problem(`--peer: '${value}' is not an address`);
      peers.push(value);
    } else if (name === "--canary") {
      const own = readVip(value);
      if (own?.group !== "" || own.address.includes(":")) return problem(`--canary: '${value}' is not an IPv4 address`);
      canary = value;
    } else if (name in numbers) {
      const key = name as keyof typeof DEFAULTS;
      const number = /^\d+$/.test(value) ? Number(value) : 0;
      if (number < 1 || number > LIMITS[key])
        return problem(`${name} must be a whole number from 1 to ${LIMITS[key]}, not '${value}'`);
      numbers[key] = number;
    } else if (name in texts) {
      texts[name as keyof typeof texts] = value;
    } else {
      return problem(`unknown flag ${name}`);
    }
  }
  const url = readTarget(texts["--url"]);
  if (url === undefined)
    return problem(`'${texts["--url"]}' is not a URL that can be checked`, `give one like ${DEFAULT_URL}`);
  const map = { socket: texts["--socket"], map: texts["--map"] };
  if (once) {
    if (vips.length > 0) return problem("`--once` checks this node and does not take a VIP");
    const timeoutMs = numbers["--timeout-ms"] ?? ONCE_TIMEOUT_MS;
    return { once, alive, url, timeoutMs, map: standsBy ? map : undefined, hold: texts["--hold"] };
  }
  if (alive || standsBy) return problem(`\`--${alive ? "alive" : "stands-by"}\` goes with \`--once\``);
  const place = { weight: texts["--track"], hanging: texts["--hanging"] };
  if ((place.weight === "") !== (place.hanging === "")) return problem("`--track` and `--hanging` go together");
  const track =
    place.weight === ""
      ? undefined
      : { ...place, nodes: numbers["--nodes"] ?? DEFAULTS["--nodes"], pidFile: texts["--keepalived-pid"] };
  if (vips.length === 0)
    return problem("no VIP given", "give the VIPs to announce, or `--once` to check this node once");
  return {
    once,
    url,
    vips,
    intervalMs: numbers["--interval-ms"] ?? DEFAULTS["--interval-ms"],
    timeoutMs: numbers["--timeout-ms"] ?? DEFAULTS["--timeout-ms"],
    rise: numbers["--rise"] ?? DEFAULTS["--rise"],
    fall: numbers["--fall"] ?? DEFAULTS["--fall"],
    drainFlags: [texts["--passing-drain-flag"], texts["--drain-flag"]],
    hold: texts["--hold"],
    longestHoldDownMs: (numbers["--hold-down"] ?? DEFAULTS["--hold-down"]) * 1000,
    haproxyPidFile: texts["--haproxy-pid"],
    stateFile: texts["--state"],
    historyFile: texts["--history"],
    map,
    peers,
    guarded,
    rebalance,
    canary,
    track,
  };
}

/** The URL of one group: `<url>/<group>`; for the whole node, `<url>` itself. */
export function targetOf(url: Target, group: string): Target {
  return group === "" ? url : { ...url, path: `${url.path}/${group}`, text: `${url.text}/${group}` };
}

function problem(text: string, hint = "`ober health --help` explains its arguments"): OptionsProblem {
  return { problem: text, hint };
}

/** The installation's PATH, from the executable's real location `PATH/bin/ober`. */
const prefixOf = (executable: string): string => executable.split("/").slice(0, -2).join("/");
const varOf = (executable: string): string => `${prefixOf(executable)}/var`;

function readTarget(text: string): Target | undefined {
  const match = /^http:\/\/(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?(\/[!-~]*)?$/.exec(text);
  const port = Number(match?.[2] ?? 80);
  if (!match?.[1] || port < 1 || port > 65_535) return undefined;
  return { host: match[1].replace(/^\[|\]$/g, ""), port, path: match[3] ?? "/", text };
}

/** A VIP as written on the command line, ADDRESS or ADDRESS@GROUP; undefined for anything else. */
export function readVip(word: string): Vip | undefined {
  // The group becomes part of a URL and of log lines: allow only what ober.yaml allows as a group's name.
  const match = /^([0-9a-fA-F:.]+)(?:@([\w.-]+))?$/.exec(word);
  if (!match?.[1]) return undefined;
  const [, address, group = ""] = match;
  if (address.includes(":")) return isIpv6(address) ? { address, prefix: `${address}/128`, group } : undefined;
  const octets = address.split(".");
  const valid =
    octets.length === 4 && octets.every((octet) => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) <= 255);
  return valid ? { address, prefix: `${address}/32`, group } : undefined;
}

function isIpv6(address: string): boolean {
  return URL.canParse(`http://[${address}]/`);
}
