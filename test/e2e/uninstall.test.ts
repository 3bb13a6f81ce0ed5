import { afterAll, describe, expect, test } from "bun:test";
import type { LabNode } from "../lab/lab.ts";
import { configure, copyExecutable, install, ober, PREFIX_ON_NODE, vrrpYaml } from "../lab/ober.ts";
import { clusterYaml, ROUNDS, SPARE_NODE, sharedLab } from "./_cluster.ts";
import { differences, type Snapshot, snapshot } from "./_snapshot.ts";

describe("`ober uninstall`", () => {
  let node: LabNode;
  let before: Snapshot;
  const bare = async () => {
    node = (await sharedLab()).node(SPARE_NODE);
    await node.reset("trixie");
    before = await snapshot(node);
  };
  /** A machine that has the packages already, which then stay. */
  const ready = async () => {
    node = (await sharedLab()).node(SPARE_NODE);
    await node.resetReady("trixie");
    before = await snapshot(node);
  };
  afterAll(() => node?.reset());

  // The other releases are in systems.test.ts, with OBER_SYSTEMS=all; every combination of interfaces in contract/vip-script.test.ts.
  test("leaves a machine that served as it was: files, packages, units, kernel settings, users, addresses and links", async () => {
    await bare();
    // What a site may have: an address of its own on lo, and ports that it keeps free.
    await node.exec(["ip", "address", "add", "2001:db8:f::1/128", "dev", "lo", "nodad"]);
    await node.exec(["sysctl", "-q", "-w", "net.ipv4.ip_local_reserved_ports=9100,30000-32767"]);
    before = await snapshot(node);
    const reserved = async () => (await node.exec(["sysctl", "-n", "net.ipv4.ip_local_reserved_ports"])).stdout.trim();
    const own = async () => (await node.exec(["ip", "-o", "-4", "address", "show", "dev", "eth0"])).stdout;
    const untouched = await own();
    const withVips = (...places: readonly string[]) => {
      const vips = places.map((link, index) => `{address: 10.99.0.${100 + index}, interface: ${link}}`);
      return clusterYaml().replace(/^vips: .*$/m, `vips: [${vips.join(", ")}]`);
    };
    await install(node, withVips("eth0", "lo", "lo-vip"));
    expect(await own()).toContain(untouched.trim());
    const kill = "systemctl restart ober-vip & systemctl kill --signal=KILL ober-vip; wait";
    await node.exec(["sh", "-c", kill], { accept: [0, 1] });
    await ober(node, ["stop", "--timeout", "0"], { accept: [0, 1] });
    expect(await own()).toBe(untouched);
    // A second configuration leaves generations behind, which must go as well.
    await configure(node, withVips("nosuch", "lo"));
    await ober(node, ["start"]);
    expect(await reserved()).toBe("3784-3785,8404,9100,30000-32767");
    await ober(node, ["metrics", "--install", "--out", "/var/lib/ober.prom"]);
    expect(differences(before, await snapshot(node)).length).toBeGreaterThan(20);
    await ober(node, ["uninstall", "--yes"]);
    // The certificate is the operator's: ober did not make it and does not delete it.
    const left = differences(before, await snapshot(node)).map((line) => line.split(" ").slice(0, 3).join(" "));
    const kept = ["", "/etc", "/etc/certs", "/etc/certs/vip.pem"];
    expect(left).toEqual(kept.map((path) => `new: file ${PREFIX_ON_NODE}${path}`));
  }, 480_000);

  test("leaves a machine that served in keepalived mode as it was before, and the configuration when it is told to", async () => {
    await ready();
    await install(node, vrrpYaml([SPARE_NODE], { vips: ["10.77.0.104"] }));
    // The other mode in between leaves its own traces.
    await configure(node, clusterYaml());
    await configure(node, vrrpYaml([SPARE_NODE], { vips: ["10.77.0.104"] }));
    await ober(node, ["uninstall", "--yes", "--keep-config"]);
    const left = differences(before, await snapshot(node));
    expect(left.filter((line) => line.includes(`${PREFIX_ON_NODE}/etc/ober.yaml`)).length).toBe(1);
    expect(
      left.filter((line) => !line.includes(`${PREFIX_ON_NODE}/etc`) && !line.endsWith(` ${PREFIX_ON_NODE}`)),
    ).toEqual([expect.stringContaining(`new: file ${PREFIX_ON_NODE} `)]);
  }, 180_000);

  test("gives back an active firewall as it was, and BGP mode leaves nothing of VRRP in it", async () => {
    await ready();
    await node.exec(["apt-get", "update"]);
    await node.exec(["apt-get", "install", "--yes", "ufw"], { timeoutMs: 120_000 });
    await node.exec(["ufw", "allow", "22/tcp"]);
    await node.exec(["ufw", "--force", "enable"]);
    const rules = async () => (await node.exec(["ufw", "show", "added"])).stdout;
    const untouched = await rules();
    const keepalived = vrrpYaml([SPARE_NODE, "n1"], { vips: ["10.77.0.104"] });
    await install(node, keepalived);
    const peer = "ufw allow from 10.77.0.11 proto vrrp";
    expect(await rules()).toContain(peer);
    await configure(node, clusterYaml());
    expect(await rules()).not.toContain(peer);
    await configure(node, keepalived);
    expect(await rules()).toContain(peer);
    await ober(node, ["uninstall", "--yes"]);
    expect(await rules()).toBe(untouched);
  }, 180_000);

  // With firewalld a machine of systems.test.ts comes and goes as well, and interrupted-bootstrap.test.ts takes back a bare bootstrap.
  const byHand = ROUNDS > 1 ? test : () => {};

  byHand(
    "does the same with firewalld",
    async () => {
      await ready();
      await node.exec(["apt-get", "update"]);
      await node.exec(["apt-get", "install", "--yes", "firewalld"], { timeoutMs: 180_000 });
      const rules = async () =>
        (await node.exec(["sh", "-c", "firewall-cmd --list-all; firewall-cmd --permanent --list-all"])).stdout;
      const untouched = await rules();
      expect(untouched).toContain("services: dhcpv6-client ssh");
      const keepalived = vrrpYaml([SPARE_NODE, "n1"], { vips: ["10.77.0.104"] });
      await install(node, keepalived);
      const peer = 'rule family="ipv4" source address="10.77.0.11" protocol value="vrrp" accept';
      expect((await rules()).split(peer)).toHaveLength(3);
      expect((await rules()).match(/ports: 80\/tcp 443\/tcp/g)).toHaveLength(2);
      const { stdout } = await ober(node, ["doctor", "--json"], { accept: [0, 1] });
      const { findings } = JSON.parse(stdout) as { findings: { id: string; status: string }[] };
      expect(findings.find(({ id }) => id === "firewall")?.status).toBe("pass");
      await configure(node, clusterYaml());
      expect(await rules()).not.toContain(peer);
      await ober(node, ["uninstall", "--yes"]);
      expect(await rules()).toBe(untouched);
    },
    240_000,
  );

  byHand(
    "gives back what a bootstrap without a configuration took",
    async () => {
      await bare();
      copyExecutable(node);
      await node.exec(["/root/ober", "bootstrap", PREFIX_ON_NODE, "--yes"], { timeoutMs: 300_000 });
      await ober(node, ["uninstall", "--yes"]);
      expect(differences(before, await snapshot(node))).toEqual([]);
    },
    180_000,
  );
});
