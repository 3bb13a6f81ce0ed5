/** RGWs from a list outside ober.yaml, given to the real HAProxy of every Debian suite: they come and go without a reload. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { parseNameStates } from "../../src/domain/names.ts";
import { OberError } from "../../src/errors.ts";
import { lookOnce, prepareNames } from "../../src/haproxy/server-names.ts";
import { serverRows } from "../../src/haproxy/socket.ts";
import type { System } from "../../src/system/system.ts";
import { until } from "../lab/process.ts";
import { enterNetwork, type Ingress, NODE, SERVER_PORT, SERVERS, startIngress, VIPS } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { get, OK, request, startServer } from "./_peers.ts";

const PREFIX = `/tmp/ober-ingress-${process.pid}`;
const STATE = `${PREFIX}/servers.state`;
const LIST = `${PREFIX}/rgws`;
const EDIT = [
  ["server-state-file /run/ober/servers.state", `server-state-file ${STATE}`],
  ["inter 1000ms", "inter 300ms"],
] as const;

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let leave: () => void;
  beforeEach(async () => {
    leave = await enterNetwork([tree]);
  }, 600_000);
  afterEach(() => leave());

  /** What the command prints; undefined for one that fails. */
  let printed: string | undefined;
  const placeOf = (ingress: Ingress) => ({
    system: {
      ...ingress.files,
      run: async () => {
        if (printed === undefined) throw new OberError("rgws: exit code 1");
        return { stdout: printed, stderr: "", code: 0 };
      },
    } as System,
    paths: {
      ...ingress.paths,
      // From outside the tree, and where the tree keeps nothing.
      haproxySocket: ingress.socket as typeof ingress.paths.haproxySocket,
      serverState: STATE as typeof ingress.paths.serverState,
      nameStates: `${STATE}.json` as typeof ingress.paths.nameStates,
    },
  });
  const wanted = { unconfirmed: new Set<string>(), followed: new Set(["s3"]), others: [] };
  const addresses = async (ingress: Ingress) =>
    serverRows(await ingress.stat(), "s3")
      .map(({ addr = "", status = "" }) => `${addr.replace(/:\d+$/, "")} ${status.split(" ")[0]}`)
      .sort();
  const up = (count: number) => SERVERS.slice(0, count).map((server) => `${server} UP`);
  const becomes = (ingress: Ingress, expected: readonly string[]) =>
    until("the servers are those", async () => Bun.deepEquals(await addresses(ingress), expected), 10_000, 20);
  const problemOf = async (ingress: Ingress) =>
    [...parseNameStates(await ingress.files.read(`${STATE}.json`)).values()].map(({ problem }) => problem);

  test.each([
    ["a file", `{file: ${LIST}, port: ${SERVER_PORT}}`],
    ["a command", `{command: [/usr/bin/rgws, --site=a], port: ${SERVER_PORT}}`],
  ])(
    "%s: RGWs come and go without a reload, and what it says wrongly changes nothing",
    async (what, entries) => {
      await using _servers = await startAll();
      await using ingress = await startIngress(tree, { entries, edit: EDIT });
      const say = (text: string | undefined) => {
        if (what === "a command") printed = text;
        else ingress.put(LIST, text ?? "");
      };
      const look = () => lookOnce(placeOf(ingress), wanted, new Date());
      say(SERVERS.slice(0, 4).join("\n"));
      await prepareNames(placeOf(ingress), new Date());
      await ingress.restart();
      await becomes(ingress, up(4));
      const worker = await ingress.worker();
      say(`${SERVERS.join("\n")} # all\n`);
      await look();
      await becomes(ingress, up(8));
      expect((await request(get())).status).toBe(200);
      expect(await problemOf(ingress)).toEqual([undefined]);

      for (const wrong of [
        "",
        "# nothing\n",
        SERVERS.slice(0, 3).join("\n"),
        "a b:c\n",
        `${SERVERS.join(" ")} ${VIPS[0]}`,
        undefined,
      ]) {
        say(wrong);
        expect((await look()).open).toBe(true);
        expect(await addresses(ingress)).toEqual(up(8));
        expect(await problemOf(ingress)).toEqual([expect.any(String)]);
      }
      say(SERVERS.slice(0, 3).join("\n"));
      // A start beside a source that is wrong begins with the last list.
      await prepareNames(placeOf(ingress), new Date());
      expect(await ingress.worker()).toBe(worker);
      await ingress.reload();
      await becomes(ingress, up(8));

      say(SERVERS.slice(0, 4).join("\n"));
      await look();
      await becomes(ingress, up(4));
      expect(await problemOf(ingress)).toEqual([undefined]);
      expect((await request(get())).status).toBe(200);
    },
    60_000,
  );

  test("far RGWs of a file are the same in both backends of their group, over changes and a reload", async () => {
    await using _servers = await startAll();
    const [near = "", ...far] = SERVERS;
    await using ingress = await startIngress(tree, {
      entries: `{name: "${near}:${SERVER_PORT}", zone: here}, {file: ${LIST}, port: ${SERVER_PORT}, zone: there}`,
      config: `nodes: [${NODE}, 10.77.0.12]\nzones: {here: [${NODE}], there: [10.77.0.12]}`,
      edit: EDIT,
    });
    const both = async () =>
      [await ingress.stat()].map((rows) =>
        ["s3", "ober_far_s3"].map((backend) =>
          serverRows(rows, backend)
            .filter(({ svname = "" }) => !svname.startsWith(near))
            .map(({ addr = "", status = "" }) => `${addr.replace(/:\d+$/, "")} ${status.split(" ")[0]}`)
            .sort(),
        ),
      )[0];
    const become = (servers: readonly string[]) => {
      const expected = servers.map((server) => `${server} UP`);
      return until(
        "both backends have them",
        async () => Bun.deepEquals(await both(), [expected, expected]),
        10_000,
        20,
      );
    };
    ingress.put(LIST, far.slice(0, 2).join(" "));
    await prepareNames(placeOf(ingress), new Date());
    await ingress.restart();
    await become(far.slice(0, 2));
    ingress.put(LIST, far.slice(1, 4).join(" "));
    await lookOnce(placeOf(ingress), wanted, new Date());
    await become(far.slice(1, 4));
    await prepareNames(placeOf(ingress), new Date());
    await ingress.reload();
    await become(far.slice(1, 4));
    await ingress.say(`set server s3/${near}:${SERVER_PORT} state drain`);
    expect((await request(get())).status).toBe(200);
  }, 60_000);
});

async function startAll() {
  const servers = await Promise.all(
    SERVERS.map((server) => startServer(server, ({ socket }) => void socket.write(OK))),
  );
  return {
    async [Symbol.asyncDispose]() {
      for (const server of servers) await server[Symbol.asyncDispose]();
    },
  };
}
