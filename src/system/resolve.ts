/**
 * Names and their addresses, as every other program on this machine sees them: by the C library, so /etc/hosts, search domains and
 * everything else in nsswitch.conf(5) count. The C library cannot be interrupted, so each query is a process that is ended at its
 * deadline. All name resolution of ober is here.
 */
import { parseAddress } from "../domain/address.ts";
import { type Answer, type KnownNames, parseKnownNames } from "../domain/names.ts";
import type { Paths } from "../domain/paths.ts";
import { OberError, orUndefined } from "../errors.ts";
import type { System } from "./system.ts";

/** How long an operator's command waits for names without a known address. */
export const COMMAND_MS = 2_500;
/** How long to wait for names with a known address. */
export const KNOWN_MS = 1_000;

/** How many queries run at once; more names share the time. */
const QUESTIONS_AT_ONCE = 64;

/**
 * Asks for all names at once and returns an answer for each within `deadlineMs`, or within `deadlineMs(name)`. Does not throw because
 * of a name.
 */
export async function askNames(
  system: System,
  names: readonly string[],
  deadlineMs: number | ((name: string) => number),
): Promise<ReadonlyMap<string, Answer>> {
  const answers = new Map<string, Answer>();
  const rounds = Math.max(1, Math.ceil(names.length / QUESTIONS_AT_ONCE));
  const waiting = [...new Set(names)];
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const ms = (typeof deadlineMs === "number" ? deadlineMs : deadlineMs(name)) / rounds;
      answers.set(name, await askName(system, name, ms));
    }
  };
  await Promise.all(Array.from({ length: Math.min(QUESTIONS_AT_ONCE, waiting.length) }, worker));
  return answers;
}

/** By default the C library waits 5 s for each name server. Here it must have asked all of them by the deadline. See resolv.conf(5). */
const ASK_ALL_SERVERS = { RES_OPTIONS: "timeout:1 attempts:3" };

/** getent(1)'s exit code if a key was not found. */
const NOT_FOUND = 2;

async function askName(system: System, name: string, deadlineMs: number): Promise<Answer> {
  const asked = await orUndefined(() =>
    system.run(["getent", "ahosts", name], {
      accept: [0, 1, NOT_FOUND],
      timeoutMs: deadlineMs,
      env: ASK_ALL_SERVERS,
    }),
  );
  if (asked === undefined) return { problem: `no answer from DNS within ${Math.round(deadlineMs) / 1000} s` };
  const addresses = streamAddresses(asked.stdout.split("\n"));
  return addresses.length > 0 ? { addresses } : { problem: "DNS has no address for it, or refuses to answer" };
}

/** The addresses in the output of `getent ahosts`, in order. An address with a zone (fe80::1%eth0) cannot be a server's and is skipped. */
export function streamAddresses(lines: readonly string[]): readonly string[] {
  const addresses = lines.flatMap((line) => {
    const [address = "", type] = line.split(/\s+/);
    return type === "STREAM" ? (parseAddress(address)?.text ?? []) : [];
  });
  return [...new Set(addresses)];
}

/** Separates two names in one query: an address, which needs no name server, in a network that is never used (RFC 5737). */
const SEPARATOR = "192.0.2.254";

/**
 * Asks for all names one after the other in a single process, at a hundredth of the cost of one process each: for names that are queried every few
 * seconds while all is well. Undefined if one has no answer, or not all answer within `deadlineMs`; `askNames` finds out which.
 */
export async function askTogether(
  system: System,
  names: readonly string[],
  deadlineMs: number,
): Promise<ReadonlyMap<string, Answer> | undefined> {
  const keys = names.flatMap((name) => [name, SEPARATOR]);
  const options = { accept: [0], timeoutMs: deadlineMs, env: ASK_ALL_SERVERS };
  const asked = await orUndefined(() => system.run(["getent", "ahosts", ...keys], options));
  const parts = asked?.stdout.split(/^192\.0\.2\.254\s+RAW\b.*\n/m) ?? [];
  const answers = names.map((name, index) => {
    const lines = (parts[index] ?? "").split("\n").filter((line) => !line.startsWith(`${SEPARATOR} `));
    return [name, { addresses: streamAddresses(lines) }] as const;
  });
  return answers.some(([, { addresses }]) => addresses.length === 0) ? undefined : new Map(answers);
}

export type Resolved = {
  readonly addresses: Readonly<Record<string, readonly string[]>>;
  /** One sentence for each name that does not resolve now and has its earlier addresses. */
  readonly stale: Readonly<Record<string, string>>;
};

/**
 * Addresses of names that must have some. For a name that does not resolve now, returns its addresses in `known`. Throws an OberError
 * that names it if there are none either, after at most `COMMAND_MS`.
 */
