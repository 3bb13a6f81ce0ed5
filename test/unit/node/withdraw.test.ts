/** Leaving traffic and coming back: what is true afterwards, also where a daemon does not answer or a command is killed. */
import { describe, expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import { OberError } from "../../../src/errors.ts";
import { saysSoft } from "../../../src/health/drain.ts";
import { drainNode, isDrainAsked, isDrained, undrainNode, withdrawAll } from "../../../src/node/withdraw.ts";
import { isOperatorsDrain, readDrainFlag } from "../../../src/system/drain-flag.ts";
import { heard } from "../../helpers/output.ts";
import { BGP, paths, servingNode } from "../../helpers/serving-node.ts";

const REASON = { reason: "new disk", soft: false };

describe("a drain", () => {
  test("is over when ExaBGP has confirmed that the routes are gone, and a router has had time to act", async () => {
    const node = await servingNode(BGP, { hears: 100 });
    using _ = node.system;
    const out = heard();
    await drainNode(node, out, BGP, REASON);
    expect(out.stages).toEqual(["withdrawing the routes"]);
    expect(JSON.parse((await readDrainFlag(node.system, paths)) ?? "")).toMatchObject({ reason: "new disk" });
    expect(await isDrained(node, BGP)).toBe(true);
    expect(node.system.clock.now()).toBeGreaterThanOrEqual(1_100);
    expect(node.system.clock.now()).toBeLessThan(1_300);
  });

  test("that ExaBGP does not confirm is an error that says what ends the session, and the node stays drained", async () => {
    const node = await servingNode(BGP, { hears: Number.POSITIVE_INFINITY });
    using _ = node.system;
    const error = await drainNode(node, heard(), BGP, REASON).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OberError);
    expect(error).toMatchObject({
      message: "the node is to be drained, but ExaBGP has not confirmed that the routes are gone",
      hint: "ober status; `ober stop --force` ends the session, and the routes with it",
    });
    expect(await isOperatorsDrain(node.system, paths)).toBe(true);
    expect(await isDrained(node, BGP)).toBe(false);
  });

  test("of a node that is stopped needs no router", async () => {
    const node = await servingNode(BGP, { hears: Number.POSITIVE_INFINITY });
    using _ = node.system;
    node.system.active.clear();
    await drainNode(node, heard(), BGP, REASON);
    expect([node.system.clock.now(), await isDrained(node, BGP)]).toEqual([0, true]);
  });

  test("that is soft has the routers prefer other nodes first, and is not yet a drain where it was cut off", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    const flag = JSON.stringify({ by: "ann", at: "2026-01-01T00:00:00Z", reason: "", soft: true });
    await node.system.writeAtomic(paths.drainFlag, flag);
    expect(await isDrained(node, BGP)).toBe(false);
    await drainNode(node, heard(), BGP, REASON);
    expect(JSON.parse((await readDrainFlag(node.system, paths)) ?? "")).not.toHaveProperty("soft");
    expect(await isDrained(node, BGP)).toBe(true);
  });

  test("outlives a disk that takes nothing until the next boot, and says so", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    const { writeAtomic } = node.system;
    const system = {
      ...node.system,
      async writeAtomic(path: string, ...rest: [string, { mode?: number }?]) {
        if (path.startsWith(paths.var)) throw new OberError("no space left on the device");
        return writeAtomic(path, ...rest);
      },
    };
    const out = heard();
    await drainNode({ system, paths }, out, BGP, REASON);
    expect(out.warnings[0]).toBe("the drain ends with the next boot: no space left on the device");
    expect(await isDrained(node, BGP)).toBe(true);
  });
});

describe("an undrain", () => {
  test("of a node that was not drained changes nothing", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    expect(await isDrainAsked(node)).toBe(false);
    expect(await undrainNode(node, heard(), BGP)).toEqual({ wasDrained: false, wasHeldDown: false });
  });

  test("of a node that is stopped ends the drain and waits for nothing", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    node.system.active.clear();
    await drainNode(node, heard(), BGP, REASON);
    expect(await undrainNode(node, heard(), BGP)).toEqual({ wasDrained: true, wasHeldDown: false });
    expect([await isDrainAsked(node), node.system.clock.now()]).toEqual([false, 0]);
  });
});

