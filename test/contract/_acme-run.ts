/** One step of acme.test.ts in a separate process, which has its own ACME library state, clock and /etc/resolv.conf. */
import { localSystem } from "../../src/system/local.ts";

export type Step = {
  readonly action: "renew" | "prove" | "deactivate" | "record";
  /** What a way to DNS records is told to do. */
  readonly record?: readonly [action: "add" | "remove", name: string, value: string];
  readonly root: string;
  readonly certs: Readonly<Record<string, unknown>>;
  readonly force?: boolean;
  readonly timer?: boolean;
  /** How many milliseconds the clock is ahead. */
  readonly aheadMs?: number;
};

if (import.meta.main) {
  const step = JSON.parse(process.argv[2] ?? "") as Step;
  if (step.aheadMs !== undefined) shiftClock(step.aheadMs);
  try {
    console.log(JSON.stringify({ result: await act(step) }));
  } catch (error) {
    const { message, hint } = error as { message: string; hint?: string };
    console.log(JSON.stringify({ error: message, hint }));
  }
}

function shiftClock(aheadMs: number): void {
  const Real = Date;
  globalThis.Date = class extends Real {
    constructor(...args: readonly []) {
      super(...(args.length === 0 ? ([Real.now() + aheadMs] as unknown as readonly []) : args));
    }
    static override now() {
      return Real.now() + aheadMs;
    }
  } as DateConstructor;
}

async function act({ action, root, certs, record, force = false, timer = false }: Step): Promise<unknown> {
  const { parseConfig } = await import("../../src/config/schema.ts");
  const { pathsOf } = await import("../../src/domain/paths.ts");
  const { renewCertificates, siteDns } = await import("../../src/certificates/renew.ts");
  const { proveDns } = await import("../../src/certificates/acme/dns.ts");
  const base = {
    bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] },
    vips: ["10.0.0.100"],
    backends: [{ name: "s3", servers: ["a:1"] }],
  };
  const config = parseConfig({ ...base, certs: { acme_enabled: true, ...certs } }, "ober.yaml");
  const node = { system: localSystem(), paths: pathsOf(root) };
  const said: string[] = [];
  const progress = (line: string) => void said.push(line);
  if (record) {
    const [verb, name, value] = record;
    return (await siteDns(node, config.certs))[verb](name, value);
  }
  if (action === "prove") return proveDns(await siteDns(node, config.certs), config.certs.acme_domain, 20_000);
  if (action === "renew") return { ...(await renewCertificates(node, config, { force, timer, progress })), said };
  const acme = await import("acme-client");
  const { Agent } = await import("node:https");
  const ca = await node.system.read(config.certs.acme_ca_file);
  acme.axios.defaults.httpsAgent = new Agent({ ca });
  const [name = ""] = (await node.system.list(node.paths.acme)).filter((file) => file.startsWith("account-"));
  const accountKey = (await node.system.read(`${node.paths.acme}/${name}`)) ?? "";
  const client = new acme.Client({ directoryUrl: config.certs.acme_server, accountKey });
  await client.createAccount({ termsOfServiceAgreed: true, contact: ["mailto:ops@example.test"] });
  return client.updateAccount({ status: "deactivated" });
}
