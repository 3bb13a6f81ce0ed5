/**
 * Servers that come and go while the real HAProxy of each Debian suite runs: no reload, no failed request, and after each change the running
 * process has what a fresh start has. OBER_ROUNDS above 1 makes a hundred changes with each.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import tls from "node:tls";
import { type ApplyContext, apply, readCurrent, recover } from "../../src/change/apply.ts";
import { diffFiles } from "../../src/change/diff.ts";
import { foreseeHaproxy } from "../../src/change/servers.ts";
import type { NodeFacts } from "../../src/domain/facts.ts";
import { differenceOf } from "../../src/domain/server-changes.ts";
import { configuredServers, parseServersState } from "../../src/domain/server-state.ts";
import { UNIT } from "../../src/domain/units.ts";
import { prepareNames } from "../../src/haproxy/server-names.ts";
import { checksPending } from "../../src/haproxy/socket.ts";
import { healthNow } from "../../src/health/once.ts";
import type { RenderedFile } from "../../src/render/file.ts";
import { generatedPaths } from "../../src/render/index.ts";
import { keepWishes } from "../../src/system/rgw-wishes.ts";
import type { System } from "../../src/system/system.ts";
import { measured, ROUNDS } from "../e2e/_cluster.ts";
import { selfSigned } from "../helpers/certificate.ts";
import { FILE_CHANGES, PowerCut } from "../helpers/system.ts";
import { systemctlOn } from "../helpers/systemctl.ts";
import { until } from "../lab/process.ts";
import {
  ARCHIVE,
  enterNetwork,
  type Ingress,
  type IngressOptions,
  SERVER_PORT,
  SERVERS,
  STATS_PORT,
  startIngress,
} from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { dial, exchange, get, OK, type Received, startServer } from "./_peers.ts";

const STATE = `/tmp/ober-ingress-${process.pid}/servers.state`;
/** Not the first for TLS: a check must end its handshake within the time between two. */
const FASTER = [
  ["inter 1000ms", "inter 500ms"],
  ["slowstart 30s", "slowstart 1s"],
  ["server-state-file /run/ober/servers.state", `server-state-file ${STATE}`],
] as const;
const nameOf = (address: string) => `${address}:${SERVER_PORT}`;

/** The ingress as a node whose configuration can be applied. */
async function startNode(tree: (typeof PARSER_TREES)[number], options: IngressOptions) {
  const ingress = await startIngress(tree, { ...options, edit: options.tls ? FASTER.slice(1) : FASTER });
  const paths = { ...ingress.paths, haproxySocket: ingress.socket, serverState: STATE } as ApplyContext["paths"];
  let reloads = 0;
  const units = { look: () => ({ load: "loaded", active: "active", enabled: "enabled" }), keep: () => {} };
  const system: System = {
    ...ingress.files,
    async run([program, ...words]) {
      if (program === "systemctl" && words[0] === "reload" && words[1] === UNIT.http) {
        reloads++;
        await prepareNames({ system, paths }, new Date());
        await ingress.reload();
      }
      return { code: 0, stdout: program === "systemctl" ? systemctlOn(units, words) : "", stderr: "" };
    },
  };
  const isHealthy = async () => (await healthNow(STATS_PORT)).ok;
  const context: ApplyContext = {
    system,
    paths,
    facts: { exabgp: { text: "4.2.25" } } as unknown as NodeFacts,
    ...{ by: "ann", command: "apply", wasHealthy: isHealthy, isHealthy, worker: ingress.worker },
    checksPending: async () => checksPending(await ingress.stat()),
    ...{ say: ingress.say, progress: () => {}, now: () => new Date() },
  };
  /** Its files with these servers in the first group. */
  const filesWith = (
    servers: readonly string[],
    edit: (text: string) => string = (text) => text,
  ): readonly RenderedFile[] => {
    const [, one = ""] = new RegExp(`^( +server ${nameOf(SERVERS[0] ?? "")} .*\n)`, "m").exec(ingress.text) ?? [];
    const lines = servers.map((address) => one.replaceAll(SERVERS[0] ?? "", address)).join("");
    const all = new RegExp(`( +server 10\\.66\\.0\\.\\d+:${SERVER_PORT} .*\n)+`);
    const text = edit(ingress.text.replace(all, lines));
    return [
      ...ingress.rendered.map((file) => (file.path === paths.haproxyConfig ? { ...file, content: text } : file)),
      { path: paths.config, content: `servers: ${servers.join()}\n`, mode: 0o644 },
    ];
  };
  return {
    ...{ ingress, context, filesWith, reloads: () => reloads },
    apply: (servers: readonly string[]) => apply(context, filesWith(servers)),
    foresee: async (files: readonly RenderedFile[]) =>
      foreseeHaproxy(context, diffFiles(files, await readCurrent(system, paths, files), generatedPaths(paths))),
    [Symbol.asyncDispose]: () => ingress[Symbol.asyncDispose](),
  };
}

