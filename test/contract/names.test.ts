/** The file from which HAProxy takes the addresses of named servers, given to the real one of every Debian suite. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { PLACEHOLDER } from "../../src/domain/names.ts";
import { configuredServers, parseServersState, serverStateFile } from "../../src/domain/server-state.ts";
import { serverRows } from "../../src/system/haproxy-socket.ts";
import { until } from "../lab/process.ts";
import { enterNetwork, type Ingress, SERVERS, startIngress } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { OK, startServer } from "./_peers.ts";

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
      serverStateFile(configuredServers(ingress.text), (name) => ADDRESSES[name], await live()),
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
      serverStateFile(configuredServers(ingress.text), (name) => ADDRESSES[name]),
    );
    await ingress.restart();
    expect(await addressOf("alive")).toBe(ALIVE);
    expect(await rowOf("new")).toMatchObject({ status: "DOWN" });
    // Up until its first check, and out with that: a server that is dead must not need three of them.
    await until("the dead server is out", async () => (await rowOf("dead"))["status"] === "DOWN", 3_500);
    await until("the one alive has its check", async () => (await rowOf("alive"))["check_status"] === "L7OK", 3_000);
    expect(await rowOf("alive")).toMatchObject({ status: "UP", weight: "1" });
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
    expect((await live()).filter(({ address }) => address === PLACEHOLDER).map(({ name }) => name)).toEqual([
      "new:7480",
    ]);
  });
});
