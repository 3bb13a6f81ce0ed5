import type { Config } from "../config/schema.ts";
import { parseAddress } from "../domain/address.ts";
import { clusterNodes } from "../render/keepalived.ts";
import { routeTo } from "../system/addresses.ts";
import { isInstalled } from "../system/programs.ts";
import { askNames, COMMAND_MS } from "../system/resolve.ts";
import type { System } from "../system/system.ts";
import { fail, pass, skip, type Verdict } from "./check.ts";
import type { Place } from "./vrrp.ts";

type Path = { readonly to: string; readonly mtu: number; readonly passes: boolean | undefined };

/**
 * Whether packets as large as the interface allows reach the RGWs and the other nodes. Where a switch on the way takes less and no
 * one says so, small requests work and every large transfer hangs.
 */
export async function checkPathMtu(system: System, config: Config, place: Place): Promise<Verdict> {
  if (!(await isInstalled(system, "ping"))) return skip("ping is not installed");
  const paths = await Promise.all((await destinations(system, config, place)).map((to) => probe(system, to)));
  return mtuVerdict(paths.flatMap((path) => path ?? []));
}

export function mtuVerdict(paths: readonly Path[]): Verdict {
  const narrow = paths.filter(({ passes }) => passes === false);
  const known = paths.filter(({ passes }) => passes);
  if (narrow.length > 0) {
    const [first] = narrow;
    return fail(
      narrow.map(({ to, mtu }) => `packets of ${mtu} bytes do not reach ${to}, small ones do`).join("; "),
      `the same MTU on every switch and machine of the way; ping -M do -s ${(first?.mtu ?? 1500) - 28} ${first?.to}`,
    );
  }
  if (known.length === 0) return skip("nobody answers pings");
  return pass(
    `${[...new Set(known.map(({ mtu }) => mtu))].join(", ")} bytes to ${known.map(({ to }) => to).join(", ")}`,
  );
}

async function destinations(system: System, config: Config, place: Place): Promise<readonly string[]> {
  const others = config.ha_mode === "keepalived" ? clusterNodes(config, place) : [];
  const hosts = config.backends.flatMap(({ servers }) => servers.map(({ host }) => host));
  const answers = await askNames(
    system,
    hosts.filter((host) => parseAddress(host) === undefined),
    COMMAND_MS,
  );
  // A name that does not resolve is the finding of another check.
  const addresses = hosts.flatMap((host) => {
    const answer = answers.get(host);
    if (answer === undefined) return [host];
    return "addresses" in answer ? answer.addresses.slice(0, 1) : [];
  });
  return [...new Set([...others, ...addresses])].filter((address) => address !== place.address);
}

async function probe(system: System, to: string): Promise<Path | undefined> {
  const route = await routeTo(system, to);
  const mtu = route && Number(await system.read(`/sys/class/net/${route.interface}/mtu`));
  if (!mtu) return undefined;
  // Headers of IP and of the echo.
  const headers = to.includes(":") ? 48 : 28;
  const passes = await echoes(system, to, mtu - headers);
  return { to, mtu, passes: passes || ((await echoes(system, to, 56)) ? false : undefined) };
}

async function echoes(system: System, to: string, bytes: number): Promise<boolean> {
  const { code } = await system.run(["ping", "-c", "2", "-i", "0.3", "-W", "1", "-M", "do", "-s", `${bytes}`, to], {
    accept: [0, 1, 2],
  });
  return code === 0;
}