/** What a server is, without what a start and an addition number differently. A server that has just come up is up. */
async function serverLines(ingress: Ingress): Promise<readonly string[]> {
  const text = await ingress.say("show servers state");
  const named = ["be_name", "srv_name", "srv_addr", "srv_admin_state", "srv_uweight", "srv_iweight", "srv_check_state"];
  const columns = [...named, "srv_fqdn", "srv_port", "srv_use_ssl"];
  const titles = /^# (.*)$/m.exec(text)?.[1]?.split(" ") ?? [];
  const rows = text.split("\n").filter((line) => /^\d+ /.test(line));
  return rows
    .map((line) => line.split(" "))
    .map((row) => {
      const of = (column: string) => row[titles.indexOf(column)];
      return [...columns.map(of), of("srv_op_state") === "0" ? "down" : "up"].join(" ");
    })
    .sort();
}

const checked = (ingress: Ingress) =>
  until("every server is checked", async () => checksPending(await ingress.stat()) === 0, 10_000);

/** Clients with a connection each that ask some 200 times a second. */
function clients() {
  const statuses: number[] = [];
  let going = true;
  const one = async () => {
    let socket = await dial();
    while (going) {
      const { status, head } = await exchange(socket, get());
      statuses.push(status);
      if (!/^connection: close/im.test(head)) await Bun.sleep(40);
      else {
        socket.destroy();
        socket = await dial();
      }
    }
    socket.destroy();
  };
  const all = Promise.all(Array.from({ length: 14 }, one));
  return {
    statuses,
    async stop() {
      going = false;
      await all;
      return statuses;
    },
  };
}

const [OLDEST, ...TREES] = PARSER_TREES.map((tree) => [tree.name, tree] as const);
const [ONE = "", TWO = "", THREE = "", FOUR = ""] = SERVERS;

let leave: () => void;
beforeEach(async () => {
  leave = await enterNetwork(PARSER_TREES);
}, 600_000);
afterEach(() => leave());

async function serve(answer = ({ socket }: Received, _address: string): void => void socket.write(OK)) {
  const servers = await Promise.all(SERVERS.map((address) => startServer(address, (got) => answer(got, address))));
  return {
    [Symbol.asyncDispose]: async () => void (await Promise.all(servers.map((one) => one[Symbol.asyncDispose]()))),
  };
}

describe.each(TREES)("%s:", (name, tree) => {
  test("servers come and go without a reload or a failed request, and a fresh start has the same", async () => {
    await using _servers = await serve();
    await using node = await startNode(tree, { servers: [ONE, TWO] });
    await checked(node.ingress);
    const worker = await node.ingress.worker();
    await node.apply([ONE, TWO]);
    const load = clients();
    const changes = ROUNDS > 1 ? 100 : tree === TREES[0]?.[1] ? 20 : 6;
    let present: readonly string[] = [ONE, TWO];
    for (let change = 0; change < changes; change++) {
      const next = SERVERS[(change * 3 + 2) % SERVERS.length] ?? "";
      const wanted = change % 2 === 0 ? [...present, next] : present.slice(1);
      present = [...new Set(wanted)];
      expect((await node.apply(present)).haproxy).toEqual({ by: "runtime" });
      const text = (await node.context.system.read(node.context.paths.haproxyConfig)) ?? "";
      expect(
        differenceOf(configuredServers(text), parseServersState(await node.ingress.say("show servers state"))),
      ).toBeUndefined();
    }
    const statuses = await load.stop();
    expect([node.reloads(), await node.ingress.worker()]).toEqual([0, worker]);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    measured("changes of servers without a reload", changes, {
      unit: "changes",
      release: name,
      requests: statuses.length,
      failed: 0,
    });
    const allUp = () =>
      until(
        "all of them are up",
        async () => (await serverLines(node.ingress)).every((line) => !/^s3 .* down$/.test(line)),
        10_000,
      );
    await allUp();
    const running = await serverLines(node.ingress);
    await node.ingress.restart();
    await checked(node.ingress);
    await allUp();
    expect(running).toEqual(await serverLines(node.ingress));
  }, 600_000);

  test("a server by TLS is added as those of the start are: one of a foreign CA is down", async () => {
    const NAME = "rgw.example.test";
    const [own, foreign] = await Promise.all([selfSigned(NAME), selfSigned(NAME)]);
    const servers = [own, own, foreign].map((pem, index) => {
      const server = tls.createServer({ cert: pem, key: pem, ALPNProtocols: ["http/1.1"] }, (socket) => {
        socket.on("error", () => {});
        socket.on("data", () => socket.write(OK));
      });
      server.listen(SERVER_PORT, SERVERS[index]);
      return server;
    });
    await using node = await startNode(tree, { servers: [ONE], tls: { ca: own, sni: NAME } });
    await checked(node.ingress);
    const { haproxy } = await node.apply([ONE, TWO, THREE]);
    expect(haproxy).toEqual({ by: "runtime" });
    const line = (group: string, address: string, use: string) =>
      `${group} ${nameOf(address)} ${address} 0 100 100 6 - ${SERVER_PORT} ${use}`;
    const wanted = [
      line("archive", ARCHIVE, "0 down"),
      ...[ONE, TWO].map((address) => line("s3", address, "1 up")),
      line("s3", THREE, "1 down"),
    ];
    // On a busy machine a check may be late, and the next one is in time.
    const becomesSo = (what: string) =>
      until(what, async () => Bun.deepEquals(await serverLines(node.ingress), wanted), 20_000);
    await becomesSo("the running HAProxy has judged all three");
    await node.ingress.restart();
    await becomesSo("a fresh start has found the same");
    for (const server of servers) server.close();
  }, 60_000);
});