describe("a withdraw for as long as a command runs", () => {
  test("lifts itself", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    const lift = await withdrawAll(node, heard(), BGP);
    expect([await isDrainAsked(node), await isOperatorsDrain(node.system, paths)]).toEqual([true, false]);
    await lift();
    expect(await isDrainAsked(node)).toBe(false);
  });

  test("leaves the operator's own drain where it is", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    await drainNode(node, heard(), BGP, REASON);
    await (await withdrawAll(node, heard(), BGP))();
    expect(await isOperatorsDrain(node.system, paths)).toBe(true);
  });

  test("is not needed where nothing brings traffic", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    node.system.active.clear();
    await withdrawAll(node, heard(), BGP);
    expect(await isDrainAsked(node)).toBe(false);
  });
});

describe("a soft drain", () => {
  test("has the routers prefer other nodes for a while, and then withdraws", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    const { sleep } = node.system.clock;
    node.system.clock.sleep = async (ms) => {
      await sleep(ms);
      if (!saysSoft((await readDrainFlag(node.system, paths)) ?? "")) return;
      const state = JSON.parse((await node.system.read(paths.healthState)) ?? "");
      for (const vip of state.vips) Object.assign(vip, { announced: true, lastChoice: "leaving", acknowledged: true });
      await node.system.writeAtomic(paths.healthState, JSON.stringify(state));
    };
    const teller = heard();
    await drainNode(node, teller, BGP, { reason: "", soft: true });
    expect(teller.stages).toEqual(["asking the routers to prefer other nodes", "withdrawing the routes"]);
    expect(node.system.clock.now()).toBeGreaterThanOrEqual(6_000);
    expect([await isDrained(node, BGP), saysSoft((await readDrainFlag(node.system, paths)) ?? "")]).toEqual([
      true,
      false,
    ]);
  });

  test("goes on to the withdraw where ExaBGP does not confirm it", async () => {
    const node = await servingNode(BGP, { hears: Number.POSITIVE_INFINITY });
    using _ = node.system;
    const teller = heard();
    await expect(drainNode(node, teller, BGP, { reason: "", soft: true })).rejects.toThrow("ExaBGP has not confirmed");
    expect(teller.warnings).toContain("ExaBGP did not confirm it; going on with the withdraw");
    expect(teller.stages.at(-1)).toBe("withdrawing the routes");
  });
});

describe("a drain of a node with VRRP", () => {
  const VRRP = parseConfig(
    {
      ha_mode: "keepalived",
      keepalived: { interface: "eth0", peers: ["10.9.9.11", "10.9.9.12"] },
      vips: ["10.9.9.1"],
      backends: [{ name: "s3", servers: ["10.0.1.1:7480"] }],
      stats_port: 9,
    },
    "ober.yaml",
  );
  /** `gone` is when another node has taken the VIP over, in milliseconds. */
  const holding = async (gone: number) => {
    let now = () => 0;
    const node = await servingNode(VRRP, {
      programs: ([program]) => {
        if (program !== "ip") return "";
        const vip = now() < gone ? ',{"local":"10.9.9.1","prefixlen":32}' : "";
        return `[{"ifname":"eth0","addr_info":[{"local":"10.9.9.11","prefixlen":24}${vip}]}]`;
      },
    });
    now = node.system.clock.now;
    return node;
  };

  test("lowers its priority and is over when another node has the VIP", async () => {
    const node = await holding(1_000);
    using _ = node.system;
    const teller = heard();
    await drainNode(node, teller, VRRP, REASON);
    expect([teller.stages, node.system.clock.now()]).toEqual([["handing the VIPs over"], 1_000]);
    expect(await isDrained(node, VRRP)).toBe(true);
  });

  test("goes on where no other node takes the VIP, and says so", async () => {
    const node = await holding(Number.POSITIVE_INFINITY);
    using _ = node.system;
    const teller = heard();
    await drainNode(node, teller, VRRP, REASON);
    expect(teller.warnings).toContain("no other node takes over 10.9.9.1");
    expect(await isDrained(node, VRRP)).toBe(false);
    expect(await isDrainAsked(node)).toBe(true);
  });
});
