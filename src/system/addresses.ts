import { OberError } from "../errors.ts";
import type { System } from "./system.ts";

/** An address on an interface of this machine. */
export type LocalAddress = {
  readonly interface: string;
  readonly address: string;
  readonly prefixLength: number;
  /** Beside another address in the same network, as VIPs often are. */
  readonly secondary?: boolean;
};

type IpAddr = {
  ifname: string;
  addr_info?: { local?: string; prefixlen?: number; scope?: string; secondary?: boolean }[];
}[];
type IpRoute = { dev?: string; prefsrc?: string; gateway?: string }[];

/** Every address of this machine. See ip-address(8), `-json`. */
export async function localAddresses(system: System): Promise<readonly LocalAddress[]> {
  const { stdout } = await system.run(["ip", "-json", "addr", "show"]);
  return (JSON.parse(stdout || "[]") as IpAddr).flatMap(({ ifname, addr_info: addresses = [] }) =>
    addresses.flatMap(({ local, prefixlen, secondary = false }) =>
      local === undefined ? [] : [{ interface: ifname, address: local, prefixLength: prefixlen ?? 0, secondary }],
    ),
  );
}

/** The interface and the own address that the kernel would use towards `destination`; undefined when there is no route. */
export async function routeTo(
  system: System,
  destination: string,
): Promise<{ interface: string; address: string } | undefined> {
  const { code, stdout } = await system.run(["ip", "-json", "route", "get", destination], { accept: [0, 1, 2] });
  const [route] = code === 0 ? (JSON.parse(stdout || "[]") as IpRoute) : [];
  return route?.dev && route.prefsrc ? { interface: route.dev, address: route.prefsrc } : undefined;
}

/** The router on the way to `destination`; undefined when it is on a segment of this machine, or there is no way. */
export async function nextRouter(system: System, destination: string): Promise<string | undefined> {
  const { code, stdout } = await system.run(["ip", "-json", "route", "get", destination], { accept: [0, 1, 2] });
  return code === 0 ? (JSON.parse(stdout || "[]") as IpRoute)[0]?.gateway : undefined;
}

/** Addresses of a name, as every other program on this machine sees it. Throws an OberError when it does not resolve. */
export async function resolveName(system: System, name: string): Promise<readonly string[]> {
  const { code, stdout } = await system.run(["getent", "ahosts", name], { accept: [0, 1, 2], timeoutMs: 15_000 });
  const addresses = stdout.split("\n").flatMap((line) => (/\sSTREAM\b/.test(line) ? [line.split(/\s/)[0] ?? ""] : []));
  if (code === 0 && addresses.length > 0) return [...new Set(addresses)];
  throw new OberError(`the name "${name}" does not resolve`, {
    hint: `check DNS or /etc/hosts (\`getent ahosts ${name}\`), or write the address`,
  });
}

/** So many questions are under way at once: a slow name server then costs its delay once and not for every name. */
const QUESTIONS_AT_ONCE = 256;

/** How long DNS may take for a name before the C library is asked, which waits by resolv.conf(5) in its turn. */
const DNS_MS = 5_000;

/**
 * Addresses of many names; names that do not exist are left out. `tell` hears how many are done, about once a second. A name that
 * DNS and /etc/hosts do not know is asked of the C library too, which knows every source of nsswitch.conf(5). Throws an OberError
 * when nobody answers: a name server that is away must not look like names that are gone.
 */
export async function resolveNames(
  names: readonly string[],
  tell: (done: number) => void,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  let [next, told] = [0, performance.now()];
  const worker = async () => {
    for (let name = names[next++]; name !== undefined; name = names[next++]) {
      const quick = await Promise.race([askResolver(name, "c-ares"), Bun.sleep(DNS_MS)]);
      const answer = typeof quick === "object" ? quick : await askResolver(name, "libc");
      if (answer === "silence") {
        next = names.length;
        throw new OberError(`no name server answers for "${name}"`, {
          hint: `nothing was changed; \`getent ahosts ${name}\` and /etc/resolv.conf tell more`,
        });
      }
      if (answer !== "unknown") found.set(name, answer);
      if (performance.now() - told < 1000) continue;
      told = performance.now();
      tell(Math.min(next, names.length));
    }
  };
  await Promise.all(Array.from({ length: Math.min(QUESTIONS_AT_ONCE, names.length) }, worker));
  return found;
}

async function askResolver(
  name: string,
  backend: "c-ares" | "libc",
): Promise<readonly string[] | "unknown" | "silence"> {
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