describe("with the first HAProxy that takes servers while it runs,", () => {
  const tree = TREES[0]?.[1] as (typeof PARSER_TREES)[number];

  test("a transfer from a server that goes ends in peace: soon without a reload, later in the old worker", async () => {
    const slow: { readonly address: string; readonly end: () => void }[] = [];
    await using _servers = await serve(({ head, socket }, address) => {
      if (!head.startsWith("GET /slow ")) return void socket.write(OK);
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf.");
      slow.push({ address, end: () => void socket.write("whole") });
    });
    await using node = await startNode(tree, { servers: [ONE, TWO] });
    await checked(node.ingress);
    const first = exchange(await dial(), get("/slow"), 60_000);
    await until("the slow request runs", () => slow.length === 1, 5_000);
    const stays = slow[0]?.address === ONE ? TWO : ONE;
    const change = node.apply([stays]);
    const isDrained = async () => (await serverLines(node.ingress)).some((line) => / 8 100/.test(line));
    await until("its server is in drain", isDrained, 8_000);
    slow[0]?.end();
    expect((await first).body.toString()).toBe("half.whole");
    expect((await change).haproxy).toEqual({ by: "runtime" });
    expect((await node.apply([stays, THREE])).haproxy).toEqual({ by: "runtime" });
    const second = exchange(await dial(), get("/slow"), 60_000);
    await until("the other slow request runs", () => slow.length === 2, 5_000);
    const goes = slow[1]?.address ?? "";
    const last = goes === THREE ? stays : THREE;
    expect((await node.apply([last])).haproxy).toEqual({
      by: "reload",
      because: `${nameOf(goes)} still has requests after 10 s`,
    });
    slow[1]?.end();
    expect((await second).body.toString()).toBe("half.whole");
    expect(await serverLines(node.ingress)).toEqual([
      expect.stringContaining("10.66.1.11"),
      expect.stringContaining(`${nameOf(last)} ${last} 0 100 100`),
    ]);
  }, 90_000);

  test("a server that two groups share gets its other share of the requests", async () => {
    await using _servers = await serve();
    await using node = await startNode(tree, { servers: [ONE] });
    await checked(node.ingress);
    const shared = node.filesWith([ONE], (text) =>
      text.replace(/^( +server 10\.66\.0\.11:7480 .*)$/m, "$1 maxconn 511"),
    );
    expect((await apply(node.context, shared)).haproxy).toEqual({ by: "runtime" });
    const limit = async () => (await node.ingress.stat()).find(({ svname }) => svname === nameOf(ONE))?.slim;
    expect(await limit()).toBe("511");
    await node.ingress.restart();
    expect(await limit()).toBe("511");
  }, 60_000);

  test("what operators want of a server that comes is done", async () => {
    await using _servers = await serve();
    await using node = await startNode(tree, { servers: [ONE] });
    await checked(node.ingress);
    const wish = (server: string) => ({ group: "s3", server, by: "ann", at: new Date().toISOString(), reason: "" });
    await keepWishes(node.context.system, node.context.paths, [
      { ...wish(nameOf(TWO)), wish: "drain" },
      { ...wish(nameOf(THREE)), wish: "weight", weight: 50 },
      { ...wish(nameOf(FOUR)), wish: "disable" },
    ]);
    expect((await node.apply([ONE, TWO, THREE, FOUR])).haproxy).toEqual({ by: "runtime" });
    const states = async () => (await serverLines(node.ingress)).map((line) => line.split(" ").slice(1, 5).join(" "));
    expect((await states()).slice(1)).toEqual([
      `${nameOf(ONE)} ${ONE} 0 100`,
      `${nameOf(TWO)} ${TWO} 8 100`,
      `${nameOf(THREE)} ${THREE} 0 50`,
      `${nameOf(FOUR)} ${FOUR} 1 100`,
    ]);
  }, 60_000);

  test("the last server that takes requests goes by a reload, and so does whatever HAProxy does not have as the file says", async () => {
    await using _one = await startServer(ONE, ({ socket }) => void socket.write(OK));
    await using node = await startNode(tree, { servers: [ONE, TWO] });
    await until(
      "the dead one is down",
      async () => (await node.ingress.stat()).some(({ status }) => status === "DOWN"),
      10_000,
    );
    expect(await node.foresee(node.filesWith([TWO]))).toEqual({
      by: "reload",
      because: "more servers of s3 go than stay, and new ones begin slowly",
    });
    // As it was before the change: the new configuration is not healthy.
    await expect(node.apply([TWO])).rejects.toThrow("HAProxy is not healthy; the old one is back");
    expect(node.reloads()).toBe(2);
    await node.ingress.say(`add server s3/by-hand ${THREE}:${SERVER_PORT}`);
    expect(await node.foresee(node.filesWith([ONE]))).toEqual({
      by: "reload",
      because: "HAProxy has a server s3/by-hand that is not in haproxy.cfg",
    });
    expect(await node.foresee(node.filesWith([ONE], (text) => text.replace("fall 3", "fall 4")))).toEqual({
      by: "reload",
      because: 'the section "backend s3" changes',
    });
  }, 60_000);

  test("a SIGKILL at any step leaves a node whose file and process agree after the next command", async () => {
    await using _servers = await serve();
    await using node = await startNode(tree, { servers: [ONE, TWO] });
    const { context, ingress } = node;
    await checked(ingress);
    await node.apply([ONE, TWO]);
    const load = clients();
    const ways = [
      [ONE, TWO],
      [TWO, THREE],
    ];
    let steps = 0;
    for (let cut = true; cut; steps++) {
      const mine = (await context.system.read(context.paths.config)) ?? "";
      const wanted = ways.find((servers) => mine !== `servers: ${servers.join()}\n`) ?? [];
      try {
        await apply(mortal(context, steps), node.filesWith(wanted));
        cut = false;
      } catch (error) {
        if (!(error instanceof PowerCut)) throw error;
      }
      await recover(context);
      const text = (await context.system.read(context.paths.haproxyConfig)) ?? "";
      const live = parseServersState(await ingress.say("show servers state"));
      expect([steps, differenceOf(configuredServers(text), live)]).toEqual([steps, undefined]);
      expect(live.filter(({ adminState }) => adminState !== 0)).toEqual([]);
      const said = (await context.system.read(context.paths.config)) ?? "";
      const servers = configuredServers(text).filter(({ backend }) => backend === "s3");
      expect(said).toBe(`servers: ${servers.map(({ host }) => host).join()}\n`);
    }
    const statuses = await load.stop();
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    measured("SIGKILLs in changes of servers", steps, { unit: "steps", requests: statuses.length, failed: 0 });
    // The files, and at least: add, drain, health, ready, drain, maint, del.
    expect(steps).toBeGreaterThan(15);
  }, 600_000);
});

