import { isInstalled } from "./programs.ts";
import type { System } from "./system.ts";

/** The firewalls to which ober can add rules, and remove them again. */
export type Firewall = "ufw" | "firewalld" | "none";

/** The active firewall of this machine; "none" also means one that ober does not know. */
export async function activeFirewall(system: System): Promise<Firewall> {
  const ufw = await firewallSays(system, ["ufw", "status"]);
  if (/^Status: active/m.test(ufw)) return "ufw";
  return (await firewallSays(system, ["firewall-cmd", "--state"])).trim() === "running" ? "firewalld" : "none";
}

/** The output of a firewall's tool; empty if it is not installed. */
export async function firewallSays(system: System, argv: readonly string[]): Promise<string> {
  if (!(await isInstalled(system, argv[0] ?? ""))) return "";
  return (await system.run(argv, { accept: [0, 1, 252] })).stdout;
}

/** What neighbours must reach on this machine: VRRP (IP protocol 112) from peers, BGP and BFD from routers. */
type Service = "vrrp" | "bgp" | "bfd";

/** A hole in the firewall: one service, from one address or network. */
export type Opening = { readonly service: Service; readonly from: string };

/** Those of `openings` for which the firewall has exactly the rule that ober writes. Needs root. */
export async function openAlready(
  system: System,
  firewall: Firewall,
  openings: readonly Opening[],
): Promise<readonly Opening[]> {
  if (firewall === "none" || openings.length === 0) return openings;
  const list = firewall === "ufw" ? ["ufw", "show", "added"] : ["firewall-cmd", "--list-rich-rules"];
  const rules = new Set((await firewallSays(system, list)).split("\n").map((line) => line.trim()));
  return openings.filter((opening) => rules.has(firewall === "ufw" ? `ufw ${ufwRule(opening)}` : richRule(opening)));
}

export async function changeRule(
  system: System,
  { firewall, verb, opening }: { firewall: Firewall; verb: "add" | "remove"; opening: Opening },
): Promise<void> {
  if (firewall === "ufw") {
    const rule = ufwRule(opening).split(" ");
    await system.run(verb === "add" ? ["ufw", ...rule] : ["ufw", "delete", ...rule]);
    return;
  }
  if (firewall === "none") return;
  for (const scope of [["--permanent"], []]) {
    await system.run(["firewall-cmd", ...scope, `--${verb}-rich-rule=${richRule(opening)}`]);
  }
}

/**
 * Whether an unknown ruleset drops packets that none of its rules accepts. Accepting them in another table would not help:
 * a packet must pass every chain of the hook (nft(8)).
 */
export async function foreignInputDrops(system: System): Promise<boolean> {
  return /hook input[^;]*; policy drop;/.test(await firewallSays(system, ["nft", "list", "ruleset"]));
}

/** BGP: RFC 4271, section 8.2.1.1. BFD over one hop: RFC 5881, section 4. */
const PORTS = { bgp: { port: 179, protocol: "tcp" }, bfd: { port: 3784, protocol: "udp" } } as const;

/** As `ufw show added` writes it. */
function ufwRule({ service, from }: Opening): string {
  if (service === "vrrp") return `allow from ${from} proto vrrp`;
  const { port, protocol } = PORTS[service];
  return `allow from ${from} to any port ${port} proto ${protocol}`;
}

/** As `firewall-cmd --list-rich-rules` writes it. */
function richRule({ service, from }: Opening): string {
  const source = `rule family="${from.includes(":") ? "ipv6" : "ipv4"}" source address="${from}"`;
  if (service === "vrrp") return `${source} protocol value="vrrp" accept`;
  const { port, protocol } = PORTS[service];
  return `${source} port port="${port}" protocol="${protocol}" accept`;
}

/** The rule for a ruleset that ober does not change, in nft(8) syntax. */
export function nftRule({ service, from }: Opening): string {
  const family = from.includes(":") ? "ip6" : "ip";
  if (service === "vrrp") return `${family} saddr ${from} ip protocol vrrp accept`;
  const { port, protocol } = PORTS[service];
  return `${family} saddr ${from} ${protocol} dport ${port} accept`;
}
