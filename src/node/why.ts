/**
 * Why a VIP is or is not served from this node: the conditions that carry it, in the order in which one causes the next. The first that fails is
 * the reason, and those behind it are its consequences.
 */
import type { Finding } from "../checks/check.ts";
import { isTrouble } from "../checks/check.ts";
import type { VrrpVip } from "../checks/vrrp.ts";
import type { Config } from "../config/schema.ts";
import { orUndefined } from "../errors.ts";
import { judge, OF_A_VIP } from "./conditions.ts";
import type { Sight } from "./sight.ts";

export type Link = { readonly id: string; readonly link: string; readonly text: string } & (
  | { readonly state: "ok" | "note" }
  /** `because` completes "... is not served from this node: "; `type` is what to type. */
  | { readonly state: "broken"; readonly because: string; readonly type: string }
);

export type Why = {
  readonly vip: string;
  /** Whether this node serves the VIP now. */
  readonly here: boolean;
  /** Nothing is broken: it is served here, or by the node that shall have it. */
  readonly served: boolean;
  readonly links: readonly Link[];
  readonly conclusion: string;
  /** What to type; undefined when there is nothing to do. */
  readonly type: string | undefined;
};

/** The same without the evidence, for `status`, the metrics and `status --all`. */
export type Service = {
  readonly vip: string;
  readonly here: boolean;
  readonly served: boolean;
  /** It is not known: what decides could not be asked. */
  readonly unknown: boolean;
  /** The condition that is the reason; null where it is served. */
  readonly reason: string | null;
  readonly because: string;
  readonly fix: string | null;
};

/** Out of traffic because an operator wants it so: no failure. */
export const isOnPurpose = ({ reason }: Service): boolean => reason === "drained" || reason === "held";

/** What decides whether clients reach a VIP, and proves nothing where it is not known. */
const DECIDING: readonly string[] = ["vips", "routes", "bgp", "vrrp"];

/** Asks all that carries a VIP. `vip` must be one of the configuration's. */
export async function whyOf(sight: Sight, vip: string): Promise<Why> {
  const findings = await judge(sight, OF_A_VIP, vip);
  return concluded(vip, findings, await vrrpOf(sight, vip));
}

/** How each VIP is served. */
export function serviceOf(sight: Sight, { vips }: Pick<Config, "vips">): Promise<readonly Service[]> {
  return Promise.all(
    vips.map(async ({ address }) => {
      const findings = await judge(sight, OF_A_VIP, address);
      return serviceIn(address, findings, await vrrpOf(sight, address));
    }),
  );
}

/** How keepalived has the VIP; undefined in BGP mode, and where it could not be asked. */
async function vrrpOf(sight: Sight, vip: string): Promise<VrrpVip | undefined> {
  return (await orUndefined(sight.vrrp))?.vips.find((one) => one.vip === vip);
}

type Broken = Extract<Link, { state: "broken" }>;

/** Pure. */
export function linksOf(findings: readonly Finding[]): readonly Link[] {
  return findings.flatMap((finding): readonly Link[] => {
    const { id, title: link, detail: text } = finding;
    if (finding.status === "skip") return [];
    if (!isTrouble(finding)) return [{ id, link, text, state: "ok" }];
    if (finding.follows !== undefined)
      return [{ id, link, text: `${text} (follows from: ${finding.follows})`, state: "note" }];
    if (finding.stops !== true) return [{ id, link, text, state: "note" }];
    return [{ id, link, text, state: "broken", because: text, type: finding.fix }];
  });
}

/** `vrrp` is how keepalived has the VIP, in its mode. Pure. */
export function concluded(vip: string, findings: readonly Finding[], vrrp?: VrrpVip): Why {
  const links = linksOf(findings);
  const broken = links.find((link): link is Broken => link.state === "broken");
  const doubt = findings.find(({ id, unknown }) => unknown === true && DECIDING.includes(id));
  if (broken === undefined && doubt !== undefined) {
    const conclusion = `whether ${vip} is served from this node is not known: ${doubt.detail}`;
    // What merely took too long has no remedy of its own.
    const type = doubt.status === "fail" ? doubt.fix : "ober doctor";
    return { vip, here: false, served: false, links, conclusion, type };
  }
  const held = vrrp !== undefined && vrrp.state === "MASTER" && vrrp.onInterface;
  const here = vrrp === undefined ? broken === undefined : held;
  if (broken !== undefined) {
    const elsewhere = vrrp?.holder !== undefined && !held ? ` (${vrrp.holder} serves it)` : "";
    const verb = held ? "is served from this node, but" : "is not served from this node";
    const conclusion = `${vip} ${verb}: ${broken.because}${elsewhere}`;
    return { vip, here, served: false, links, conclusion, type: broken.type };
  }
  const by = here
    ? "from this node"
    : `by ${vrrp?.holder}${vrrp?.holder === vrrp?.owner ? ", its owner" : ""}; this node stands by`;
  return { vip, here, served: true, links, conclusion: `${vip} is served ${by}`, type: undefined };
}

/** The same, short. Pure. */
export function serviceIn(vip: string, findings: readonly Finding[], vrrp?: VrrpVip): Service {
  const { here, served, links, conclusion, type } = concluded(vip, findings, vrrp);
  const broken = links.find((link): link is Broken => link.state === "broken");
  const unknown = !served && broken === undefined;
  return {
    vip,
    here,
    served,
    unknown,
    reason: broken?.id ?? null,
    because: broken?.because ?? (served ? "" : conclusion),
    fix: type ?? null,
  };
}
