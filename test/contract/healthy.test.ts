/** The health address on the VIPs: HAProxy says whether this node serves a VIP's group, and asks no RGW. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { replaceLists } from "../../src/change/allow-lists.ts";
import { SERVES_KEY, servesText } from "../../src/domain/serves.ts";
import { setMapKey } from "../../src/health/serves.ts";
import { until } from "../lab/process.ts";
import { enterNetwork, INSIDE, type Ingress, OUTSIDE, SERVER_PORT, SERVERS, startIngress, VIPS } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { dial, exchange, OK, type RequestOptions, request, startServer } from "./_peers.ts";

const NAME = "s3.example.org";
const [S3_VIP, ARCHIVE_VIP] = VIPS;

type Ask = RequestOptions & { readonly method?: string; readonly path?: string };

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let leave: () => void;
  let ingress: Ingress;
  let servers: Awaited<ReturnType<typeof startServer>>[] = [];
  /** Paths that RGWs were asked for, without their health checks. */
  let asked: string[] = [];

  /** Without `host` there is no Host header, as HTTP/1.0 allows. */
  const ask = (host: string | undefined, { method = "GET", path = "/-/healthy", ...to }: Ask = {}) =>
    request(
      host === undefined
        ? `${method} ${path} HTTP/1.0\r\n\r\n`
        : `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${method === "PUT" ? "Content-Length: 0\r\n" : ""}\r\n`,
      to,
    );
  const said = async (to: RequestOptions = {}) => {
    const { status, body } = await ask(NAME, to);
    return `${status} ${body.toString().trim()}`;
  };
  const both = async () => [await said({ to: S3_VIP }), await said({ to: ARCHIVE_VIP })];
  const serve = (numbers: readonly number[], state: string) =>
    Promise.all(numbers.map((number) => ingress.say(`set server s3/${SERVERS[number]}:${SERVER_PORT} state ${state}`)));
  const areUp = (count: number) =>
    until(
      `${count} servers are up`,
      async () => {
        const rows = (await ingress.stat()).filter(({ pxname, svname }) => pxname === "s3" && svname !== "BACKEND");
        return rows.filter((row) => row["status"] === "UP" && row["check_status"] === "L7OK").length === count;
      },
      20_000,
      50,
    );

  beforeAll(async () => {
    leave = await enterNetwork([tree]);
    servers = await Promise.all(
      SERVERS.slice(0, 4).map((address) =>
        startServer(address, ({ head, socket }) => {
          asked.push(head.split(" ")[1] ?? "");
          socket.write(OK);
        }),
      ),
    );
    ingress = await startIngress(tree, {
      servers: SERVERS.slice(0, 4),
      group: "min_servers: 2, enough_servers: 3",
      config: `s3_names: [${NAME}]`,
      edit: [["inter 1000ms", "inter 200ms"]],
    });
    await areUp(4);
  }, 600_000);
  afterEach(() => {
    asked = [];
  });
  afterAll(async () => {
    await ingress?.[Symbol.asyncDispose]();
    for (const server of servers) await server[Symbol.asyncDispose]();
    leave?.();
  });

  test("answers by name, by address and without a Host header, and asks no RGW", async () => {
    expect(ingress.log()).not.toMatch(/\[WARNING\] +\(\d+\) : (config|parsing)/);
    for (const host of [NAME, "S3.Example.ORG:443", S3_VIP, "192.0.2.7:8443", "[2001:db8::1]:443", undefined]) {
      const { status, head, body } = await ask(host);
      expect([host, status, body.toString()]).toEqual([host, 200, "healthy\n"]);
      expect(head.toLowerCase()).toContain("cache-control: no-store");
      expect(head.toLowerCase()).toContain("connection: close");
      expect(head.toLowerCase()).toContain("content-type: text/plain");
    }
    expect((await ask(NAME, { path: "/-/healthy?from=gdnsd" })).body.toString()).toBe("healthy\n");
    expect(asked).toEqual([]);
  });

  test("answers HEAD without a body", async () => {
    const socket = await dial();
    let got = "";
    socket.on("data", (chunk) => {
      got += chunk.toString();
    });
    const ended = new Promise((resolve) => socket.once("close", resolve));
    socket.write(`HEAD /-/healthy HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`);
    await ended;
    expect(got).toMatch(/^HTTP\/1\.1 200 (.|\r\n)*\r\n\r\n$/);
  });

  test.each<[string, { host: string } & Ask]>([
    ["the object of that name in a bucket that the Host header names", { host: `photos.${NAME}` }],
    ["a name that is not known", { host: "s3.example.net" }],
    ["an upload", { host: NAME, method: "PUT" }],
    ["an object below it", { host: NAME, path: "/-/healthy/more" }],
    ["another path of S3", { host: NAME, path: "/photos/-/healthy" }],
  ])("leaves %s to the RGWs", async (_what, { host, ...how }) => {
    expect((await ask(host, how)).body.toString()).toBe("ok");
    expect(asked).toEqual([how.path ?? "/-/healthy"]);
  });

  test("on port 80 answers those who may use plain HTTP, and redirects others", async () => {
    expect((await ask(NAME, { port: 80, from: OUTSIDE })).status).toBe(308);
    const list = { path: ingress.paths.frontendHttpList, before: [], after: [`${INSIDE}/32`] };
    await replaceLists(ingress.files, ingress.socket, [list]);
    expect((await ask(NAME, { port: 80, from: INSIDE })).body.toString()).toBe("healthy\n");
    await replaceLists(ingress.files, ingress.socket, [{ ...list, before: list.after, after: list.before }]);
  });

  test("knows of each group whether an RGW answers", async () => {
    // No RGW of the archive listens.
    await until("the archive is down", async () => (await said({ to: ARCHIVE_VIP })).startsWith("503"), 20_000, 50);
    expect(await both()).toEqual(["200 healthy", "503 no gateway answers"]);
    await serve([0, 1, 2, 3], "maint");
    expect(await both()).toEqual(["503 no gateway answers", "503 no gateway answers"]);
    await serve([0, 1, 2, 3], "ready");
    await areUp(4);
    expect(await said()).toBe("200 healthy");
  });

  test("knows min_servers, and enough_servers on the way back", async () => {
    const states: string[] = [];
    const note = async (numbers: readonly number[], state: string, up: number) => {
      await serve(numbers, state);
      await areUp(up);
      states.push(`${up}: ${await said()}`);
    };
    await note([0, 1], "maint", 2);
    await note([2], "maint", 1);
    await note([2], "ready", 2);
    await note([1], "ready", 3);
    await note([1], "maint", 2);
    await note([0, 1], "ready", 4);
    expect(states).toEqual([
      "2: 200 healthy",
      "1: 503 too few gateways answer",
      "2: 503 too few gateways answer",
      "3: 200 healthy",
      "2: 200 healthy",
      "4: 200 healthy",
    ]);
  });

  test("knows that the node leaves traffic, and over a reload too", async () => {
    const list = { path: ingress.paths.leavingList, before: [], after: ["0.0.0.0/0", "::/0"] };
    await replaceLists(ingress.files, ingress.socket, [list]);
    expect(await both()).toEqual(["503 leaving", "503 leaving"]);
    await ingress.reload();
    expect(await both()).toEqual(["503 leaving", "503 leaving"]);
    await replaceLists(ingress.files, ingress.socket, [{ ...list, before: list.after, after: list.before }]);
    expect(await said()).toBe("200 healthy");
  });

  test("knows that the node is held back for want of a certificate", async () => {
    const place = { socket: ingress.socket, map: ingress.paths.servesMap };
    expect(await setMapKey(place, SERVES_KEY, servesText({ at: 1, vips: {}, held: true }))).toBe(true);
    expect(await said()).toBe("503 no certificate");
    expect(await setMapKey(place, SERVES_KEY, servesText({ at: 2, vips: { [S3_VIP]: 1 } }))).toBe(true);
    expect(await said()).toBe("200 healthy");
  });

  test("the worker that a reload has replaced says nothing worse of the node", async () => {
    const socket = await dial();
    expect((await exchange(socket, `GET /before HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`)).status).toBe(200);
    await ingress.reload();
    const { status, body } = await exchange(socket, `GET /-/healthy HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`);
    expect(`${status} ${body}`).toBe("200 healthy\n");
    socket.destroy();
  });

  test("is neither logged nor counted as a failed request", async () => {
    const counts = async () => (await ingress.say("show table ober_s3_plain")).match(/gpc[01]=\d+/g)?.join(" ");
    await serve([0, 1, 2, 3], "maint");
    // The table has its entry from the first connection on.
    await said();
    const [log, counted] = [ingress.log().length, await counts()];
    for (let times = 0; times < 3; times++) expect(await said()).toBe("503 no gateway answers");
    expect(await counts()).toBe(counted);
    // A request for S3 is.
    expect((await ask(NAME, { path: "/photos" })).status).toBe(503);
    await until("it is logged", () => ingress.log().slice(log).includes("failed: 503"), 5_000, 20);
    expect(await counts()).not.toBe(counted);
    expect(ingress.log().slice(log)).not.toContain("/-/healthy");
    await serve([0, 1, 2, 3], "ready");
  });
});
