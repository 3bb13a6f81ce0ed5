/** The interface that carries the node: its cable, its addresses, its default route. */
import type { Config } from "../config/schema.ts";
import { isAddress } from "../domain/address.ts";
import type { Sight } from "../node/sight.ts";
import { parseIpRoutes } from "../system/ip-json.ts";
import type { System } from "../system/system.ts";
import { fail, pass, skip, stops, type Verdict } from "./check.ts";

/** What the kernel says of an interface in `/sys/class/net`. */
export type Link = { readonly name: string; readonly up: boolean; readonly carrier: boolean };

export async function checkLink(sight: Sight): Promise<Verdict> {
  const { system } = sight;
  const config = await sight.config();
  if (!config) return skip("not configured");
  const named = config.ha_mode === "keepalived" ? config.keepalived.interface : "";
  const present = await system.list("/sys/class/net");
  if (present.length === 0) return skip("this machine does not say");
  if (named !== "" && !present.includes(named)) {
    const others = present.filter((name) => name !== "lo").join(", ");
    return stops(
      fail(
        `there is no interface ${named} (keepalived.interface)`,
        `set keepalived.interface to one of ${others} in ober.yaml, then: ober apply`,
      ),
    );
  }
  const vips = config.vips.map(({ address }) => address);
  const own = (await sight.addresses()).filter(({ address }) => !vips.includes(address));
  const names = [...new Set(own.map((one) => one.interface))].filter((name) => name !== "lo");
  const links = await Promise.all(
    (named === "" ? names : [named]).map(async (name): Promise<Link> => {
      const [state, carrier] = await Promise.all([
        system.read(`/sys/class/net/${name}/operstate`),
        // The kernel does not tell it for an interface that is down.
        system.read(`/sys/class/net/${name}/carrier`).catch(() => "0"),
      ]);
      const flags = Number((await system.read(`/sys/class/net/${name}/flags`)) ?? "0x1");
      return {
        name,
        up: (flags & IFF_UP) !== 0,
        carrier: carrier?.trim() !== "0" && state?.trim() !== "lowerlayerdown",
      };
    }),
  );
  const verdict = linkVerdict(links);
  if (verdict.status !== "pass" || config.ha_mode !== "bgp" || (await hasWayOut(system))) return verdict;
  // Not an outage for sure: clients may all be in the networks of this machine.
  return fail("no default route: clients behind the router get no answer", routeFix(config));
}

/** Whether any route leads out of this machine's own networks; a default route is one of them. In doubt there is one. */
async function hasWayOut(system: System): Promise<boolean> {
  // Nearly every machine has a route by a gateway in its main table of IPv4, which the kernel tells without a program.
  if (hasGateway((await system.read("/proc/net/route")) ?? "")) return true;
  for (const words of ["-4 -json route show table all", "-6 -json route show table all"]) {
    const show = ["ip", ...words.split(" ")];
    const { code, stdout } = await system.run(show, { accept: [0, 1, 2, 127, 255] });
    if (code !== 0) return true;
    const leads = parseIpRoutes(stdout).some(
      ({ type, dst, gateway, via, nexthops }) =>
        (type ?? "unicast") === "unicast" &&
        (dst === "default" || [gateway, via, nexthops].some((hop) => hop !== undefined)),
    );
    if (leads) return true;
  }
  return false;
}

/** Whether /proc/net/route (proc_pid_net(5)) has a route by a gateway, or a default route; its columns are interface, destination, gateway, flags. */
export const hasGateway = (table: string): boolean =>
  table
    .split("\n")
    .slice(1)
    .some((line) => {
      const [, destination, gateway, flags] = line.split("\t");
      if (flags === undefined || (Number(`0x${flags}`) & RTF_REJECT) !== 0) return false;
      return destination === "00000000" || gateway !== "00000000";
    });

/** The router that takes the routes is the way to the clients unless the site is built otherwise. */
function routeFix({ bgp }: Config): string {
  const router = bgp.neighbors.find(isAddress) ?? "ROUTER";
  return `ip route add default via ${router}; for the next boot: the same in the network configuration of this system`;
}

const IFF_UP = 0x1;
/** linux/route.h: a route that refuses. */
const RTF_REJECT = 0x200;

/** A node with one working interface may have others that do not work: only the failure of all is an outage. Pure. */
export function linkVerdict(links: readonly Link[]): Verdict {
  const well = links.filter(({ up, carrier }) => up && carrier);
  if (well.length > 0) return pass(`${well.map(({ name }) => name).join(", ")} up`);
  const [first] = links;
  if (first === undefined)
    return stops(fail("no interface has an address", "ip -br addr; give the interface its address again"));
  return stops(
    first.up
      ? fail(
          `${first.name} has no link: its cable, or the port of the switch`,
          `plug the cable of ${first.name} in; is the port of the switch (or of the hypervisor) up?`,
        )
      : fail(`${first.name} is down`, `ip link set ${first.name} up`),
  );
}
