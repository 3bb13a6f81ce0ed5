/**
 * Routers that are not all on one segment: one on a link of its own, one behind another router, over eBGP and iBGP. Each gets what
 * `ober router-config` prints for it, and then has a session, BFD and the route.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { LabNode } from "../lab/lab.ts";
import { addRoute, inNamespace, inTools, removeNamespace, wire } from "../lab/network.ts";
import { ober } from "../lab/ober.ts";
import { LOG_DIRECTORY, NODE_AS, ROUTER_AS, SEGMENT, SHARED_DIRECTORY, VIP } from "../lab/places.ts";
import { end, type ProcessRecord, run, startDetached, until } from "../lab/process.ts";
import { FRR_DAEMONS, loadFrr, nextHopsIn, startFrrDaemon, vtysh } from "../lab/router.ts";
import { clusterYaml, makeServe, RELEASE, ROUNDS, sharedLab } from "./_cluster.ts";

/** A leaf switch on a /31 of its own, and a router two hops away. */
const LEAF = { host: "leaf", address: "10.80.0.0", node: "10.80.0.1" };
const FAR = { host: "far", address: "10.81.0.1", via: "10.81.0.0" };
const VENDORS = ["bird", "frr"] as const;

describe("routers on links of their own", () => {
  let node: LabNode;
  const running: ProcessRecord[] = [];
  beforeAll(async () => {
    const lab = await sharedLab();
    node = lab.node("n1");
    await makeServe(node, RELEASE, clusterYaml());
    await wire(
      { host: LEAF.host, device: "node0", cidr: `${LEAF.address}/31` },
      { host: node.name, device: "eth1", cidr: `${LEAF.node}/31` },
    );
    await wire(
      { host: FAR.host, device: "core0", cidr: `${FAR.address}/31` },
      { host: "router", device: "far0", cidr: `${FAR.via}/31` },
    );
    await addRoute(FAR.host, "10.77.0.0/24", FAR.via);
  }, 300_000);
  afterAll(async () => {
    await endRouters();
    for (const host of [LEAF.host, FAR.host]) await removeNamespace(host);
    await apply(clusterYaml());
  }, 60_000);

  const yaml = (peerAs: number) =>
    clusterYaml()
      .replace(/nodes: .*\n/, "nodes: []\n")
      .replace(`peer_as: ${ROUTER_AS}`, `peer_as: ${peerAs}`)
      .replace(`neighbors: [${SEGMENT.router}]`, `neighbors: [${LEAF.address}, ${FAR.address}]`);

  /** Nobody else serves here, and nobody is served. */
  const apply = async (text: string) => {
    await Bun.write(join(node.root, "root/ober.yaml"), text);
    return ober(node, ["config", "--from", "/root/ober.yaml", "--yes", "--force"]);
  };

  const start = async (vendor: (typeof VENDORS)[number], { host, address }: { host: string; address: string }) => {
    const { stdout } = await ober(node, ["router-config", "--vendor", vendor, "--router", address]);
    if (vendor === "frr") {
      const place = { host, directory: `/lab/frr-${host}` };
      for (const daemon of FRR_DAEMONS) running.push(await startFrrDaemon(daemon, place));
      return loadFrr(stdout, place);
    }
    const base = `log stderr all; router id ${address === LEAF.address ? "10.80.0.9" : address};
protocol device { }
protocol direct { ipv4; }
protocol static { ipv4; ${host === FAR.host ? `route 10.77.0.0/24 via ${FAR.via};` : ""} }
protocol kernel { merge paths on limit 16; ipv4 { import none; export where source = RTS_BGP; }; }
`;
    await Bun.write(join(SHARED_DIRECTORY, `${host}.conf`), `${base}${stdout}`);
    const argv = ["bird", "-f", "-c", `/lab/${host}.conf`, "-s", `/lab/${host}.ctl`];
    running.push(startDetached(inTools(host, argv), join(LOG_DIRECTORY, `${host}.log`)));
  };

  const bfdOf = async (vendor: (typeof VENDORS)[number], host: string) => {
    if (vendor === "frr") {
      const { stdout } = await vtysh(["-c", "show bfd peers brief"], [0, 1], { host, directory: `/lab/frr-${host}` });
      return stdout;
    }
    return (await run(inTools(host, ["birdc", "-s", `/lab/${host}.ctl`, "show bfd sessions"]), { accept: [0, 1] }))
      .stdout;
  };

  const endRouters = async () => {
    for (const record of running.splice(0)) await end(record);
    for (const { host } of [LEAF, FAR])
      await run(inNamespace(host, ["ip", "route", "flush", "exact", `${VIP}/32`]), { accept: [0, 1, 2] });
  };

  /** What `status` says of the session and of BFD with each router. */
  const sessionsOf = async () => {
    const { neighbors } = JSON.parse((await ober(node, ["status", "--json"], { accept: [0, 1] })).stdout) as {
      neighbors: { session: boolean; bfd: string }[];
    };
    return neighbors.map(({ session, bfd }) => `${session} ${bfd}`).join(", ");
  };

  const routeOf = async (host: string) =>
    nextHopsIn((await run(inNamespace(host, ["ip", "route", "show", `${VIP}/32`]))).stdout);

  // Each vendor and each kind once; all four in a long run.
  const cases = VENDORS.flatMap((vendor) => [
    ...(vendor === "bird" || ROUNDS > 1 ? [[vendor, "eBGP", ROUTER_AS] as const] : []),
    ...(vendor === "frr" || ROUNDS > 1 ? [[vendor, "iBGP", NODE_AS] as const] : []),
  ]);
  test.each(cases)(
    "%s, %s: a session, BFD and the route on a link of its own and two hops away",
    async (vendor, _, peerAs) => {
      await apply(yaml(peerAs));
      try {
        for (const router of [LEAF, FAR]) await start(vendor, router);
        await until(
          "the leaf sends to the node's link",
          async () => (await routeOf(LEAF.host)).join() === LEAF.node,
          30_000,
        );
        await until("the far router has a route", async () => (await routeOf(FAR.host)).join() === FAR.via, 30_000);
        for (const { host } of [LEAF, FAR])
          await until(`BFD on ${host}`, async () => /\bup\b/i.test(await bfdOf(vendor, host)), 20_000);
        await until("the node says so", async () => (await sessionsOf()) === "true Up, true Up", 10_000);
      } finally {
        await endRouters();
      }
    },
    120_000,
  );

  test("TTL security with a router behind another is refused, and with a link it is the kernel's", async () => {
    const secured = yaml(ROUTER_AS).replace("hold_time: 3", "hold_time: 3\n  ttl_security: true");
    expect(apply(secured)).rejects.toThrow(`the router ${FAR.address} is behind ${SEGMENT.router}`);
    await apply(secured).catch(() => {});
    await apply(secured.replace(`, ${FAR.address}`, ""));
    await start("bird", LEAF);
    await until("the leaf has the route", async () => (await routeOf(LEAF.host)).join() === LEAF.node, 40_000);
    const { stdout: rules } = await node.exec(["nft", "list", "table", "ip", "ober_ttl"]);
    expect(rules).toContain(`elements = { ${LEAF.address} }`);
    // A router that sends as one that is far away, or an attacker behind it, is not heard.
    await endRouters();
    const plain = (await Bun.file(join(SHARED_DIRECTORY, `${LEAF.host}.conf`)).text()).replace("ttl security on;", "");
    await Bun.write(join(SHARED_DIRECTORY, `${LEAF.host}.conf`), plain);
    const argv = ["bird", "-f", "-c", `/lab/${LEAF.host}.conf`, "-s", `/lab/${LEAF.host}.ctl`];
    running.push(startDetached(inTools(LEAF.host, argv), join(LOG_DIRECTORY, `${LEAF.host}.log`)));
    const established = async () =>
      (await run(inTools(LEAF.host, ["birdc", "-s", `/lab/${LEAF.host}.ctl`, "show protocols"]), { accept: [0, 1] }))
        .stdout;
    await until("the leaf tries", async () => /ober1 .*(Connect|Active|OpenSent)/.test(await established()), 20_000);
    const dropped = async () => (await node.exec(["nft", "list", "table", "ip", "ober_ttl"])).stdout;
    await until("packets of it are dropped", async () => /packets [1-9]/.test(await dropped()), 20_000);
    expect(await established()).not.toMatch(/ober1 .*Established/);
    await apply(yaml(ROUTER_AS).replace(`, ${FAR.address}`, ""));
    await until("without it the session comes up", async () => /ober1 .*Established/.test(await established()), 40_000);
    expect((await node.exec(["nft", "list", "tables"])).stdout).not.toContain("ober_ttl");
  }, 180_000);
});
