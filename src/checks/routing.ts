/** BGP mode: routes and the sessions that carry them. */

import { inSubnet } from "../domain/address.ts";
import { ago } from "../domain/age.ts";
import { canariesOf } from "../domain/canary.ts";
import { several } from "../domain/foreign.ts";
import type { LastChoice } from "../domain/guard.ts";
import { UNIT } from "../domain/units.ts";
import { orUndefined } from "../errors.ts";
import { TELLING } from "../health/sessions.ts";
import type { HealthState, VipState } from "../health/state.ts";
import type { Sight } from "../node/sight.ts";
import { LOOP_SILENT_MS } from "../system/health-state.ts";
import { tcpConnect } from "../system/tcp.ts";
import { fail, pass, skip, stops, type Verdict, warn } from "./check.ts";
import { type Neighbor, withWords } from "./neighbors.ts";

/** Whether a router accepts the routes: without one, they reach no client. */
export async function checkBgp(sight: Sight): Promise<Verdict> {
  const config = await sight.config();
  if (config?.ha_mode !== "bgp") return skip("not in BGP mode");
  if (!sight.paths) return skip("not installed");
  // If systemd does not answer, the sessions alone decide.
  const unit = await orUndefined(() => sight.unit(UNIT.bgp));
  if (unit !== undefined && unit.active !== "active") return skip("ober-bgp does not run");
  const [found, health] = await Promise.all([sight.neighbors(), sight.isRoot ? orUndefined(sight.loop) : undefined]);
  const down = found.filter((one) => !withWords(one, health).session);
  // ExaBGP's word proves a session, and the kernel's proves that there is none.
  if (down.length === found.length) await sight.connected();
  if (down.length === 0) return pass(`up with ${found.map(({ neighbor }) => neighbor).join(", ")}`);
  const secrets = sight.isRoot ? await orUndefined(sight.secrets) : undefined;
  const reasons = await Promise.all(
    down.map(async (one) => {
      const reason = withWords(one, health).reason ?? "";
      const [address = one.neighbor] = one.addresses;
      // The router's own message about the configuration is better evidence than any attempt from here.
      const password = secrets?.bgpPassword(one.neighbor) !== undefined;
      // At a glance only where there is a password: whether the router has one too decides what to do.
      const asks = !TELLING.test(reason) && (sight.thorough || password);
      const tried = asks ? await tcpConnect(address, 179, 1500) : undefined;
      const answers = `port 179 answers${password ? " without the password that is set here: the router has none" : ""}`;
      const port = tried === undefined ? "" : tried.ok ? answers : `port 179: ${tried.reason}`;
      return { neighbor: one.neighbor, text: [reason, port].filter((part) => part).join("; ") };
    }),
  );
  return sessionsVerdict(reasons, { all: found.length, address: down[0]?.addresses[0] ?? "" });
}

/** `down` are the routers without a session, of `all`. Pure. */
export function sessionsVerdict(
  down: readonly { readonly neighbor: string; readonly text: string }[],
  { all, address }: { readonly all: number; readonly address: string },
): Verdict {
  const texts = down
    .map(({ neighbor, text }) => `no session with ${neighbor}${text === "" ? "" : `: ${text}`}`)
    .join("; ");
  const said = down[0]?.text ?? "";
  const fix = sessionFix(said, address);
  return down.length === all ? stops(fail(`no router has a BGP session: ${texts}`, fix)) : warn(texts, fix);
}

/** Judged by the message of the router or the kernel. */
function sessionFix(said: string, address: string): string {
  if (said.includes("AS number"))
    return "the same AS numbers on both sides: bgp.local_as and bgp.peer_as in ober.yaml, then: ober apply";
  if (said.includes("password"))
    return "the same password on both sides: bgp_password in ~/.ober/login, then: ober apply";
  const router = "on the router: this node's neighbor entry (ober router-config)";
  return `${router}; TCP 179 to ${address} must pass: ober doctor --only link,firewall,bgp`;
}

/** What the health loop wants, and whether ExaBGP has done it. With `vip`, judges one VIP and adds the evidence. */
export async function checkRoutes(sight: Sight, vip?: string): Promise<Verdict> {
  const config = await sight.config();
  if (config?.ha_mode !== "bgp" || !sight.paths) return skip("not in BGP mode");
  // If systemd does not answer, the loop's own report shows whether it lives.
  const unit = await orUndefined(() => sight.unit(UNIT.bgp));
  if (unit !== undefined && unit.active !== "active") return skip("ober-bgp does not run");
  const state = await sight.loop();
  if (!sight.isRoot && state === undefined) return skip("needs root");
  const drained = (await orUndefined(sight.drainFlag)) !== undefined;
  const held = (await orUndefined(sight.held)) !== undefined;
  return vip === undefined
    ? routesVerdict(state, { drained: drained || held, now: sight.now })
    : routeVerdict(state, vip, sight.now);
}

const RESTART = "systemctl restart ober-bgp.service; why it happened: ober logs --service bgp";

/** Undefined if the loop lives. Pure. */
function loopTrouble(state: HealthState | undefined, now: number): Verdict | undefined {
  if (state === undefined) return stops(fail("the health loop has not written its state yet", RESTART));
  const silentMs = now - Date.parse(state.updatedAt);
  if (!state.stopped && silentMs <= LOOP_SILENT_MS) return undefined;
  return state.stopped
    ? stops(fail(`the health loop ended ${ago(silentMs)}`, RESTART))
    : stops(
        fail(`the health loop has been silent for ${Math.round(silentMs / 1000)} s: routes stay as they are`, RESTART),
      );
}