test("an older HAProxy is reloaded", async () => {
  const tree = OLDEST?.[1] as (typeof PARSER_TREES)[number];
  await using _servers = await serve();
  await using node = await startNode(tree, { servers: [ONE, TWO] });
  await checked(node.ingress);
  const because = expect.stringMatching(/^HAProxy 2\.6\.\S+ is older than 3\.0\.6$/);
  expect(await node.foresee(node.filesWith([ONE]))).toEqual({ by: "reload", because });
  expect((await node.apply([ONE])).haproxy).toEqual({ by: "reload", because });
  expect(node.reloads()).toBe(1);
}, 60_000);

/** An ober that dies after so many changes of files and of HAProxy. */
function mortal(context: ApplyContext, after: number): ApplyContext {
  let left = after;
  let dead = false;
  const counted =
    <A extends unknown[], R>(action: (...args: A) => R, changes: (...args: A) => boolean) =>
    (...args: A): R => {
      if (!dead && changes(...args)) dead = left-- <= 0;
      if (dead) throw new PowerCut();
      return action(...args);
    };
  const always = () => true;
  const doors = Object.fromEntries(
    FILE_CHANGES.map((door) => [door, counted(context.system[door] as (...args: unknown[]) => unknown, always)]),
  );
  const run = counted(context.system.run, ([program, verb]) => program === "systemctl" && verb === "reload");
  const say = counted(context.say, (command) => !command.startsWith("show "));
  return { ...context, say: async (command) => say(command), system: { ...context.system, ...doors, run } };
}
