/** What an upgrade proves before the node leaves traffic: the way there, the way back, and that the new HAProxy reads the present file. */
import { describe, expect, test } from "bun:test";
import { cutOffUpgrade, finishUpgrade, upgradePackages } from "../../../src/node/upgrade.ts";
import type { PackageManager } from "../../../src/packages/packages.ts";
import { heard } from "../../helpers/output.ts";
import { BGP, BGP_YAML, paths, servingNode } from "../../helpers/serving-node.ts";

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
    const { run } = node.system;
    // A program that ends with 1 throws on a real machine.
    const system = {
      ...node.system,
      run: (async (argv, options) => {
        const result = await run(argv, options);
        if (!(options?.accept ?? [0]).includes(result.code)) throw new Error(result.stderr);
        return result;
      }) satisfies typeof run,
    };
    const { manager, installed } = managerWith(versions);
    await expect(upgradePackages({ system, paths }, heard(), { ...OPTIONS, manager })).rejects.toThrow(message);
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
