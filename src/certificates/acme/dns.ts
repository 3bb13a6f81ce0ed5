/** The ways to a TXT record: dynamic updates, Route 53, or the site's own program. */

import { acmeDns } from "../../config/schema/contradictions.ts";
import type { Config } from "../../config/schema.ts";
import type { Secrets } from "../../config/secrets.ts";
import { OberError } from "../../errors.ts";
import { steeredBy } from "../../system/steered.ts";
import type { System } from "../../system/system.ts";
import { challengeName, waitForTxt } from "./propagation.ts";
import { route53 } from "./route53.ts";

/** Sets and removes one value of a name; its other values stay. Throws an OberError with the other side's answer. */
export type Dns = {
  readonly what: string;
  /** The home whose AWS profile it uses. */
  readonly home?: string | undefined;
  add(name: string, value: string): Promise<void>;
  remove(name: string, value: string): Promise<void>;
};

/** Seconds that resolvers may cache a record; the CA asks the authoritative servers. */
export const TTL = 60;
const HOOK_MS = 300_000;

export type DnsInput = {
  readonly system: System;
  readonly certs: Config["certs"];
  readonly secrets: Secrets;
  /** Home directories to search for AWS profiles, in order. */
  readonly homes: readonly string[];
};

export function dnsOf(input: DnsInput): Promise<Dns> {
  const way = acmeDns(input.certs);
  if (way === "route53") return route53(input);
  if (way === "rfc2136") return Promise.resolve(rfc2136(input));
  if (way === "hook") return hook(input);
  throw new Error("the configuration names no way to a DNS record");
}

/** Proves that records can be made: adds one at `name`, waits until it is visible, and removes it. */
export async function proveDns(dns: Dns, name: string, timeoutMs: number): Promise<string> {
  const at = await challengeName(name);
  const value = `ober-test-${crypto.randomUUID()}`;
  await dns.add(at, value);
  try {
    await waitForTxt(at, [value], timeoutMs);
  } finally {
    await dns.remove(at, value);
  }
  return at;
}

/** RFC 2136 by nsupdate(1), which finds the zone itself. The key is given by its file, never on a command line. */
function rfc2136({ system, certs }: DnsInput): Dns {
  const { rfc2136_server: server, rfc2136_key_file: keyFile } = certs;
  const [, host = server, port = "53"] =
    /^(.*?)(?::(\d+))?$/.exec(server.replace(/^\[(.*)\]/, "$1 ").replace(" :", ":")) ?? [];
  const send = async (change: string) => {
    const argv = ["nsupdate", ...(keyFile === "" ? [] : ["-k", keyFile])];
    const input = `server ${host.trim()} ${port}\n${change}\nsend\n`;
    try {
      await system.run(argv, { input, timeoutMs: 60_000 });
    } catch (error) {
      if (!(error instanceof OberError)) throw error;
      const hint = error.message.includes("not installed")
        ? "apt-get install bind9-dnsutils, or dnf install bind-utils"
        : "check that the server allows updates of this name with this key: certs.rfc2136_server, certs.rfc2136_key_file";
      throw new OberError(`the name server ${server} refuses the update: ${error.message}`, { hint, cause: error });
    }
  };
  return {
    what: `dynamic updates at ${server}`,
    add: (name, value) => send(`update add ${name}. ${TTL} TXT "${value}"`),
    remove: (name, value) => send(`update delete ${name}. TXT "${value}"`),
  };
}

/** The site's own program: `HOOK add|remove NAME VALUE`, and the same in the environment. */
async function hook({ system, certs }: DnsInput): Promise<Dns> {
  const { acme_hook: program } = certs;
  const stat = await system.stat(program);
  const hint = "correct certs.acme_hook in ober.yaml; only root may be able to change the program";
  if (stat === undefined) throw new OberError(`the program ${program} does not exist`, { hint });
  if (stat.kind === "file" && (stat.mode & 0o111) === 0)
    throw new OberError(`${program} is not executable`, { hint: `chmod 700 ${program}` });
  const steered = await steeredBy(system, program);
  if (steered !== undefined) throw new OberError(`root would run ${program}, but ${steered}`, { hint });
  const run = async (action: "add" | "remove", name: string, value: string) => {
    const env = { OBER_ACME_ACTION: action, OBER_ACME_NAME: name, OBER_ACME_VALUE: value };
    await system.run([program, action, name, value], { env, timeoutMs: HOOK_MS, gentle: true });
  };
  return {
    what: `the program ${program}`,
    add: (name, value) => run("add", name, value),
    remove: (name, value) => run("remove", name, value),
  };
}
