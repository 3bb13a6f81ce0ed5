import { assets } from "../assets.ts";
import type { Config } from "../config/schema.ts";
import type { NodeFacts } from "../domain/facts.ts";
import type { Paths } from "../domain/paths.ts";
import { routerId, sessionsOf } from "./exabgp.ts";
import type { RenderedFile } from "./file.ts";
import { fill, gateFeatures } from "./template.ts";

/** BIRD's configuration as a BFD speaker for ExaBGP, which has no BFD. */
export function renderBfd(config: Config, facts: NodeFacts, paths: Paths): RenderedFile {
  const { bfd_interval_ms: intervalMs, bfd_multiplier: multiplier } = config.bgp;
  const sessions = sessionsOf(config, facts);
  const features = sessions.some(({ multihop }) => multihop) ? ["multihop"] : [];
  const content = fill(gateFeatures(assets.bfdConfig, features), {
    config: paths.config,
    routerId: routerId(config, facts),
    intervalMs: String(intervalMs),
    // Send less often until a session is up: there is nothing to detect yet.
    idleMs: String(Math.max(300, intervalMs)),
    multiplier: String(multiplier),
    neighbors: sessions
      .map(({ address, local, multihop }) => `    neighbor ${address} local ${local}${multihop ? " multihop on" : ""};`)
      .join("\n"),
  });
  return { path: paths.bfdConfig, content, mode: 0o644 };
}
