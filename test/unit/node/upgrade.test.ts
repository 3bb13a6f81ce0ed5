/** What an upgrade proves before the node leaves traffic: the way there, the way back, and that the new HAProxy reads the present file. */
import { describe, expect, test } from "bun:test";
import { UNIT, unitsOf } from "../../../src/domain/units.ts";
import { cutOffUpgrade, finishUpgrade, upgradePackages } from "../../../src/node/upgrade.ts";
import { isDrainAsked } from "../../../src/node/withdraw.ts";
import type { PackageManager } from "../../../src/packages/packages.ts";
import { liveNode } from "../../helpers/live-node.ts";
import { heard } from "../../helpers/output.ts";
import { BGP, BGP_YAML, paths, servingNode } from "../../helpers/serving-node.ts";
import { PowerCut } from "../../helpers/system.ts";

const DUE = [{ name: "haproxy", installed: "3.0.11", candidate: "3.0.12", held: false }];
const OPTIONS = { due: DUE, oneWay: false, timeoutMs: 0, force: false, waitMs: undefined, command: "ober upgrade" };

/** A package manager that has these versions, and installs nothing. */
function managerWith(versions: readonly string[]) {
  const installed: string[] = [];
  const manager = {
    fetch: async (name: string, version: string, directory: string) =>
      versions.includes(version) ? `${directory}/${name}.deb` : undefined,
    unpack: async () => {},
    installFiles: async (files: readonly string[]) => void installed.push(...files),
  } as unknown as PackageManager;
  return { manager, installed };
}

async function inService(refuse: Readonly<Record<string, string>> = {}) {
  const node = await servingNode(BGP, { refuse });
  await node.system.writeAtomic(paths.config, BGP_YAML);
  await node.system.writeAtomic(paths.haproxyConfig, "global\n");
  return node;
}

describe("an upgrade leaves the node in traffic and every package as it was when", () => {
  test.each([
    ["the new version cannot be fetched", ["3.0.11"], {}, "haproxy 3.0.12 could not be fetched"],
    ["there is no way back", ["3.0.12"], {}, "no repository has haproxy 3.0.11 any more: there would be no way back"],
    [
      "the new HAProxy refuses the present file",
      ["3.0.11", "3.0.12"],
      { [`${paths.upgrade}/tree/usr/sbin/haproxy -c`]: "unknown keyword" },
      "unknown keyword",
    ],
  ])("%s", async (_, versions, refuse, message) => {
    const node = await inService(refuse);
    using __ = node.system;
    const { manager, installed } = managerWith(versions);
    await expect(upgradePackages(node, heard(), { ...OPTIONS, manager })).rejects.toThrow(message);
    expect([installed, node.system.deeds, await cutOffUpgrade(node)]).toEqual([[], [], undefined]);
  });
});

test("nothing is finished where no upgrade was cut off", async () => {
  const node = await inService();
  using _ = node.system;
  const { manager, installed } = managerWith([]);
  expect([await finishUpgrade(node, heard(), manager), installed]).toEqual([[], []]);
});

test("a record of an upgrade that cannot be read is an error that names it", async () => {
  const node = await inService();
  using _ = node.system;
  await node.system.makeDirectory(paths.upgrade);
  await node.system.writeAtomic(paths.upgradeRecord, "{");
  await expect(finishUpgrade(node, heard(), managerWith([]).manager)).rejects.toThrow(paths.upgradeRecord);
});

describe("an upgrade out of traffic", () => {
  const BOTH = ["3.0.11", "3.0.12"];
  const NEW = `${paths.upgrade}/haproxy-3.0.12/haproxy.deb`;
  const OLD = `${paths.upgrade}/haproxy-3.0.11/haproxy.deb`;
  const FORCED = { ...OPTIONS, force: true };

  test("installs the new package, restarts its unit and is back in service", async () => {
    using one = await liveNode();
    const { manager, installed } = managerWith(BOTH);
    const teller = heard();
    const deeds = one.node.system.deeds.length;
    expect(await upgradePackages(one.node, teller, { ...FORCED, manager })).toEqual({ upgraded: DUE, left: 0 });
    expect(installed).toEqual([NEW]);
    expect(one.node.system.deeds.slice(deeds)).toContain(`systemctl restart ${UNIT.http}`);
    expect(teller.stages.at(-1)).toBe("in service: 10.9.9.1 announced to 10.0.0.1");
    expect([await isDrainAsked(one.node), await cutOffUpgrade(one.node)]).toEqual([false, undefined]);
    expect(await one.node.system.stat(paths.upgrade)).toBeUndefined();
  });

  test("of a node that is stopped starts nothing", async () => {
    using one = await liveNode();
    one.node.system.active.clear();
    const { manager, installed } = managerWith(BOTH);
    await upgradePackages(one.node, heard(), { ...FORCED, manager });
    expect([installed, [...one.node.system.active]]).toEqual([[NEW], []]);
  });

  test("puts the old package back where HAProxy is not healthy with the new one, and the node serves again", async () => {
    using one = await liveNode();
    const { manager, installed } = managerWith(BOTH);
    const installFiles = async (files: readonly string[]) => {
      installed.push(...files);
      one.haproxy.now.healthy = files.includes(OLD);
    };
    const failed = upgradePackages(one.node, heard(), { ...FORCED, manager: { ...manager, installFiles } });
    await expect(failed).rejects.toThrow("with the new haproxy HAProxy is not healthy; back are haproxy 3.0.11");
    expect(installed).toEqual([NEW, OLD]);
    expect([await isDrainAsked(one.node), await cutOffUpgrade(one.node)]).toEqual([false, undefined]);
    expect([...one.node.system.active].sort()).toEqual([...unitsOf(one.config)].sort());
  });

  test("that was cut off is finished by whoever comes next, with the old package", async () => {
    using one = await liveNode();
    const { manager, installed } = managerWith(BOTH);
    const dies = { ...manager, installFiles: () => Promise.reject(new PowerCut()) };
    await expect(upgradePackages(one.node, heard(), { ...FORCED, manager: dies })).rejects.toBeInstanceOf(PowerCut);
    expect(await cutOffUpgrade(one.node)).toMatchObject({ packages: [{ name: "haproxy", oldFile: OLD }] });
    expect(await finishUpgrade(one.node, heard(), manager)).toEqual(["haproxy 3.0.11"]);
    expect([installed, await cutOffUpgrade(one.node)]).toEqual([[OLD], undefined]);
    expect(await isDrainAsked(one.node)).toBe(false);
  });
});
