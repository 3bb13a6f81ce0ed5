/** What a router answers to this node before anything is started. */
import type { Config } from "../config/schema.ts";
import type { Secrets } from "../config/secrets.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { meaningOf } from "../health/sessions.ts";
import { routerId, type Session } from "../render/exabgp.ts";
import { type OpenResult, openBgp } from "../system/bgp-open.ts";
import { type TcpResult, tcpConnect } from "../system/tcp.ts";
import { fail, pass, type Verdict, warn } from "./check.ts";

/** A router answers a connection at once; a lost packet is sent again after a second. */
const OPEN_MS = 5000;

/** Opens a session with the router as ExaBGP would. Use it only while ExaBGP is stopped: a router accepts one session. */
export async function checkOpen(
  { name, address, local: from }: Pick<Session, "name" | "address" | "local">,
  { config, facts, secrets }: { readonly config: Config; readonly facts: NodeFacts; readonly secrets: Secrets },
): Promise<Verdict> {
  const { bgp } = config;
  const password = secrets.bgpPassword(name);
  const result = await openBgp(
    {
      address,
      localAddress: from,
      as: bgp.local_as,
      holdTime: bgp.hold_time,
      routerId: routerId(config, facts),
      password,
      ttlSecurity: bgp.ttl_security,
    },
    OPEN_MS,
  );
  // A router that answers without the password has none for this node. If nothing answers, the kernel's own words are used.
  const plain = result.end === "unreachable" ? await tcpConnect(address, 179, 2000, from) : undefined;
  return openVerdict(result, { bgp, from, address, protectedBy: protection(bgp, password), plain });
}

type Asked = {
  readonly bgp: Config["bgp"];
  readonly from: string;
  readonly address: string;
  /** "", "the password", "TTL security", or both. */
  readonly protectedBy: string;
  /** An attempt without password and TTL security, if there was no answer with them. */
  readonly plain: TcpResult | undefined;
};

function protection({ ttl_security }: Config["bgp"], password: string | undefined): string {
  return [...(password === undefined ? [] : ["the password"]), ...(ttl_security ? ["TTL security"] : [])].join(" and ");
}

/** Pure. */
export function openVerdict(result: OpenResult, { bgp, from, address, protectedBy, plain }: Asked): Verdict {
  const withIt = protectedBy === "" ? "" : ` with ${protectedBy}`;
  const way = `is ${from} a neighbor on the router, and port 179 open? ip route get ${address}`;
  const router = result.end === "unreachable" ? undefined : result.router;
  if (router && router.as !== bgp.peer_as) {
    return fail(
      `the router is AS ${router.as}, not ${bgp.peer_as}`,
      `bgp.peer_as: ${router.as} in ober.yaml, if this is the right router`,
    );
  }
  switch (result.end) {
    case "accepted": {
      const hold = Math.min(result.router.holdTime, bgp.hold_time);
      const text = `AS ${result.router.as} takes the session${withIt} in ${result.ms.toFixed(0)} ms, hold time ${hold} s`;
      return hold === 0 ? warn(`${text}: a dead node is never noticed`, "set a hold time on the router") : pass(text);
    }
    case "notification":
      return fail(
        `the router refuses: ${meaningOf(result.code, result.subcode)}`,
        `on the router: AS ${bgp.local_as} for ${from}, hold time ${bgp.hold_time} s; \`ober router-config\` prints its half`,
      );
    case "closed":
      return fail(
        "the router ends the connection without a word",
        `${way}; it may also wait a minute after an error: try again`,
      );
    case "silent": {
      // The router's listening socket may send with a TTL of 255 and the sockets that it accepts with 1.
      const ttl = bgp.ttl_security ? ": it may have no TTL security, or be more than one hop away" : "";
      return fail(`the router takes the connection and says nothing within ${OPEN_MS / 1000} s${ttl}`, way);
    }
    case "unreachable": {
      if (plain?.ok) {
        return fail(
          `the router answers only without ${protectedBy}`,
          `the same on both sides: on the router for ${from}; here bgp_password in ~/.ober/login, bgp.ttl_security`,
        );
      }
      const both =
        protectedBy === "" ? "" : `, neither with ${protectedBy} nor without: it may have another password for ${from}`;
      return fail(`port 179: ${plain?.reason ?? "no answer"}${both}`, way);
    }
  }
}
