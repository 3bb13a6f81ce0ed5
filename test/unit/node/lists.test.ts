/** Who may use plain HTTP: what a list becomes, and what keeps an operator from locking anybody out by mistake. */
import { describe, expect, test } from "bun:test";
import { parseSources } from "../../../src/domain/allow-list.ts";
import { type ListName, syncLists } from "../../../src/node/lists.ts";
import { heard } from "../../helpers/output.ts";
import { BGP, BGP_YAML, paths, servingNode } from "../../helpers/serving-node.ts";

/** A configured node whose HAProxy is stopped; `clients` is its present list of who may use plain HTTP. */
async function stopped(clients: string) {
  const node = await servingNode(BGP);
  node.system.active.clear();
  await node.system.writeAtomic(paths.config, BGP_YAML);
  await node.system.writeAtomic(paths.frontendHttpList, clients);
  return node;
}

const wanted = (text: string, name: ListName = "frontendHttp") => [{ name, sources: parseSources(text) }];
const FORCED = { allowMissing: false, force: true };

describe("a list", () => {
  test("is written, and counts from the next start of HAProxy", async () => {
    const node = await stopped("10.0.0.1\n10.0.0.2\n");
    using _ = node.system;
    const { changes } = await syncLists(node, heard(), {
      ...FORCED,
      dryRun: false,
      wanted: wanted("10.0.0.2,10.1.0.0/16"),
    });
    expect(changes).toEqual([
      {
        file: paths.frontendHttpList,
        entries: 2,
        added: ["10.1.0.0/16"],
        removed: ["10.0.0.1"],
        missing: [],
        effect: "kept; in force at the next start of HAProxy",
      },
    ]);
    expect(await node.system.read(paths.frontendHttpList)).toContain("10.1.0.0/16");
    expect(await node.system.read(paths.frontendHttpList)).not.toContain("10.0.0.1\n");
  });

  test("is only shown in a dry run", async () => {
    const node = await stopped("10.0.0.1\n");
    using _ = node.system;
    const { changes } = await syncLists(node, heard(), { ...FORCED, dryRun: true, wanted: wanted("") });
    expect(changes[0]).toMatchObject({ entries: 0, removed: ["10.0.0.1"], effect: "nothing was changed" });
    expect(await node.system.read(paths.frontendHttpList)).toBe("10.0.0.1\n");
  });

  test("of more routers than a firewall takes is refused before anything is written", async () => {
    const node = await stopped("");
    using _ = node.system;
    const many = Array.from({ length: 257 }, (_, index) => `10.2.${index >> 8}.${index & 255}`).join(",");
    const options = { ...FORCED, dryRun: false, wanted: wanted(many, "routers") };
    await expect(syncLists(node, heard(), options)).rejects.toThrow("257 routers; a firewall takes at most 256");
    expect(await node.system.read(paths.routersList)).toBeUndefined();
  });
});
