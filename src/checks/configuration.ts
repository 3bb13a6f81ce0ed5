import { validateAside } from "../change/validators.ts";
import type { Config } from "../config/schema.ts";
import type { Secrets } from "../config/secrets.ts";
import { inSubnet, parseAddress } from "../domain/address.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { certificatePlace, type Paths } from "../domain/paths.ts";
import { isHealthPath } from "../domain/rgw.ts";
import { hasHandover, UNIT } from "../domain/units.ts";
import { OberError } from "../errors.ts";
import { type Session, sessionsOf } from "../render/exabgp.ts";
import { render } from "../render/index.ts";
import { clusterNodes, clusterRemarks } from "../render/keepalived.ts";
import { localAddresses } from "../system/addresses.ts";
import { handoverState } from "../system/handover.ts";
import { readHealthState } from "../system/health-state.ts";
import { httpStatus } from "../system/http.ts";
import { resolveName } from "../system/resolve.ts";
import type { System } from "../system/system.ts";
import { unitState } from "../system/systemd.ts";
import { tcpConnect } from "../system/tcp.ts";
import { addressVerdict } from "./addresses.ts";
import { checkOpen } from "./bgp-open.ts";
import { type Check, fail, pass, type Verdict, warn } from "./check.ts";
import { askedIdentityVerdict } from "./identity.ts";
import { neighborStatus, withWords } from "./neighbors.ts";
import { certificateVerdict } from "./node-files.ts";
import { checkClientPaths, checkPathMtu, clientLink } from "./path-mtu.ts";

export type Subject = {
  readonly system: System;
  readonly paths: Paths;
  readonly config: Config;
  readonly facts: NodeFacts;
  readonly secrets: Secrets;
};

/** What can be known about a configuration before anything is started: one check for each parser, neighbor and backend. */
export function configurationChecks({ config, facts }: Subject): readonly Check<Subject>[] {
  return [
    { id: "parsers", title: "parsers", run: checkParsers },
    { id: "addresses", title: "addresses", run: ({ config, facts }) => addressVerdict(config, facts) },
    { id: "identity", title: "nodes", run: ({ config, facts }) => askedIdentityVerdict(config, facts) },
    { id: "certificate", title: "certificate", run: checkCertificates },
    ...(config.ha_mode === "bgp" ? sessionsOf(config, facts).map(neighborCheck) : vrrpChecks),
    {
      id: "path-mtu",
      title: "size of packets",
      run: (subject) => checkPathMtu(subject.system, config, facts),
    },
    {
      id: "client-paths",
      title: "size of packets to clients",
      run: async ({ system }) =>
        checkClientPaths(
          { system, isRoot: true },
          config,
          hasHandover(config) ? await handoverState(system) : undefined,
          clientLink(config, facts),
        ),
    },
    ...config.backends.flatMap((group) =>
      group.servers.filter(({ source }) => source === undefined).map((server) => backendCheck(group, server)),
    ),
  ];
}

async function checkParsers({ system, paths, config, facts, secrets }: Subject): Promise<Verdict> {
  const files = render({ config, facts, paths, secrets });
  const warnings = await validateAside(system, { files, paths, facts });
  return warnings.length === 0
    ? pass("every program accepts its file")
    : warn(warnings.join("; "), "correct the value in ober.yaml");
}

async function checkCertificates({ system, paths, config }: Subject): Promise<Verdict> {
  return certificateVerdict(system, certificatePlace(paths, config.certs));
}

