/**
 * Why a VIP is or is not served from this node: the links from HAProxy to the router or the segment, in the order in which one
 * causes the next. Pure; the first broken link is the reason, and those behind it are its consequences.
 */
import type { VrrpVip } from "../checks/vrrp.ts";
import { QUESTIONS, type Question } from "./sight.ts";
import type { NodeStatus } from "./status.ts";
import {
  addressLink,
  admissionLinks,
  bfdLinks,
  certificateLinks,
  clientsLink,
  drainLink,
  haproxyLink,
  healthLink,
  loopLink,
  rgwLinks,
  routeLink,
  sessionLinks,
  unknownLink,
  vrrpLinks,
} from "./why-links.ts";

export type Link = { readonly link: string; readonly text: string } & (
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

export type WhyFacts = {
  readonly status: NodeStatus;
  readonly now: number;
  /** What HAProxy answers for the VIP's own group. */
  readonly groupHealth: { readonly ok: boolean; readonly reason: string; readonly latencyMs: number };
};

/** The chain of one VIP. `vip` must be one of the configuration's. */
export function whyOf(vip: string, facts: WhyFacts): Why {
  const { status } = facts;
  const bgp = status.vips.find((one) => one.vip === vip);
  const vrrp = status.vrrp?.vips.find((one) => one.vip === vip);
  const unseen = status.mode === "keepalived" ? unknownLink(facts, "vrrp", "VRRP") : undefined;
  if (bgp === undefined && vrrp === undefined && unseen === undefined) throw new Error(`${vip} is no VIP of this node`);
  const common = [
    ...certificateLinks(facts),
    haproxyLink(facts),
    ...rgwLinks(facts, bgp?.backend),
    clientsLink(facts),
    healthLink(facts),
    drainLink(facts),
    ...admissionLinks(facts),
  ];
  const links = bgp
    ? [
        ...common,
        addressLink(bgp, facts),
        loopLink(facts),
        routeLink(bgp, facts),
        ...sessionLinks(facts),
        ...bfdLinks(facts),
      ]
    : [...common, ...(vrrp ? vrrpLinks(vrrp, facts) : []), ...(unseen ? [unseen] : [])];
  const doubt = doubtOf(status);
  if (doubt !== undefined && links.every(({ state }) => state !== "broken")) {
    const conclusion = `whether ${vip} is served from this node is not known: ${doubt}`;
    return { vip, here: false, served: false, links, conclusion, type: "ober doctor" };
  }
  const here = bgp ? links.every(({ state }) => state !== "broken") : vrrp?.state === "MASTER" && vrrp.onInterface;
  return { vip, here: here === true, links, ...concluded(vip, links, here === true ? undefined : vrrp) };
}

/** What is not known and decides; undefined where the rest is proof enough. */
function doubtOf({ unanswered, neighbors, mode }: NodeStatus): string | undefined {
  const proven = neighbors.some(({ session }) => session);
  const decides = (question: Question) =>
    question === "addresses" || (mode === "keepalived" ? question === "vrrp" : question === "sessions" && !proven);
  const found = unanswered.find(({ question }) => decides(question));
  return found && `${QUESTIONS[found.question]}: ${found.problem}`;
}

/** `elsewhere` is how things stand with a VIP in keepalived mode that is not here. */
function concluded(vip: string, links: readonly Link[], elsewhere: VrrpVip | undefined) {
  const broken = links.find((link) => link.state === "broken");
  const held = elsewhere?.holder === undefined ? "" : ` (${elsewhere.holder} serves it)`;
  if (broken?.state === "broken") {
    const verb =
      elsewhere === undefined && links.some(({ link }) => link === "VRRP")
        ? "is served from this node, but"
        : "is not served from this node";
    return { served: false, conclusion: `${vip} ${verb}: ${broken.because}${held}`, type: broken.type };
  }
  if (elsewhere === undefined) return { served: true, conclusion: `${vip} is served from this node`, type: undefined };
  return {
    served: true,
    conclusion: `${vip} is served by ${elsewhere.holder}${elsewhere.holder === elsewhere.owner ? ", its owner" : ""}; this node stands by`,
    type: undefined,
  };
}
