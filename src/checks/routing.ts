/** BGP mode: routes and the sessions that carry them. */

import { readSecrets } from "../config/secrets.ts";
import { inSubnet } from "../domain/address.ts";
import { UNIT } from "../domain/units.ts";
import { TELLING } from "../health/sessions.ts";
import type { HealthState } from "../health/state.ts";
import { gatherPlace } from "../node/facts.ts";
import { bfdSessions } from "../system/bgp.ts";
import { readDrainFlag } from "../system/drain-flag.ts";
import { LOOP_SILENT_MS, readHealthState } from "../system/health-state.ts";
import { unitState } from "../system/systemd.ts";
import { tcpConnect } from "../system/tcp.ts";
import { fail, pass, skip, type Verdict, warn } from "./check.ts";
import { configOf, type Host } from "./host-config.ts";
import { neighborStatus, withWords } from "./neighbors.ts";

export async function checkBgp(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (config?.ha_mode !== "bgp") return skip("not in BGP mode");
  if ((await unitState(host.system, UNIT.bgp)).active !== "active") return skip("ober-bgp does not run");
  if (!host.paths) return skip("not installed");
  const [found, health] = await Promise.all([
    neighborStatus({ ...host, paths: host.paths }, config),
    host.isRoot ? readHealthState(host.system, host.paths) : undefined,
  ]);
  const down = found.filter((one) => !withWords(one, health).session);
  if (down.length === 0) return pass(`up with ${found.map(({ neighbor }) => neighbor).join(", ")}`);
  const texts = await Promise.all(
    down.map(async (one) => {
      const reason = withWords(one, health).reason ?? "";
      const [address = one.neighbor] = one.addresses;
      // What the router says of the configuration tells more than any attempt of ours.
      const tried = TELLING.test(reason) ? undefined : await tcpConnect(address, 179, 1500);
      const password = host.isRoot && (await readSecrets(host.system)).bgpPassword(one.neighbor) !== undefined;
      const answers = `port 179 answers${password ? " without the password that is set here: the router has none" : ""}`;
      const port = tried === undefined ? "" : tried.ok ? answers : `port 179: ${tried.reason}`;
      return `no session with ${one.neighbor}: ${[reason, port].filter((part) => part).join("; ")}`;
    }),
  );
  const fix = `on the router: this node's neighbor entry, AS numbers, password; the way there: ip route get ${down[0]?.addresses[0]}`;
  return (down.length === found.length ? fail : warn)(texts.join("; "), fix);
}

/** What the health loop wants, and whether ExaBGP has done it. */
export async function checkRoutes(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (config?.ha_mode !== "bgp" || !host.paths) return skip("not in BGP mode");
  if ((await unitState(host.system, UNIT.bgp)).active !== "active") return skip("ober-bgp does not run");
  if (!host.isRoot) return skip("needs root");
  const state = await readHealthState(host.system, host.paths);
  return routesVerdict(state, {
    drained: (await readDrainFlag(host.system, host.paths)) !== undefined,
    now: Date.now(),
  });
}

export function routesVerdict(
  state: HealthState | undefined,
  { drained, now }: { readonly drained: boolean; readonly now: number },
): Verdict {
  const logs = "ober logs --service bgp";
  if (state === undefined) return fail("the health loop has not written its state yet", logs);
  const silentMs = now - Date.parse(state.updatedAt);
  if (state.stopped || silentMs > LOOP_SILENT_MS) {
    return fail(`the health loop is silent for ${Math.round(silentMs / 1000)} s: routes stay as they are`, logs);
  }
  const unsure = state.vips.filter(({ acknowledged }) => !acknowledged);
  if (unsure.length > 0) {
    return fail(
      unsure.map(({ vip, problem, cause }) => `${vip}: ${problem ?? `not acknowledged: ${cause}`}`).join("; "),
      logs,
    );
  }
  const away = state.vips.filter(({ announced }) => !announced);
  if (away.length === 0) return pass("all announced and acknowledged");
  const text = away.map(({ vip, cause }) => `${vip} is withdrawn: ${cause}`).join("; ");
  return drained ? pass(text) : warn(text, "ober why");
}

/** Its packets would be answered by whoever has it on the segment, and never reach the router. */
export async function checkVipNetworks(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (config?.ha_mode !== "bgp") return skip("not in BGP mode");
  const { networks } = await gatherPlace(host, config);
  const inside = config.vips.flatMap(({ address }) =>
    networks.filter((network) => inSubnet(address, network)).map((network) => `${address} is in ${network}`),
  );
  return inside.length === 0
    ? pass("in no network of this machine")
    : warn(
        `${inside.join(", ")}: machines of that segment look for it by ARP and find nobody`,
        "choose VIPs outside of the nodes' networks",
      );
}

export async function checkBfd(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (!host.paths || !config?.bgp.bfd_enabled || config.ha_mode !== "bgp") return skip("off");
  if ((await unitState(host.system, UNIT.bfd)).active !== "active") return skip("ober-bfd does not run");
  if (!host.isRoot) return skip("needs root");
  const down = Object.entries(await bfdSessions(host.system, host.paths.bfdSocket)).filter(
    ([, state]) => state !== "Up",
  );
  return down.length === 0
    ? pass("up")
    : warn(
        `${down.map(([peer, state]) => `${peer} is ${state}`).join(", ")}: a dead node is noticed only after the hold time`,
        "switch BFD on for this neighbor on the router, or bgp.bfd_enabled: false",
      );
}
