import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { type Config, parseConfig } from "../../src/config/schema.ts";
import { parseYaml } from "../../src/config/store.ts";
import type { NodeFacts } from "../../src/domain/facts.ts";
import { pathsOf } from "../../src/domain/paths.ts";
import { parseVersion } from "../../src/domain/version.ts";
import { type RenderedFile, render } from "../../src/render/index.ts";

/** `facts.json` of a case: what of a node's facts matters to it. */
type GivenFacts = {
  readonly address: string;
  readonly haproxy: string;
  readonly features: readonly string[];
  readonly exabgp: string;
  readonly memoryGib?: number;
  readonly descriptors?: number;
  readonly networks?: readonly string[];
  readonly resolved?: NodeFacts["resolved"];
  readonly routes?: NodeFacts["routes"];
  readonly bgpPassword?: string;
};

export type GoldenCase = {
  readonly name: string;
  readonly config: Config;
  readonly facts: NodeFacts;
  readonly bgpPassword?: string;
};

export const paths = pathsOf("/opt/ober");

/** Every directory beside this file: an `ober.yaml` with the facts of a node, and the files that must come of it. */
export const goldenCases: readonly GoldenCase[] = readdirSync(import.meta.dir, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => readCase(name));

export function renderCase({ config, facts, bgpPassword }: GoldenCase): readonly RenderedFile[] {
  return render({ config, facts, paths, secrets: { bgpPassword: () => bgpPassword } });
}

export const expectedDirectory = (name: string) => join(import.meta.dir, name, "expected");

/** Expected files of a case, by their absolute path on a node. */
export function expectedFiles(name: string): Readonly<Record<string, string>> {
  const directory = expectedDirectory(name);
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => {
      const file = join(entry.parentPath, entry.name);
      return [`/${relative(directory, file)}`, readFileSync(file, "utf8")];
    }),
  );
}

function readCase(name: string): GoldenCase {
  const file = (part: string) => readFileSync(join(import.meta.dir, name, part), "utf8");
  const given = JSON.parse(file("facts.json")) as GivenFacts;
  const version = (text: string) => {
    const parsed = parseVersion(text);
    if (!parsed) throw new Error(`${name}: "${text}" is no version`);
    return parsed;
  };
  const config = parseConfig(parseYaml(file("ober.yaml"), `${name}/ober.yaml`), `${name}/ober.yaml`);
  const routers = config.bgp.neighbors.flatMap((neighbor) => given.resolved?.[neighbor] ?? [neighbor]);
  const way = { address: config.bgp.local_address || given.address, interface: "eth0" };
  return {
    name,
    config,
    facts: {
      ober: "1.2.3",
      hostname: "n1",
      address: given.address,
      interface: "eth0",
      addresses: [{ address: given.address, interface: "eth0" }],
      networks: given.networks ?? ["10.77.0.0/24"],
      memory: (given.memoryGib ?? 64) * 2 ** 30,
      descriptors: given.descriptors ?? 1_048_576,
      haproxy: { version: version(given.haproxy), features: given.features },
      exabgp: version(given.exabgp),
      keepalived: version("2.3.3"),
      routes: { ...Object.fromEntries(routers.map((router) => [router, way])), ...given.routes },
      resolved: given.resolved ?? {},
    },
    ...(given.bgpPassword === undefined ? {} : { bgpPassword: given.bgpPassword }),
  };
}
