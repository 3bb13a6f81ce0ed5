/** The file from which HAProxy takes the addresses of named servers, given to the real one of every Debian suite. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { isAddress } from "../../src/domain/address.ts";
import { PLACEHOLDER } from "../../src/domain/names.ts";
import { configuredServers, firstServer, parseServersState, serverStateFile } from "../../src/domain/server-state.ts";
import { lookOnce, prepareNames } from "../../src/haproxy/server-names.ts";
import { serverRows } from "../../src/haproxy/socket.ts";
import type { System } from "../../src/system/system.ts";
import { run, until } from "../lab/process.ts";
import { enterNetwork, type Ingress, SERVERS, startIngress } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { get, OK, request, startServer } from "./_peers.ts";

const FILE = `/tmp/ober-ingress-${process.pid}/servers.state`;
/** Two servers answer, at the third address is none. */
const [ALIVE = "", OTHER = "", DEAD = ""] = SERVERS;
const ADDRESSES: Readonly<Record<string, string>> = { alive: ALIVE, drained: OTHER, dead: DEAD };

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let leave: () => void;
  let ingress: Ingress;
  const servers: Awaited<ReturnType<typeof startServer>>[] = [];
  beforeAll(async () => {
    leave = await enterNetwork([tree]);
    await run(["ip", "-6", "address", "add", "fd66::12/128", "dev", "lo", "nodad"]);
    for (const address of [ALIVE, OTHER])
      servers.push(await startServer(address, ({ socket }) => void socket.write(OK)));
    const edit = [
      ["server-state-file /run/ober/servers.state", `server-state-file ${FILE}`],
      // The first look at a server that is dead comes after what it begins with was seen.
      ["inter 1000ms", "inter 2000ms"],
    ] as const;
    ingress = await startIngress(tree, { servers: ["alive", "drained", "dead", "new"], edit });
  }, 600_000);
  afterAll(async () => {
    await ingress?.[Symbol.asyncDispose]();
    for (const server of servers) await server[Symbol.asyncDispose]();
    leave?.();
  });

  const live = async () => parseServersState(await ingress.say("show servers state"));
  const addressOf = async (name: string) => (await live()).find((one) => one.name === `${name}:7480`)?.address;
  const rowOf = async (name: string) =>
    serverRows(await ingress.stat(), "s3").find((row) => row["svname"] === `${name}:7480`) ?? {};
  const write = async () =>
    ingress.put(
      FILE,
      serverStateFile(configuredServers(ingress.text), (name) => [ADDRESSES[name] ?? []].flat(), await live()),
    );

  test("without the file: starts, with every named server on the placeholder", async () => {
    expect(await addressOf("alive")).toBe(PLACEHOLDER);
    expect(await addressOf("new")).toBe(PLACEHOLDER);
  });

  test.each([
    ["empty", ""],
    ["of another form", "names\n"],
    ["cut off", "1\n0 s3 0 alive:7480 10.6"],
    ["with a bad value", `1\n0 s3 0 alive:7480 ${ALIVE} 9 0 1 1 0 1 0 1 6 0 0 0 - 7480 -\n`],
    ["about others", `1\n0 gone 0 alive:7480 ${ALIVE} 1 0 1 1 0 1 0 1 6 0 0 0 - 7480 -\n`],
    ["long", `1\n${"0 x 0 y 10.0.0.1 1 0 1 1 0 1 0 1 6 0 0 0 - 7480 -\n".repeat(100_000)}`],
  ])("with a file that is %s: starts as without", async (_what, content) => {
    ingress.put(FILE, content);
    await ingress.restart();
    expect(await addressOf("alive")).toBe(PLACEHOLDER);
  });

  test("with the file: known servers begin as those of addresses do, the others are down", async () => {
    ingress.put(
      FILE,
      serverStateFile(configuredServers(ingress.text), (name) => [ADDRESSES[name] ?? []].flat()),
    );
    await ingress.restart();
    expect(await addressOf("alive")).toBe(ALIVE);
    expect(await rowOf("new")).toMatchObject({ status: "DOWN" });
    // Up until its first check, and out with that: a server that is dead must not need three of them.
    await until("the dead server is out", async () => (await rowOf("dead"))["status"] === "DOWN", 3_500);
    await until("the one alive has its check", async () => (await rowOf("alive"))["check_status"] === "L7OK", 3_000);
    expect(await rowOf("alive")).toMatchObject({ status: "UP", weight: "100" });
  });

  test("takes an address for a server on the placeholder, and finds it with its checks", async () => {
    expect(await ingress.say(`set server s3/new:7480 addr ${ALIVE} port 7480`)).toMatch(
      /changed from|no need to change/,
    );
    await until("it is up", async () => (await rowOf("new"))["status"]?.startsWith("UP"), 15_000);
  });

  test("over a reload: what an operator did stays, and so does what the checks found", async () => {
    for (const command of ["set server s3/drained:7480 state drain", "set weight s3/alive:7480 7"])
      await ingress.say(command);
    await write();
    await ingress.reload();
    expect((await rowOf("drained"))["status"]).toStartWith("DRAIN");
    expect(await rowOf("alive")).toMatchObject({ weight: "7" });
    expect(await rowOf("dead")).toMatchObject({ status: "DOWN" });
    const unresolved = (await live()).filter(
      ({ name, address }) => address === PLACEHOLDER && firstServer(name) === name,
    );
    expect(unresolved.map(({ name }) => name)).toEqual(["new:7480"]);
  });

  describe("a name with several addresses", () => {
    /** What DNS says to `ober names`, and the rows that an operator sees of the name's servers. */
    let zone: Readonly<Record<string, readonly string[]>> = {};
    const place = () => ({
      system: {
        ...ingress.files,
        run: async (argv: readonly string[]) => {
          const lines = argv
            .slice(2)
            .flatMap((key) =>
              (zone[key] ?? (isAddress(key) ? [key] : [])).flatMap((address) =>
                ["STREAM", "DGRAM", "RAW"].map((type) => `${address} ${type} ${key}\n`),
              ),
            );
          return { stdout: lines.join(""), stderr: "", code: lines.length > 0 ? 0 : 2 };
        },
      } as System,
      paths: {
        ...ingress.paths,
        // From outside the tree, and where the tree keeps nothing.
        haproxySocket: ingress.socket as typeof ingress.paths.haproxySocket,
        serverState: FILE as typeof ingress.paths.serverState,
        nameStates: `${FILE}.json` as typeof ingress.paths.nameStates,
      },
    });
    const look = (followed: readonly string[] = []) =>
      lookOnce(place(), { unconfirmed: new Set(), followed: new Set(followed), others: [] }, new Date());
    const servers = async (name: string) =>
      serverRows(await ingress.stat(), "s3")
        .filter(({ svname = "" }) => firstServer(svname) === `${name}:7480`)
        .map(({ svname, addr, status = "" }) => `${svname} ${addr} ${status.split(" ")[0]}`)
        .sort();
    const others = { drained: [OTHER], dead: [DEAD], new: [ALIVE] };
    const begin = async (addresses: readonly string[]) => {
      zone = { ...others, alive: addresses };
      ingress.put(ingress.paths.knownNames, "");
      await ingress.restart();
      await prepareNames(place(), new Date());
      await ingress.restart();
    };

    test("is a server for each, whatever their order, and those that it does not need are not seen", async () => {
      const said = ingress.log().length;
      await begin([OTHER, ALIVE]);
      const both = [`alive:7480 ${ALIVE}:7480 UP`, `alive_7480-2 ${OTHER}:7480 UP`];
      expect(await servers("alive")).toEqual(both);
      // They are not checked either: a check would find them down.
      const unneeded = (await ingress.stat()).filter(({ svname = "" }) => /-[3-8]$/.test(svname));
      expect(unneeded.every(({ status }) => status === "MAINT")).toBe(true);
      expect(ingress.log().slice(said)).not.toMatch(/_7480-[3-8] is/);
      zone = { ...others, alive: [ALIVE, OTHER] };
      expect((await look(["s3"])).taken).toEqual([]);
      expect(await servers("alive")).toEqual(both);
    });

    test("gets more and fewer servers as DNS says, without a reload, where it is followed", async () => {
      await begin([ALIVE, OTHER]);
      zone = { ...others, alive: [OTHER, DEAD] };
      await look(["s3"]);
      expect((await servers("alive")).map((text) => text.split(" ").slice(0, 2).join(" "))).toEqual([
        `alive:7480 ${DEAD}:7480`,
        `alive_7480-2 ${OTHER}:7480`,
      ]);
      zone = { ...others, alive: [OTHER] };
      await look(["s3"]);
      expect(await servers("alive")).toEqual([`alive_7480-2 ${OTHER}:7480 UP`]);
      zone = { ...others, alive: [ALIVE, OTHER] };
      await look(["s3"]);
      await until("both serve", async () => (await servers("alive")).every((text) => text.endsWith(" UP")), 15_000);
      expect(await servers("alive")).toEqual([`alive:7480 ${ALIVE}:7480 UP`, `alive_7480-2 ${OTHER}:7480 UP`]);
      await prepareNames(place(), new Date());
      await ingress.reload();
      expect(await servers("alive")).toEqual([`alive:7480 ${ALIVE}:7480 UP`, `alive_7480-2 ${OTHER}:7480 UP`]);
    });

    test("of which an operator has taken all out: what it gets later is out too, and keeps the weight", async () => {
      const wish = { group: "s3", server: "alive:7480", by: "ann", at: new Date().toISOString(), reason: "" };
      const kept = {
        wishes: [
          { ...wish, wish: "drain" },
          { ...wish, wish: "weight", weight: 50 },
        ],
      };
      ingress.put(ingress.paths.rgwWishes, JSON.stringify(kept));
      await begin([ALIVE]);
      zone = { ...others, alive: [ALIVE, OTHER] };
      await look(["s3"]);
      expect(await servers("alive")).toEqual([`alive:7480 ${ALIVE}:7480 DRAIN`, `alive_7480-2 ${OTHER}:7480 DRAIN`]);
      const weights = (await live()).filter(({ name }) => /^alive(:|_7480-2)/.test(name)).map(({ weight }) => weight);
      expect(weights).toEqual([50, 50]);
      await ingress.files.remove(ingress.paths.rgwWishes);
    }, 20_000);

    test.each([
      ["a dead AAAA and a live A", ["fd66::11"], ALIVE],
      ["a dead A and a live AAAA", [DEAD], "fd66::12"],
    ])(
      "with %s is served by the living one",
      async (_what, dead, other) => {
        await using _six = await startServer("fd66::12", ({ socket }) => void socket.write(OK));
        await begin(dead);
        zone = { ...others, alive: [...dead, other] };
        const served = async () => {
          await look();
          return (await servers("alive")).some((text) => text.includes(other) && text.endsWith(" UP"));
        };
        // A start looks for ten seconds at least.
        ingress.put(ingress.paths.knownNames, JSON.stringify({ alive: { addresses: zone["alive"], at: new Date() } }));
        await until("the living one serves", served, 15_000, 100);
        await until("the group has it", async () => (await request(get())).status === 200, 5_000);
      },
      40_000,
    );
  });
});
