/** What stops, in which order, and what happens with what does not end. */
import { describe, expect, test } from "bun:test";
import { UNIT, unitsOf } from "../../../src/domain/units.ts";
import { isStopped, leaveAndStop, stopNode, stopOptions } from "../../../src/node/stop.ts";
import { isDrainAsked } from "../../../src/node/withdraw.ts";
import { heard } from "../../helpers/output.ts";
import { BGP, paths, servingNode } from "../../helpers/serving-node.ts";

const NOW = { timeoutMs: 1000, force: true, config: BGP };

describe("stopping a node", () => {
  test("withdraws first, then ends the units backwards, none to come back at the next boot", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    expect(await isStopped(node, BGP)).toBe(false);
    await leaveAndStop(node, heard(), NOW);
    const units = [...unitsOf(BGP)].reverse();
    expect(node.system.deeds).toContain(`systemctl disable ${units.join(" ")}`);
    expect(node.system.deeds).toContain(`systemctl stop --no-block ${units.join(" ")}`);
    expect([[...node.system.active], [...node.system.enabled], await isStopped(node, BGP)]).toEqual([[], [], true]);
    // The withdraw was for the command alone, and so was the word to HAProxy's unit not to wait.
    expect([await isDrainAsked(node), await node.system.stat(paths.noWait)]).toEqual([false, undefined]);
  });

  test("kills a unit that does not end", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    const { run } = node.system;
    const system = {
      ...node.system,
      run: (async (argv, options) => {
        const hangs = argv.includes("--no-block");
        return run(hangs ? argv.filter((word) => word !== UNIT.bgp) : argv, options);
      }) satisfies typeof run,
    };
    const out = heard();
    await leaveAndStop({ system, paths }, out, NOW);
    expect(out.warnings).toContain(`${UNIT.bgp}: hangs; killing it`);
    expect(node.system.deeds).toContain(`systemctl kill --signal=SIGKILL ${UNIT.bgp}`);
    expect([...node.system.active]).toEqual([]);
  });

  test("goes on where a disk does not let a unit be disabled, and says what that means", async () => {
    const refusal = { "systemctl disable": "Read-only file system" };
    const node = await servingNode(BGP, { refuse: refusal });
    using _ = node.system;
    const out = heard();
    await leaveAndStop(node, out, NOW);
    const units = [...unitsOf(BGP)].reverse().join(", ");
    expect(out.warnings.at(-1)).toStartWith(`${units}: started again by the next boot`);
    expect([...node.system.active]).toEqual([]);
  });

  test("keeps them for the next boot where they come back at once: a machine that dies meanwhile serves again", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    await leaveAndStop(node, heard(), { ...NOW, comesBack: true });
    expect([[...node.system.active], [...node.system.enabled].sort()]).toEqual([[], [...unitsOf(BGP)].sort()]);
  });

  test("lifts its withdraw where a unit cannot be stopped", async () => {
    const refusal = { "systemctl stop --no-block": "Access denied" };
    const node = await servingNode(BGP, { refuse: refusal });
    using _ = node.system;
    await expect(leaveAndStop(node, heard(), NOW)).rejects.toThrow("Access denied");
    expect([await isDrainAsked(node), await node.system.stat(paths.noWait)]).toEqual([false, undefined]);
  });

  test("that is dead needs nobody's turn", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    await node.system.writeAtomic(
      paths.config,
      "ha_mode: bgp\nbgp: {local_as: 65001, peer_as: 65000, neighbors: [10.0.0.1]}\nvips: [10.9.9.1]\nbackends: [{name: s3, servers: ['10.0.1.1:7480']}]\nstats_port: 9\n",
    );
    const options = { timeoutMs: 0, force: false, waitMs: undefined, command: "ober stop", config: BGP };
    // HAProxy's socket is silent: there is nothing to wait for.
    const out = heard();
    expect(await stopNode(node, out, options)).toMatchObject({ left: 0, inFlight: 0 });
    expect(out.warnings).toContain("HAProxy hangs: there is nothing that could be waited for");
  });
});

test.each(["", "-1", "1.5", "86401", "x"])("--timeout '%s' is refused", (timeout) => {
  expect(() => stopOptions({ timeout })).toThrow("is not a number of seconds");
});
