import { isInstalled } from "./programs.ts";
import type { System } from "./system.ts";

/** The firewalls whose rules ober can add to and take away again. */
export type Firewall = "ufw" | "firewalld" | "none";

/** The one that filters on this machine now; "none" also stands for one that ober does not know. */
export async function activeFirewall(system: System): Promise<Firewall> {
  const ufw = await firewallSays(system, ["ufw", "status"]);
  if (/^Status: active/m.test(ufw)) return "ufw";
  return (await firewallSays(system, ["firewall-cmd", "--state"])).trim() === "running" ? "firewalld" : "none";
}

/** What a firewall's tool says; nothing where it is not installed. */
export async function firewallSays(system: System, argv: readonly string[]): Promise<string> {
  if (!(await isInstalled(system, argv[0] ?? ""))) return "";
  return (await system.run(argv, { accept: [0, 1, 252] })).stdout;
}

/** Which of `peers` may send VRRP (IP protocol 112) to this machine. Needs root. */
export async function vrrpAllowed(
  system: System,
  firewall: Firewall,
  peers: readonly string[],
): Promise<readonly string[]> {
  if (firewall === "none") return peers;
  const list = firewall === "ufw" ? ["ufw", "show", "added"] : ["firewall-cmd", "--list-rich-rules"];
  const rules = (await firewallSays(system, list)).split("\n").map((line) => line.trim());
  return peers.filter((peer) => rules.includes(firewall === "ufw" ? `ufw ${ufwRule(peer)}` : richRule(peer)));
}

export async function changeVrrpRule(
  system: System,
  { firewall, verb, peer }: { firewall: Firewall; verb: "add" | "remove"; peer: string },
): Promise<void> {
  if (firewall === "ufw") {
    const rule = ufwRule(peer).split(" ");
    await system.run(verb === "add" ? ["ufw", ...rule] : ["ufw", "delete", ...rule]);
    return;
  }
  if (firewall === "none") return;
  for (const scope of [["--permanent"], []]) {
    await system.run(["firewall-cmd", ...scope, `--${verb}-rich-rule=${richRule(peer)}`]);
  }
}

/**
 * Whether a ruleset that ober does not know drops what no rule of it accepts. Another table that accepts VRRP would not help:
 * a packet must pass every chain of the hook (nft(8)).
 */
export async function foreignInputDrops(system: System): Promise<boolean> {
  return /hook input[^;]*; policy drop;/.test(await firewallSays(system, ["nft", "list", "ruleset"]));
}

/** As `ufw show added` writes it. */
const ufwRule = (peer: string) => `allow from ${peer} proto vrrp`;

/** As `firewall-cmd --list-rich-rules` writes it. */
const richRule = (peer: string) => `rule family="ipv4" source address="${peer}" protocol value="vrrp" accept`;