export async function resolveHosts(system: System, names: readonly string[], known: KnownNames): Promise<Resolved> {
  const answers = await askNames(system, names, (name) => (known.has(name) ? KNOWN_MS : COMMAND_MS));
  const addresses: Record<string, readonly string[]> = {};
  const stale: Record<string, string> = {};
  for (const [name, answer] of answers) {
    const before = known.get(name);
    if ("addresses" in answer) addresses[name] = answer.addresses;
    else if (before === undefined) throw unresolved(name, answer.problem);
    else {
      addresses[name] = before.addresses;
      stale[name] =
        `${name}: address ${before.addresses[0]} from before (${before.at.slice(0, 16)}Z), ${answer.problem}`;
    }
  }
  return { addresses, stale };
}

/** Addresses of a name. Throws an OberError if it does not resolve within `COMMAND_MS`. */
export async function resolveName(system: System, name: string): Promise<readonly string[]> {
  return (await resolveHosts(system, [name], new Map())).addresses[name] ?? [];
}

const unresolved = (name: string, problem: string) =>
  new OberError(`the name "${name}" does not resolve: ${problem}`, {
    hint: `check DNS or /etc/hosts (\`getent ahosts ${name}\`), or write the address`,
  });

/** A larger file is not ober's file of names. */
const MOST_BYTES = 8 * 1024 * 1024;

/** The names that have resolved on this node before. A broken, too large or missing file counts as empty. */
export async function knownNames(system: System, paths: Pick<Paths, "knownNames"> | undefined): Promise<KnownNames> {
  return paths === undefined ? new Map() : parseKnownNames(await readBounded(system, paths.knownNames));
}

/**
 * Keeps names and their addresses for a time without DNS. Returns why it failed, if it did; callers go on, because a full disk costs
 * only the memory of names.
 */
export async function keepNames(
  system: System,
  paths: Pick<Paths, "knownNames">,
  names: KnownNames,
): Promise<string | undefined> {
  try {
    await system.writeAtomic(paths.knownNames, `${JSON.stringify(Object.fromEntries(names), undefined, 1)}\n`);
    return undefined;
  } catch (error) {
    return `the addresses of names were not saved: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** The text of one of ober's files that may be damaged; undefined if it cannot be ober's. */
export async function readBounded(system: System, path: string): Promise<string | undefined> {
  return orUndefined(async () => {
    const stat = await system.stat(path);
    return stat?.kind === "file" && stat.size <= MOST_BYTES ? system.read(path) : undefined;
  });
}

/** How many queries of `resolveNames` run at once: a slow name server then costs its delay once, not for every name. */
const LOOKUPS_AT_ONCE = 256;

/** How long DNS may take for one of thousands of names before the C library is asked, and how long that may take: two of its rounds. */
const DNS_MS = 5_000;
const LIBC_MS = 12_000;

/**
 * Addresses of many names; names that do not exist are left out. Calls `tell` with the number done, about once a second. Names
 * unknown to DNS and /etc/hosts are also looked up with the C library, which knows every source of nsswitch.conf(5). Throws an
 * OberError if no server answers: a name server that is down must not look like names that are gone.
 */
export async function resolveNames(
  names: readonly string[],
  tell: (done: number) => void,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  let [next, told] = [0, performance.now()];
  const worker = async () => {
    for (let name = names[next++]; name !== undefined; name = names[next++]) {
      const quick = await within(DNS_MS, lookUp(name, "c-ares"));
      const answer = typeof quick === "object" ? quick : await within(LIBC_MS, lookUp(name, "libc"));
      if (answer === "silence") {
        next = names.length;
        throw new OberError(`no name server answers for "${name}"`, {
          hint: `nothing was changed; check \`getent ahosts ${name}\` and /etc/resolv.conf`,
        });
      }
      if (answer !== "unknown") found.set(name, answer);
      if (performance.now() - told < 1000) continue;
      told = performance.now();
      tell(Math.min(next, names.length));
    }
  };
  await Promise.all(Array.from({ length: Math.min(LOOKUPS_AT_ONCE, names.length) }, worker));
  return found;
}

type LookedUp = readonly string[] | "unknown" | "silence";

const within = (ms: number, answer: Promise<LookedUp>): Promise<LookedUp> =>
  Promise.race([answer, Bun.sleep(ms).then(() => "silence" as const)]);

async function lookUp(name: string, backend: "c-ares" | "libc"): Promise<LookedUp> {
  try {
    const answers = await Bun.dns.lookup(name, { backend });
    return answers.length === 0 ? "unknown" : [...new Set(answers.map(({ address }) => address))];
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (/^DNS_(ENOTFOUND|ENODATA|ENONAME)$/.test(code)) return "unknown";
    if (code.startsWith("DNS_")) return "silence";
    throw error;
  }
}