const vrrpChecks: readonly Check<Subject>[] = [
  {
    id: "vrrp-cluster",
    title: "VIPs and nodes",
    run({ config, facts }) {
      const remarks = clusterRemarks(config, facts);
      const text = `${config.vips.length} VIPs on ${clusterNodes(config, facts).length} nodes`;
      return remarks.length === 0 ? pass(text) : warn(remarks.join("; "), "give each node a VIP of its own");
    },
  },
  {
    id: "vrrp-interface",
    title: "interface",
    async run({ system, config, facts }) {
      const own = (await localAddresses(system)).filter((local) => local.interface === facts.interface);
      if (own.length === 0) {
        return fail(
          `${facts.interface} has no address or is not there`,
          "ip addr; set keepalived.interface in ober.yaml",
        );
      }
      const networks = own.map(({ address, prefixLength }) => `${address}/${prefixLength}`);
      const outside = config.vips.filter(({ address }) => !networks.some((network) => inSubnet(address, network)));
      return outside.length === 0
        ? pass(`${facts.interface}, with every VIP in its network`)
        : fail(
            `${outside.map(({ address }) => address).join(", ")} in no network of ${facts.interface}`,
            "clients find a VIP by ARP: choose VIPs from the interface's network, or another keepalived.interface",
          );
    },
  },
  {
    id: "vrrp-peers",
    title: "peers",
    async run({ config, facts }) {
      const peers = clusterNodes(config, facts).filter((node) => node !== facts.address);
      const answers = await Promise.all(
        peers.map(async (peer) => {
          const result = await tcpConnect(peer, 443, 2000, facts.address);
          // A refusal is expected before HAProxy is started, and a reset as well: HAProxy serves no client at an address that is not a VIP.
          return { peer, ok: result.ok || ["ECONNREFUSED", "ECONNRESET"].includes(result.code) };
        }),
      );
      const silent = answers.filter(({ ok }) => !ok).map(({ peer }) => peer);
      return silent.length === 0
        ? pass(peers.length === 0 ? "none" : `${peers.join(", ")} answer`)
        : fail(`no answer from ${silent.join(", ")}`, `ping ${silent[0]}; are these nodes up and on this segment?`);
    },
  },
];

function neighborCheck({ name, address, local }: Session): Check<Subject> {
  return {
    id: `neighbor-${address}`,
    title: `neighbor ${name === address ? address : `${name} (${address})`}`,
    async run(subject) {
      const { system, paths, config } = subject;
      // A second session would end the existing one, so ExaBGP's word counts while it runs.
      if ((await unitState(system, UNIT.bgp)).active !== "active") return checkOpen({ name, address, local }, subject);
      const [[found], health] = await Promise.all([
        neighborStatus({ system, paths, isRoot: true }, { ...config, bgp: { ...config.bgp, neighbors: [address] } }),
        readHealthState(system, paths),
      ]);
      const said = found && withWords(found, health);
      if (said?.session) return pass("ExaBGP's session is up");
      return fail(
        `ExaBGP has no session: ${said?.reason ?? "neither it nor the router has said why"}`,
        `ober doctor --only bgp; ip route get ${address}`,
      );
    },
  };
}

/** Judges the answer as HAProxy's check does; see `stateRules` in render/haproxy.ts. */
export function backendVerdict(
  path: string,
  { status, ms, fix }: { readonly status: number; readonly ms: number; readonly fix: string },
): Verdict {
  if (status === 200) return pass(`200 in ${ms.toFixed(1)} ms`);
  const swift = isHealthPath(path);
  if (status === 498 || (status === 503 && !swift)) {
    return warn(
      `busy: at its limit of requests, ${path} answers ${status}`,
      "more RGWs, or a larger rgw_max_concurrent_requests, and max_requests in ober.yaml",
    );
  }
  if (status === 503) {
    return warn(
      "taken out by its own file (rgw_healthcheck_disabling_path)",
      "when the work is done, remove the file there",
    );
  }
  return fail(`${path} answers ${status}`, `${fix}; another path? backends[].health_check_path`);
}

function backendCheck(
  group: Config["backends"][number],
  { host, port }: { host: string; port: number },
): Check<Subject> {
  const place = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return {
    id: `backend-${group.name}-${place}`,
    title: `backend ${group.name} ${place}`,
    async run({ system }) {
      const [address = host] = parseAddress(host) ? [host] : await resolveName(system, host);
      const url = `${group.tls ? "https" : "http"}://${address.includes(":") ? `[${address}]` : address}:${port}${group.health_check_path}`;
      const fix = `curl -i ${url}`;
      const ca = group.ca_file === "" ? undefined : await system.read(group.ca_file);
      const trust = { ca, servername: group.sni || (parseAddress(host) ? undefined : host), verify: group.verify };
      try {
        const { status, ms } = await httpStatus(url, 3000, { trust });
        return backendVerdict(group.health_check_path, { status, ms, fix });
      } catch (error) {
        if (error instanceof OberError) return fail(error.message, fix);
        throw error;
      }
    },
  };
}
