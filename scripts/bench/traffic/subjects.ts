/** What the traffic goes through: a proxy's configuration for one storage, and how it is started. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assets } from "../../../src/assets.ts";
import { parseConfig } from "../../../src/config/schema.ts";
import type { HaproxyFacts } from "../../../src/domain/facts.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import { renderHaproxy } from "../../../src/render/haproxy.ts";
import { becomes } from "../../../test/lab/process.ts";
import { OURS } from "./report.ts";

export const VIP = "10.99.0.100";
export const STORAGE = "10.66.0.1";

export type Surroundings = {
  /** The directory that is /mnt in both trees. */
  readonly work: string;
  /** The tree with HAProxy. */
  readonly haproxyRoot: string;
  /** The tree with nginx and wrk. */
  readonly toolsRoot: string;
  readonly haproxy: HaproxyFacts;
  /** On which the proxy may run. */
  readonly processors: readonly number[];
};

/** A change of our configuration under trial: see `edit`. */
export type Trial = { readonly name: string; readonly edits: string };

/** Starts `subject` in front of `storage` ("ADDRESS:PORT"); "none" starts nothing. Disposing ends it. */
export async function startSubject(
  subject: string,
  storage: string,
  surroundings: Surroundings,
  trials: readonly Trial[],
) {
  if (subject === "none") return { pid: undefined, async [Symbol.asyncDispose]() {} };
  const { work, haproxyRoot, toolsRoot, processors } = surroundings;
  const nginx = subject === "nginx";
  const file = nginx ? "proxy.conf" : "haproxy.cfg";
  writeFileSync(join(work, file), configOf(subject, storage, surroundings, trials));
  const argv = nginx
    ? ["chroot", toolsRoot, "nginx", "-c", `/mnt/${file}`]
    : ["chroot", haproxyRoot, "haproxy", "-db", "-f", `/mnt/${file}`];
  const isOurs = subject === OURS || trials.some(({ name }) => name === subject);
  const child = Bun.spawn(["taskset", "--cpu-list", processors.join(","), ...argv], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: Bun.file(join(work, "stderr")),
    env: { ...process.env, ...(isOurs ? unitEnvironment() : {}) },
  });
  const ready = await becomes(() => answers(`https://${VIP}/swift/healthcheck`), 10_000);
  if (!ready || child.exitCode !== null) {
    child.kill("SIGKILL");
    throw new Error(`${subject} does not answer:\n${readFileSync(join(work, "stderr"), "utf8")}`);
  }
  return {
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      child.kill(nginx ? "SIGTERM" : "SIGKILL");
      await child.exited;
    },
  };
}

function configOf(subject: string, storage: string, surroundings: Surroundings, trials: readonly Trial[]): string {
  const trial = trials.find(({ name }) => name === subject);
  if (subject === OURS || trial !== undefined) return edit(ours(storage, surroundings), trial?.edits ?? "");
  const source = subject === "nginx" ? "nginx.conf" : `${subject}.cfg`;
  return readFileSync(join(import.meta.dir, source), "utf8")
    .replaceAll("{{vip}}", VIP)
    .replaceAll("{{storage}}", storage)
    .replaceAll("{{workers}}", String(surroundings.processors.length));
}

/** What ober's unit puts into HAProxy's environment. */
function unitEnvironment(): Readonly<Record<string, string>> {
  const line = /^Environment=(.*)$/m.exec(assets.httpUnit)?.[1] ?? "";
  return Object.fromEntries([...line.matchAll(/(\w+)=(\S+)/g)].map(([, name = "", value = ""]) => [name, value]));
}

/** As `ober render` writes it, with its lists, for a node whose only backend is the storage. */
function ours(storage: string, { work, haproxy }: Surroundings): string {
  const paths = pathsOf("/mnt/ober");
  const config = parseConfig(
    {
      vips: [VIP],
      // All load comes from one address.
      max_connections_per_client: 0,
      backends: [{ name: "s3", servers: [storage] }],
      certs: { path: "/mnt/s3.pem" },
      ha_mode: "keepalived",
      keepalived: { peers: ["10.66.0.1", "10.66.0.2"] },
    },
    "bench",
  );
  const node = {
    networks: [],
    addresses: [],
    memory: 64 * 2 ** 30,
    descriptors: 1_048_576,
    address: "10.66.0.1",
    resolved: {},
  };
  const files = renderHaproxy(config, { ober: "bench", haproxy, ...node }, paths);
  for (const { path, content } of files) {
    const own = join(work, path.slice("/mnt/".length));
    mkdirSync(join(own, ".."), { recursive: true });
    // Port 80 serves only clients on the list.
    writeFileSync(own, path === paths.frontendHttpList ? `${VIP}\n` : content);
  }
  return files.find(({ path }) => path === paths.haproxyConfig)?.content ?? "";
}

/**
 * `edits`, parted by ";": `-TEXT` drops the lines that hold TEXT, `A=>B` replaces a text, `SECTION:LINE` adds a line to every
 * section of that word ("global", "defaults", "frontend", "backend").
 */
export function edit(config: string, edits: string): string {
  return edits
    .split(";")
    .map((one) => one.trim())
    .filter(Boolean)
    .reduce((text, one) => {
      const changed = editOnce(text, one);
      if (changed === text) throw new Error(`the edit "${one}" changes nothing`);
      return changed;
    }, config);
}

function editOnce(config: string, one: string): string {
  const lines = config.split("\n");
  if (one.startsWith("-")) return lines.filter((line) => !line.includes(one.slice(1))).join("\n");
  const [from, to] = one.split("=>");
  if (from !== undefined && to !== undefined) return config.replaceAll(from, to);
  const [, section = "", line = ""] = /^(\w+):(.*)$/.exec(one) ?? [];
  return lines.flatMap((text) => (text.split(" ")[0] === section ? [text, `  ${line}`] : [text])).join("\n");
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { tls: { rejectUnauthorized: false }, keepalive: false })).ok;
  } catch (error) {
    if (error instanceof Error && "code" in error) return false;
    throw error;
  }
}