export function routesVerdict(
  state: HealthState | undefined,
  { drained, now }: { readonly drained: boolean; readonly now: number },
): Verdict {
  const trouble = loopTrouble(state, now);
  if (trouble !== undefined || state === undefined) return trouble ?? skip("not known");
  const unsure = state.vips.filter(({ acknowledged }) => !acknowledged);
  if (unsure.length > 0) {
    return stops(
      fail(
        alike(unsure, ({ problem, cause }) => problem ?? `not acknowledged: ${cause}`),
        RESTART,
      ),
    );
  }
  const away = state.vips.filter(({ announced }) => !announced);
  const damped = state.vips.filter(({ lastChoice }) => lastChoice === "damped");
  if (damped.length > 0)
    return warn(
      alike(damped, ({ cause }) => cause),
      LAST_CHOICE_FIX.damped,
    );
  if (away.length === 0) return pass("all announced and acknowledged");
  const text = alike(away, ({ cause }) => `withdrawn: ${cause}`);
  return drained ? pass(text) : stops(warn(text, "ober why"));
}

/** VIPs with the same trouble share a sentence. */
function alike(vips: readonly VipState[], text: (vip: VipState) => string): string {
  return [...Map.groupBy(vips, text)]
    .map(
      ([said, same]) =>
        `${several(
          same.map(({ vip }) => vip),
          NAMED,
        )}: ${said}`,
    )
    .join("; ");
}

/** Longer lists are shown as a number. */
const NAMED = 4;

/** What to do about a route that is the last choice; nothing for what ober wants so, or what the RGWs' own check says. */
const LAST_CHOICE_FIX = {
  scarce: "ober status: bring the RGWs back that do not answer",
  damped: "ober history shows each failure; when its cause is mended: ober undrain",
  starved: undefined,
  leaving: undefined,
} as const satisfies Readonly<Record<LastChoice, string | undefined>>;

/** The route of one VIP, with the evidence. Pure. */
export function routeVerdict(state: HealthState | undefined, address: string, now: number): Verdict {
  const trouble = loopTrouble(state, now);
  if (trouble !== undefined || state === undefined) return trouble ?? skip("not known");
  const vip = state.vips.find((one) => one.vip === address);
  if (vip === undefined) return stops(fail(`the health loop does not know ${address}`, "ober apply --yes"));
  const { lastProbe } = state;
  const when = ago(now - Date.parse(vip.since));
  const probe = lastProbe
    ? `; last check ${ago(now - Date.parse(lastProbe.at))}: ${lastProbe.ok ? `good, ${lastProbe.latencyMs.toFixed(1)} ms` : lastProbe.reason}`
    : "";
  if (!vip.acknowledged) {
    const problem = vip.problem ?? vip.cause;
    return stops(fail(`ExaBGP does not acknowledge the route: ${problem}`, RESTART));
  }
  if (vip.lastChoice !== undefined) {
    const text = `announced ${when} as the last choice: ${vip.cause}${probe}`;
    const fix = LAST_CHOICE_FIX[vip.lastChoice];
    return fix === undefined ? pass(text) : warn(text, fix);
  }
  if (vip.announced) return pass(`announced ${when}, acknowledged by ExaBGP${probe}`);
  return stops(warn(`withdrawn ${when}: ${vip.cause}${probe}`, "ober doctor"));
}

/** The machine that has the address on the segment would answer its packets, and they would never reach the router. */
export async function checkVipNetworks(sight: Sight): Promise<Verdict> {
  const [config, place] = [await sight.config(), await sight.place()];
  if (config?.ha_mode !== "bgp" || place === undefined) return skip("not in BGP mode");
  const inside = [
    ...config.vips.map(({ address }) => address),
    ...(config.bgp.canary === "" ? [] : canariesOf(config.bgp.canary, 1)),
  ].flatMap((address) =>
    place.networks.filter((network) => inSubnet(address, network)).map((network) => `${address} is in ${network}`),
  );
  return inside.length === 0
    ? pass("in no network of this machine")
    : warn(
        `${inside.join(", ")}: machines of that segment look for it by ARP and find nothing`,
        "choose VIPs and canary addresses outside of the nodes' networks in ober.yaml, then: ober apply",
      );
}

export async function checkBfd(sight: Sight): Promise<Verdict> {
  const config = await sight.config();
  if (!sight.paths || !config?.bgp.bfd_enabled || config.ha_mode !== "bgp") return skip("off");
  const unit = await orUndefined(() => sight.unit(UNIT.bfd));
  if (unit !== undefined && unit.active !== "active") return skip("ober-bfd does not run");
  if (!sight.isRoot) return skip("needs root");
  return bfdVerdict(Object.entries((await sight.bfd()) ?? {}), await sight.neighbors());
}

/** Pure. */
export function bfdVerdict(
  sessions: readonly (readonly [peer: string, state: string])[],
  neighbors: readonly (Pick<Neighbor, "session"> & { readonly addresses: readonly string[] })[],
): Verdict {
  const down = sessions.filter(([, state]) => state !== "Up");
  if (down.length === 0) return pass("up");
  const text = down.map(([peer, state]) => `${peer} is ${state}`).join(", ");
  // If BGP is down as well, the path is broken, not the router's BFD.
  const path = down.every(([peer]) => neighbors.some((one) => one.addresses.includes(peer) && !one.session));
  return path
    ? warn(`${text}, and has no BGP session either`, "ober doctor --only link,bgp")
    : warn(
        `${text}: a dead node is noticed only after the hold time`,
        "let UDP 3784 through, and switch BFD on for this neighbor on the router (ober router-config); or bgp.bfd_enabled: false",
      );
}
