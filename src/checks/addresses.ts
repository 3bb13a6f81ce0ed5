import { contradictingAddresses, type Place, type Places } from "../config/schema/addresses.ts";
import type { Config } from "../config/schema.ts";
import { isAddress } from "../domain/address.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { ConfigError, type ConfigProblem } from "../errors.ts";
import type { Sight } from "../node/sight.ts";
import { fail, pass, skip, type Verdict } from "./check.ts";

type Facts = Pick<NodeFacts, "address" | "interface" | "addresses" | "resolved">;

/** Addresses that contradict each other, with names resolved and this node's own addresses known. See `contradictingAddresses`. */
export function addressProblems(config: Config, facts: Facts): readonly ConfigProblem[] {
  return contradictingAddresses(placesOf(config, facts));
}

/** Throws a ConfigError that names `file` if addresses contradict each other. */
export function requireDistinctAddresses(config: Config, facts: Facts, file: string): void {
  const problems = addressProblems(config, facts);
  if (problems.length > 0) throw new ConfigError(file, problems);
}

/** The verdict for `test` and `doctor`. */
export function addressVerdict(config: Config, facts: Facts): Verdict {
  const problems = addressProblems(config, facts);
  if (problems.length === 0) return pass("VIPs, routers, nodes and RGWs are all different");
  const text = problems.map(({ path, message }) => `${path}: ${message}`).join("; ");
  return fail(text, "correct ober.yaml, then: ober apply");
}

/** The same for this machine's present configuration, for `doctor`. */
export async function checkAddresses(sight: Sight): Promise<Verdict> {
  const [config, place] = [await sight.config(), await sight.place()];
  return config && place ? addressVerdict(config, place) : skip("not configured");
}

function placesOf(config: Config, facts: Facts): Places {
  const bgp = config.ha_mode === "bgp";
  const place = (key: string, name: string): Place => ({ key, name, addresses: addressesOf(name, facts) });
  const own: Place = {
    key: `on ${facts.interface || "this machine"}`,
    name: facts.address,
    addresses: [facts.address],
  };
  const others = facts.addresses.map(({ address, interface: link }): Place => {
    return { key: `on ${link}`, name: address, addresses: [address] };
  });
  return {
    vips: config.vips.map(({ address }, index) => place(`vips[${index}].address`, address)),
    routers: bgp ? config.bgp.neighbors.map((name) => place("bgp.neighbors", name)) : [],
    nodes: [
      ...config.nodes.map((name) => place("nodes", name)),
      ...(bgp ? [] : config.keepalived.peers.map((name) => place("keepalived.peers", name))),
    ],
    servers: config.backends.flatMap(({ servers }, index) =>
      servers.map(({ host, port }) => ({ ...place(`backends[${index}].servers`, host), port })),
    ),
    own: [own, ...others],
    local: bgp
      ? { ...own, key: "bgp.local_address", addresses: [config.bgp.local_address || facts.address] }
      : undefined,
    statsPort: config.stats_port,
  };
}

/** A name that was not resolved has no addresses here: its contradictions show once it is known. */
function addressesOf(name: string, { resolved }: Facts): readonly string[] {
  return resolved[name] ?? (isAddress(name) ? [name] : []);
}
