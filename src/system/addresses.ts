import { parseIpAddresses, parseIpRoutes } from "./ip-json.ts";
import type { System } from "./system.ts";

/** An address on an interface of this machine. */
export type LocalAddress = {
  readonly interface: string;
  readonly address: string;
  readonly prefixLength: number;
  /** The interface has another address in the same network, as is common for VIPs. */
  readonly secondary?: boolean;
};

/** Every address of this machine. See ip-address(8), `-json`. */
export async function localAddresses(system: System): Promise<readonly LocalAddress[]> {
  const { stdout } = await system.run(["ip", "-json", "addr", "show"]);
  return parseIpAddresses(stdout).flatMap(({ ifname, addr_info: addresses }) =>
    addresses.flatMap(({ local, prefixlen, secondary = false }) =>
      local === undefined ? [] : [{ interface: ifname, address: local, prefixLength: prefixlen ?? 0, secondary }],
    ),
  );
}

/** The interface and source address that the kernel would use towards `destination`, and the router on the way, if any. */
export type Route = { readonly interface: string; readonly address: string; readonly gateway?: string };

/** The kernel's route to `destination`; undefined if there is none. */
export async function routeTo(system: System, destination: string): Promise<Route | undefined> {
  const { code, stdout } = await system.run(["ip", "-json", "route", "get", destination], { accept: [0, 1, 2] });
  const [route] = code === 0 ? parseIpRoutes(stdout) : [];
  if (!route?.dev || !route.prefsrc) return undefined;
  const { dev, prefsrc, gateway } = route;
  return { interface: dev, address: prefsrc, ...(gateway === undefined ? {} : { gateway }) };
}

/** The router on the way to `destination`; undefined if it is on a segment of this machine, or there is no route. */
export async function nextRouter(system: System, destination: string): Promise<string | undefined> {
  return (await routeTo(system, destination))?.gateway;
}
