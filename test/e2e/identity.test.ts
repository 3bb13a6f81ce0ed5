/** A management and a service network, and names in both: each VIP has one holder, or nothing starts. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { LabNode } from "../lab/lab.ts";
import { plugService, unplug } from "../lab/network.ts";
import { copyExecutable, ober, PREFIX_ON_NODE, vrrpYaml } from "../lab/ober.ts";
import { becomes, type RunResult, until } from "../lab/process.ts";
import { RELEASE, sharedLab } from "./_cluster.ts";

const VIPS = ["10.79.0.101", "10.79.0.102"];
const MANAGEMENT = ["10.77.0.11", "10.77.0.12"];
const SERVICE = ["10.79.0.11", "10.79.0.12"];

describe("nodes with two networks", () => {
  let nodes: readonly [LabNode, LabNode];
  const hosts = new Map<string, string>();
  const hostsOf = (node: LabNode) => join(node.root, "etc/hosts");
  beforeAll(async () => {
    const lab = await sharedLab();
    nodes = [lab.node("n1"), lab.node("n2")];
    for (const [index, node] of nodes.entries()) {
      await node.resetReady(RELEASE);
      await plugService(node.name, index + 1);
      hosts.set(node.name, await Bun.file(hostsOf(node)).text());
      copyExecutable(node);
    }
    await Promise.all(
      nodes.map((node) => node.exec(["/root/ober", "bootstrap", PREFIX_ON_NODE, "--yes"], { timeoutMs: 300_000 })),
    );
  }, 600_000);
  afterAll(async () => {
    for (const node of nodes) {
      await ober(node, ["stop", "--force"], { accept: [0, 1] });
      await Bun.write(hostsOf(node), hosts.get(node.name) ?? "");
      await unplug({ host: node.name, device: "eth1" });
    }
  }, 60_000);

  /** The names of both nodes, with their addresses in the order given, instead of the lab's own lines. */
  const name = async (lines: (node: LabNode) => readonly string[]) => {
    for (const node of nodes) {
      const others = (hosts.get(node.name) ?? "").split("\n").filter((line) => !/\sn[12](\s|$)/.test(line));
      await Bun.write(hostsOf(node), `${[...others, ...lines(node)].join("\n")}\n`);
    }
  };
  const yaml = (peers: readonly string[], more = "") =>
    vrrpYaml(peers, { vips: VIPS, handover: "off" }).replace("keepalived:\n", `keepalived:\n${more}`);
  const config = async (node: LabNode, text: string, flags: readonly string[] = []): Promise<RunResult> => {
    await Bun.write(join(node.root, "root/ober.yaml"), text);
    return ober(node, ["config", "--from", "/root/ober.yaml", "--yes", ...flags], { accept: [0, 1] });
  };
  const held = async (node: LabNode) =>
    (await node.exec(["ip", "-o", "-4", "address", "show"])).stdout.split("\n").flatMap((line) => {
      const [, link = "", address = ""] = /^\d+: (\S+) +inet (\S+)\/32 /.exec(line) ?? [];
      return VIPS.includes(address) ? [`${address} on ${link}`] : [];
    });
  const holders = async () => (await Promise.all(nodes.map(held))).flat().sort();
  const once = VIPS.map((vip) => `${vip} on eth1`);

  test("peers that are named in another network than the interface's are refused before anything starts", async () => {
    for (const node of nodes) {
      for (const flags of [["--dry-run"], []]) {
        const refused = await config(node, yaml(MANAGEMENT, "  interface: eth1\n"), flags);
        expect(refused.code).toBe(1);
        expect(refused.stderr).toMatch(
          /keepalived\.peers: 10\.77\.0\.1\d is not on this machine's segment: it has 10\.79\.0/,
        );
      }
      const wrong = await config(node, yaml(MANAGEMENT), ["--dry-run"]);
      expect(wrong.stderr).toContain(
        "VIP 10.79.0.101 is in the network of eth1 (10.79.0.0/24), but the nodes meet on eth0",
      );
      const typed = await config(node, yaml(SERVICE, "  interface: eth7\n"), ["--dry-run"]);
      expect(typed.stderr).toContain("keepalived.interface: this machine has no interface eth7 with an IPv4 address");
      expect(typed.stderr).toContain("it has: eth0, eth1");
      expect((await node.exec(["systemctl", "is-active", "ober-ha"], { accept: [3, 4] })).stdout.trim()).toBe(
        "inactive",
      );
    }
    expect(await holders()).toEqual([]);
  }, 60_000);

  test("names of two addresses, in another order on each node: one holder for each VIP", async () => {
    await name((node) => {
      const both = [0, 1].flatMap((at) => [`${MANAGEMENT[at]} n${at + 1}`, `${SERVICE[at]} n${at + 1}`]);
      return node.name === "n1" ? both : both.toReversed();
    });
    for (const node of nodes) expect((await config(node, yaml(["n1", "n2"]))).code).toBe(0);
    await Promise.all(nodes.map((node) => ober(node, ["start", "--self-signed"])));
    await until("each VIP has one holder", async () => (await holders()).join() === once.join(), 30_000);
    // Two holders would be there within three advertisements.
    expect(await becomes(async () => (await holders()).length > VIPS.length, 6_000, 200)).toBe(false);
    const { stdout } = await ober(nodes[0], ["doctor", "--only", "identity", "--json"]);
    expect(stdout).toContain("10.79.0.11; 1 of 1 other nodes agree");
  }, 120_000);

  test("Debian's 127.0.1.1 of each node's own name, first in the list and without an interface: the same owners", async () => {
    await name((node) => [0, 1].map((at) => `${node.name === `n${at + 1}` ? "127.0.1.1" : SERVICE[at]} n${at + 1}`));
    for (const node of nodes) {
      const { stdout, code } = await config(node, yaml(["n1", "n2"]));
      expect([code, stdout]).toEqual([0, expect.stringContaining("nothing to change")]);
    }
  }, 60_000);

  test("a change after which two nodes take one machine for two is refused, and known where it is insisted on", async () => {
    const own = yaml([MANAGEMENT[1] ?? "", MANAGEMENT[0] ?? ""]).replace(
      /vips: .*/,
      "vips: [10.77.0.101, 10.77.0.102]",
    );
    const refused = await config(nodes[1], own);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(
      "two nodes would hold one VIP: 10.77.0.11: this node knows it as 10.77.0.11, but it calls itself 10.79.0.11",
    );
    expect((await config(nodes[1], own, ["--force"])).code).toBe(0);
    const said = async () => (await ober(nodes[0], ["doctor", "--only", "identity"], { accept: [0, 1] })).stdout;
    await until("the other node knows", async () => (await said()).includes("calls itself 10.77.0.12"), 10_000);
    expect((await config(nodes[1], yaml(["n1", "n2"]), ["--force"])).code).toBe(0);
  }, 90_000);

  test("an address that a name lost since it was applied is shown, and not taken in silence", async () => {
    await name((node) => [`${SERVICE[0]} n1`, node.name === "n1" ? "10.79.0.99 n2" : `${SERVICE[1]} n2`]);
    const moved = "n2: 10.79.0.99 now, 10.79.0.12 when it was applied";
    expect((await ober(nodes[0], ["doctor", "--only", "names"], { accept: [0, 1] })).stdout).toContain(moved);
    expect((await config(nodes[0], yaml(["n1", "n2"]), ["--dry-run"])).stderr).toContain(moved);
  }, 60_000);
});
