import { assets } from "../assets.ts";
import type { Config } from "../config/schema.ts";
import type { NodeFacts } from "../domain/facts.ts";
import type { Paths } from "../domain/paths.ts";
import { sessionsOf } from "./exabgp.ts";
import type { RenderedFile } from "./file.ts";
import { fill } from "./template.ts";

/** The nftables table that accepts only packets with a TTL of 255 from the routers. */
export function renderTtl(config: Config, facts: NodeFacts, paths: Paths): RenderedFile {
  const routers = sessionsOf(config, facts).map(({ address }) => address);
  const content = fill(assets.ttlRules, { config: paths.config, routers: routers.join(", ") });
  return { path: paths.ttlRules, content, mode: 0o644 };
}
