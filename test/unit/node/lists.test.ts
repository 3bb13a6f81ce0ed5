/** Who may use plain HTTP: what a list becomes, and what keeps an operator from locking anybody out by mistake. */
import { describe, expect, test } from "bun:test";
import { parseSources } from "../../../src/domain/allow-list.ts";
import { type ListName, mayPass, syncLists } from "../../../src/node/lists.ts";
import { liveNode } from "../../helpers/live-node.ts";
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

/** The memory of HAProxy's allow-lists; `refuse` is a beginning of a command that it does not take. */
function memory(lists: Record<string, string[]>, refuse = "nothing") {
  const staged = new Map<string, string[]>();
  const files = Object.keys(lists);
  const one = (command: string): string => {
    const [verb = "", , ...rest] = command.split(" ");
    const word = rest.find((each) => each.startsWith("#")) ?? "";
    const file = files[Number(word.slice(1))] ?? "";
    if (command.startsWith(refuse)) return "no room";
    if (command === "show acl") return files.map((each, id) => `${id} (${each}) pattern loaded from file`).join("\n");
    if (verb === "prepare") {
      staged.set(file, []);
      return "New version created: 1";
    }
    if (verb === "add") staged.get(file)?.push(rest.at(-1) ?? "");
    if (verb === "commit") lists[file] = staged.get(file) ?? [];
    if (verb === "clear") staged.delete(file);
    if (verb === "get") {
      const found = lists[file]?.includes(rest.at(-1) ?? "") === true;
      return found ? `type=ip, match=yes, pattern="${rest.at(-1)}"` : "type=ip, match=no";
    }
    return "";
  };
  return (command: string) => command.split(";").map(one).filter(Boolean).join("\n");
}

describe("a list of a node that serves", () => {
  const serving = async (clients: readonly string[], refuse?: string) => {
    const one = await liveNode();
    await one.node.system.writeAtomic(paths.frontendHttpList, clients.map((each) => `${each}\n`).join(""));
    const lists = { [paths.frontendHttpList]: [...clients], [paths.backendHttpList]: [] };
    one.haproxy.now.others = memory(lists, refuse);
    return { ...one, lists, fileOf: async () => (await one.node.system.read(paths.frontendHttpList)) ?? "" };
  };
  const wish = (text: string) => ({ ...FORCED, dryRun: false, wanted: wanted(text) });

  test("is in force at once, in memory and in the file", async () => {
    using one = await serving(["10.0.0.1"]);
    const { changes } = await syncLists(one.node, heard(), wish("10.0.0.2"));
    expect(changes[0]).toMatchObject({ added: ["10.0.0.2"], removed: ["10.0.0.1"], effect: "in force" });
    expect(one.lists[paths.frontendHttpList]).toEqual(["10.0.0.2"]);
    expect(await one.fileOf()).toContain("10.0.0.2\n");
    expect(one.haproxy.said.filter((line) => line.startsWith("reload"))).toEqual([]);
  });

  test.each(["prepare acl", "add acl", "commit acl"])("is as before where HAProxy refuses `%s`", async (refuse) => {
    using one = await serving(["10.0.0.1"], refuse);
    await expect(syncLists(one.node, heard(), wish("10.0.0.2"))).rejects.toThrow("HAProxy");
    expect(one.lists[paths.frontendHttpList]).toEqual(["10.0.0.1"]);
    expect(await one.fileOf()).toContain("10.0.0.1\n");
    expect(await one.fileOf()).not.toContain("10.0.0.2");
  });

  test("says of a source whether it may pass, by HAProxy's own memory", async () => {
    using one = await serving(["10.0.0.1"]);
    expect(await mayPass(one.node, "10.0.0.1")).toMatchObject({ plainHttp: true });
    expect(await mayPass(one.node, "10.0.0.9")).toMatchObject({ plainHttp: false });
  });
});

describe("a list that would lock out", () => {
  test("the neighbor of the sessions is refused, and --force takes it", async () => {
    using one = await liveNode();
    const options = { allowMissing: false, force: false, dryRun: false, wanted: wanted("10.7.7.7", "routers") };
    await expect(syncLists(one.node, heard(), options)).rejects.toMatchObject({
      message: "neighbor 10.0.0.1 (10.0.0.1) would lose BGP",
      hint: expect.stringContaining("--force"),
    });
    expect(await one.node.system.read(paths.routersList)).not.toContain("10.7.7.7");
    const { changes } = await syncLists(one.node, heard(), { ...options, force: true });
    expect(changes[0]).toMatchObject({ added: ["10.7.7.7"] });
  });

  test("another node of the cluster is refused", async () => {
    using one = await liveNode({ change: (yaml) => `${yaml}nodes: [10.0.0.11, 10.0.0.12]\n` });
    await one.node.system.writeAtomic(paths.frontendHttpList, "10.0.0.12\n");
    const options = { allowMissing: false, force: false, dryRun: false, wanted: wanted("10.7.7.7") };
    await expect(syncLists(one.node, heard(), options)).rejects.toThrow(
      "node 10.0.0.12 (10.0.0.12) would lose plain HTTP",
    );
  });
});
