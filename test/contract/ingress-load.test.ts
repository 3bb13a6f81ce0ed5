/**
 * The ingress while something happens to it: reloads, lost servers, changed lists, many connections. Small counts here; OBER_ROUNDS
 * multiplies them (200 gives 1,000 reloads and 40 GB of upload), and every number goes to OBER_MEASURED.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import net from "node:net";
import { replaceLists } from "../../src/change/allow-lists.ts";
import { connectionLimits } from "../../src/render/limits.ts";
import { measured, ROUNDS } from "../e2e/_cluster.ts";
import { selfSigned } from "../helpers/certificate.ts";
import { until } from "../lab/process.ts";
import {
  ARCHIVE,
  DESCRIPTORS,
  enterNetwork,
  INSIDE,
  OUTSIDE,
  residentMb,
  SERVER_PORT,
  SERVERS,
  startIngress,
  VIPS,
} from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { dial, exchange, get, OK, type RequestOptions, request, startServer } from "./_peers.ts";

/** The oldest and the newest HAProxy; what lies between is in ingress.test.ts. */
const TREES = PARSER_TREES.filter((_, index) => index === 0 || index === PARSER_TREES.length - 1);

const MIB = 2 ** 20;
const ZEROS = Buffer.alloc(8 * MIB);

let leave: () => void;
beforeEach(async () => {
  leave = await enterNetwork(TREES);
}, 600_000);
afterEach(() => leave());

/** A server that hashes what it receives and answers with the digest; a body may have any length. */
async function startSink(address: string) {
  const server = net.createServer((socket) => {
    let head = "";
    let left = -1;
    let hash = createHash("sha256");
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      let body = chunk;
      if (left < 0) {
        head += chunk.toString("latin1");
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        left = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
        body = Buffer.from(head.slice(end + 4), "latin1");
      }
      hash.update(body);
      left -= body.length;
      if (left > 0) return;
      const digest = hash.digest("hex");
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${digest.length}\r\n\r\n${digest}`);
      [head, left, hash] = ["", -1, createHash("sha256")];
    });
  });
  await new Promise<void>((resolve) => server.listen(SERVER_PORT, address, resolve));
  return {
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
}

/** Requests one after the other, each on a connection of its own, until `stop`; returns what became of each. */
function keepAsking(make: (number: number) => { text: string; options?: RequestOptions }, everyMs = 0) {
  const results: { readonly text: string; readonly at: number; readonly status: number; readonly error?: string }[] =
    [];
  let going = true;
  const loop = (async () => {
    for (let number = 0; going; number++) {
      const { text, options } = make(number);
      const at = performance.now();
      const outcome = await request(text, { timeoutMs: 6_000, ...options }).then(
        ({ status }) => ({ status }),
        (error: Error) => ({ status: 0, error: `${error.message} after ${Math.round(performance.now() - at)} ms` }),
      );
      results.push({ text, at, ...outcome });
      const rest = at + everyMs - performance.now();
      if (rest > 0) await Bun.sleep(rest);
    }
  })();
  return {
    results,
    async stop() {
      going = false;
      await loop;
      return results;
    },
  };
}

describe.each(TREES.map((tree) => [tree.name, tree] as const))("%s:", (name, tree) => {
  const release = { release: name };

  test(
    "a long upload outlives a reload, a new certificate, a changed list and the loss of another group",
    async () => {
      await using _sink = await startSink(SERVERS[0] ?? "");
      const archive = await startServer(ARCHIVE, ({ socket }) => void socket.write(OK));
      await using ingress = await startIngress(tree, { edit: [["inter 1000ms", "inter 200ms"]] });
      const [size, bytesPerSecond] = [ROUNDS * 20_000_000, 20_000_000];
      const chunk = Buffer.alloc(100_000, "0123456789");
      const digest = createHash("sha256");
      const socket = await dial();
      let sent = 0;
      let answered = false;
      const answer = exchange(
        socket,
        `PUT /b/k HTTP/1.1\r\nHost: s3\r\nContent-Length: ${size}\r\n\r\n`,
        ROUNDS * 20_000 + 60_000,
      ).finally(() => {
        answered = true;
      });
      const started = performance.now();
      const sending = (async () => {
        while (sent < size && !answered) {
          if (!socket.write(chunk)) await new Promise((resolve) => socket.once("drain", resolve));
          digest.update(chunk);
          sent += chunk.length;
          const ahead = (sent / bytesPerSecond) * 1000 - (performance.now() - started);
          if (ahead > 5) await Bun.sleep(ahead);
        }
      })();
      const part = (share: number) =>
        until(`${share} of the upload is sent`, () => sent >= size * share || answered, ROUNDS * 20_000 + 30_000);

      await part(0.2);
      await ingress.reload();
      await part(0.4);
      const pem = (await selfSigned("new.example.org")).trim();
      await ingress.say(`set ssl cert ${ingress.certificate} <<\n${pem}\n`);
      expect(await ingress.say(`commit ssl cert ${ingress.certificate}`)).toContain("Success");
      await part(0.6);
      const update = { path: ingress.paths.frontendHttpList, before: [], after: [OUTSIDE] };
      expect(await replaceLists(ingress.files, ingress.socket, [update])).toEqual([true]);
      await part(0.7);
      await archive.stop();
      await until(
        "the other group is down",
        async () => (await request(get(), { to: VIPS[1] })).status === 503,
        10_000,
      );
      await part(0.8);
      await ingress.reload();
      await sending;
      expect(await answer).toMatchObject({ status: 200 });
      expect((await answer).body.toString()).toBe(digest.digest("hex"));
      socket.destroy();
      measured("upload over two reloads", sent / 1e6, {
        unit: "MB",
        seconds: Math.round((performance.now() - started) / 1000),
        ...release,
      });
    },
    ROUNDS * 40_000 + 120_000,
  );

  test(
    "reloads under load fail no request, leave no process and no memory",
    async () => {
      await using _server = await startServer(SERVERS[0] ?? "", ({ socket }) => void socket.write(OK));
      await using _archive = await startServer(ARCHIVE, ({ socket }) => void socket.write(OK));
      await using ingress = await startIngress(tree);
      const clients = Array.from({ length: 4 }, (_, client) =>
        // Without the pause they take the processors from the reloads.
        keepAsking(
          (number) => ({
            text:
              number % 2 === 0
                ? get(`/b/${number}`)
                : `PUT /b/${number} HTTP/1.1\r\nHost: s3\r\nContent-Length: 4\r\n\r\nbody`,
            options: client === 0 ? { to: VIPS[1] } : {},
          }),
          5,
        ),
      );
      const reloads = ROUNDS * 5;
      const memory = () => residentMb(ingress.master());
      await ingress.reload();
      const before = memory();
      const started = performance.now();
      for (let count = 1; count < reloads; count++) await ingress.reload();
      const took = performance.now() - started;
      const results = (await Promise.all(clients.map((client) => client.stop()))).flat();
      expect(results.filter(({ status }) => status !== 200)).toEqual([]);
      expect(results.length).toBeGreaterThan(reloads);
      await until("one worker is left", () => ingress.workers().length === 1, 20_000);
      const grown = memory() - before;
      expect(grown).toBeLessThan(20);
      measured("reloads under load", reloads, {
        unit: "reloads",
        requests: results.length,
        seconds: Math.round(took / 1000),
        masterMb: Math.round(memory()),
        grownMb: Math.round(grown * 10) / 10,
        workerMb: Math.round(residentMb(await ingress.worker())),
        ...release,
      });
    },
    ROUNDS * 20_000 + 120_000,
  );

  test(
    "reloads fail no request on kept connections of clients that cannot repeat a body",
    async () => {
      await using _server = await startServer(SERVERS[0] ?? "", ({ socket }) => void socket.write(OK));
      // Idle connections of an old worker end after two seconds instead of sixty.
      await using ingress = await startIngress(tree, {
        edit: [["timeout http-keep-alive 60s", "timeout http-keep-alive 2s"]],
      });
      const clients = Array.from({ length: 8 }, (_, client) => keepConnection(client));
      const reloads = ROUNDS * 5;
      const took: number[] = [];
      for (let count = 0; count < reloads; count++) {
        const seen = clients.reduce((sum, { count: requests }) => sum + requests(), 0);
        const started = performance.now();
        await ingress.reload();
        took.push(performance.now() - started);
        // Each connection is used again between two reloads: what an old worker kept comes to its end under load.
        await until(
          "requests go on",
          () => clients.reduce((sum, { count: requests }) => sum + requests(), 0) > seen + 100,
          10_000,
        );
      }
      const results = await Promise.all(clients.map((client) => client.stop()));
      const sum = (of: (result: (typeof results)[number]) => number) => results.reduce((all, one) => all + of(one), 0);
      expect(sum(({ failed }) => failed)).toBe(0);
      // What says "Connection: close" is what an old worker answered last on a connection that it had kept.
      expect(sum(({ renewed }) => renewed)).toBeGreaterThan(reloads);
      await until("one worker is left", () => ingress.workers().length === 1, 20_000);
      measured(
        "reloads and kept connections",
        sum(({ requests }) => requests),
        {
          unit: "requests",
          reloads,
          failed: sum(({ failed }) => failed),
          renewed: sum(({ renewed }) => renewed),
          slowestReloadMs: Math.round(Math.max(...took)),
          ...release,
        },
      );
    },
    ROUNDS * 20_000 + 120_000,
  );

  test("a hundred thousand addresses change at once, while allowed clients connect, and outlive a restart", async () => {
    await using _server = await startServer(SERVERS[0] ?? "", ({ socket }) => void socket.write(OK));
    await using ingress = await startIngress(tree);
    const path = ingress.paths.frontendHttpList;
    const numbered = (first: number) =>
      Array.from({ length: 99_999 }, (_, i) => `${first}.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    const plain = async (from: string) => (await request(get(), { port: 80, from })).status;
    const [old, now] = [
      ["10.77.0.0/24", ...numbered(11)],
      [INSIDE, ...numbered(12)],
    ];
    expect(await replaceLists(ingress.files, ingress.socket, [{ path, before: [], after: old }])).toEqual([true]);
    await ingress.say(`add acl ${ingress.paths.backendHttpList} ${OUTSIDE}`);
    expect(await plain(OUTSIDE)).toBe(200);

    // The allowed client comes every 2 ms, on four connections at a time.
    const clients = Array.from({ length: 4 }, () =>
      keepAsking(() => ({ text: get(), options: { port: 80, from: INSIDE } }), 8),
    );
    await until("the clients are at it", () => clients.every(({ results }) => results.length > 10), 10_000);
    const started = performance.now();
    await replaceLists(ingress.files, ingress.socket, [
      { path, before: old, after: now },
      { path: ingress.paths.backendHttpList, before: [OUTSIDE], after: [] },
    ]);
    const took = performance.now() - started;
    const results = (await Promise.all(clients.map((client) => client.stop()))).flat();
    expect(results.filter(({ status }) => status !== 200)).toEqual([]);
    expect(await plain(OUTSIDE)).toBe(308);
    expect(await ingress.say(`get acl ${path} 12.1.134.158`)).toContain('match=yes, idx=tree, pattern="12.1.134.158"');
    expect(await ingress.say(`get acl ${path} 11.0.0.1`)).toContain("match=no");
    measured("100,000 entries changed at run time", took, {
      requestsMeanwhile: results.length,
      workerMb: Math.round(residentMb(await ingress.worker())),
      ...release,
    });
    expect(took).toBeLessThan(5_000);

    await ingress.restart();
    expect([await plain(INSIDE), await plain(OUTSIDE)]).toEqual([200, 308]);
    expect(await ingress.say(`get acl ${path} 12.1.134.158`)).toContain("match=yes");
  }, 90_000);

  test("a list that HAProxy refuses leaves the old one in the file and in force", async () => {
    await using _server = await startServer(SERVERS[0] ?? "", ({ socket }) => void socket.write(OK));
    await using ingress = await startIngress(tree);
    const path = ingress.paths.frontendHttpList;
    await replaceLists(ingress.files, ingress.socket, [{ path, before: [], after: [INSIDE] }]);
    const text = await ingress.files.read(path);
    const refused = replaceLists(ingress.files, ingress.socket, [
      { path, before: [INSIDE], after: [OUTSIDE, "nonsense"] },
    ]);
    await expect(refused).rejects.toThrow("nonsense");
    expect(await ingress.files.read(path)).toBe(text);
    expect((await request(get(), { port: 80, from: INSIDE })).status).toBe(200);
    expect((await request(get(), { port: 80, from: OUTSIDE })).status).toBe(308);
  }, 60_000);

  test(
    "transfers that stand still hold no more than three buffers each",
    async () => {
      const each = ROUNDS * 30;
      await using _server = await startServer(SERVERS[0] ?? "", ({ head, socket }) => {
        if (head.startsWith("GET ")) {
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${64 * MIB}\r\n\r\n`);
          socket.write(ZEROS);
        } else socket.pause();
      });
      await using ingress = await startIngress(tree);
      const worker = await ingress.worker();
      const before = residentMb(worker);
      const sockets: net.Socket[] = [];
      for (let index = 0; index < each; index++) {
        const [download, upload] = await Promise.all([dial(), dial()]);
        sockets.push(download, upload);
        // Without a data listener the socket is not read.
        download.pause();
        download.write(get());
        upload.write(`PUT /b/k HTTP/1.1\r\nHost: s3\r\nContent-Length: ${64 * MIB}\r\n\r\n`);
        upload.write(ZEROS);
      }
      let last = -1;
      const settled = async () => {
        const [former, now] = [last, residentMb(worker)];
        last = now;
        return now - before > 1 && Math.abs(now - former) < 0.1;
      };
      await until("memory grows no more", settled, 60_000, 1_000);
      const stats = await ingress.say("show info");
      expect(Number(/^CurrConns: (\d+)$/m.exec(stats)?.[1])).toBeGreaterThanOrEqual(2 * each);
      const buffer = Number(/tune\.bufsize (\d+)/.exec(ingress.text)?.[1]);
      const bytes = ((last - before) * 1e6) / (2 * each);
      for (const socket of sockets) socket.destroy();
      measured("memory of a transfer that stands still", Math.round(bytes / 1000), {
        unit: "kB",
        transfers: 2 * each,
        buffer,
        ...release,
      });
      expect(bytes).toBeGreaterThan(buffer / 2);
      expect(bytes).toBeLessThan(3 * buffer + 100_000);
    },
    ROUNDS * 5_000 + 120_000,
  );

  test(
    "idle and active connections are all served",
    async () => {
      const [idle, active] = [ROUNDS * 200, ROUNDS * 20];
      await using _server = await startServer(SERVERS[0] ?? "", ({ head, socket }) => {
        setTimeout(() => socket.write(OK), head.startsWith("GET /late") ? 3_000 : 0);
      });
      // A machine that allows fewer descriptors gives fewer connections by itself; idle ones need only one each.
      const backends = [{ servers: [SERVERS[0], ARCHIVE] }] as never;
      const { clients } = connectionLimits({ max_connections: 25_000, backends }, { descriptors: DESCRIPTORS });
      const fits = clients > idle + active;
      const wanted = idle + active + 100;
      await using ingress = await startIngress(tree, {
        edit: [
          // Opening them all takes its time on a small machine.
          ["timeout http-keep-alive 60s", "timeout http-keep-alive 600s"],
          ["timeout client 120s", "timeout client 600s"],
          ...(fits
            ? []
            : ([
                ["  fd-hard-limit ", `  no strict-limits\n  maxconn ${wanted + 1000}\n  # `],
                [`  maxconn ${clients}\n`, `  maxconn ${wanted}\n`],
                [`gt ${clients} }`, `gt ${wanted} }`],
                ["maxconn 1023", "maxconn 5000"],
              ] as const)),
        ],
      });
      const worker = await ingress.worker();
      const before = residentMb(worker);
      const sockets: net.Socket[] = [];
      const failed: string[] = [];
      const serve = async (connections: readonly net.Socket[], text: string) => {
        const answers = await Promise.all(connections.map((socket) => exchange(socket, text, 60_000)));
        failed.push(...answers.filter(({ status }) => status !== 200).map(({ head }) => head.split("\r\n")[0] ?? ""));
      };
      const open = async (count: number, ask: boolean) => {
        for (let at = 0; at < count; at += 50) {
          const opened = await Promise.all(Array.from({ length: Math.min(50, count - at) }, () => dial()));
          sockets.push(...opened);
          if (ask) await serve(opened, get());
        }
      };
      await open(idle, true);
      const idleMb = residentMb(worker);
      await open(active, false);
      const late = serve(sockets.slice(idle), get("/late"));
      await until(
        "all are connected",
        async () => Number(/^CurrConns: (\d+)$/m.exec(await ingress.say("show info"))?.[1]) >= idle + active,
        30_000,
      );
      const all = residentMb(worker);
      await late;
      for (let at = 0; at < idle; at += 500) await serve(sockets.slice(at, Math.min(at + 500, idle)), get());
      expect(failed).toEqual([]);
      for (const socket of sockets) socket.destroy();
      measured("connections held", idle + active, {
        unit: "connections",
        idle,
        active,
        beforeMb: Math.round(before),
        idleMb: Math.round(idleMb),
        allMb: Math.round(all),
        ...release,
      });
    },
    ROUNDS * 5_000 + 120_000,
  );
});

test("one server of eight dies, hangs, answers 503, answers slowly and comes back: reads go on, and no write is made twice", async () => {
  const tree = PARSER_TREES.at(-1);
  if (!tree) throw new Error("no tree");
  let mode = "ok";
  const writes = new Map<string, number>();
  const start = (address: string, broken: () => string) =>
    startServer(
      address,
      ({ head, socket }) => {
        const id = /^PUT (\S+)/.exec(head)?.[1];
        if (id !== undefined) writes.set(id, (writes.get(id) ?? 0) + 1);
        if (broken() === "hang") return;
        const text = broken() === "unavailable" ? OK.replace("200 OK", "503 Slow Down") : OK;
        setTimeout(() => socket.write(text), broken() === "slow" ? 400 : 5);
      },
      {
        health: () =>
          broken() === "hang" ? undefined : broken() === "unavailable" ? OK.replace("200 OK", "503 No") : OK,
      },
    );
  const healthy = await Promise.all(SERVERS.slice(1).map((address) => start(address, () => "ok")));
  let broken = await start(SERVERS[0] ?? "", () => mode);
  await using ingress = await startIngress(tree, {
    servers: SERVERS,
    edit: [
      ["inter 1000ms", "inter 200ms"],
      ["timeout check 3s", "timeout check 500ms"],
    ],
  });
  const name = `${SERVERS[0]}:${SERVER_PORT}`;
  const state = async () => (await ingress.stat()).find(({ svname }) => svname === name)?.["status"] ?? "";
  await until(
    "the server was checked",
    async () => (await ingress.stat()).find(({ svname }) => svname === name)?.["check_status"] === "L7OK",
    5_000,
  );
  // Three checks must fail, 200 ms apart, each after 500 ms at most; one may have just passed.
  const windowMs = 4 * (200 + 500);
  const become = (next: string) => () => {
    mode = next;
  };
  /** What happens, and whether HAProxy is to take the server out. */
  const rounds: readonly [event: string, down: boolean, act: () => Promise<void> | void][] = [
    ["dies", true, () => broken.stop()],
    [
      "comes back",
      false,
      async () => {
        broken = await start(SERVERS[0] ?? "", () => mode);
      },
    ],
    ["hangs", true, become("hang")],
    ["runs again", false, become("ok")],
    ["answers 503", true, become("unavailable")],
    ["serves again", false, become("ok")],
    ["is slow", false, become("slow")],
  ];
  const clients = Array.from({ length: 8 }, (_, client) =>
    keepAsking(
      (number) => ({
        text:
          client < 5
            ? get(`/b/${number}`)
            : `PUT /b/${client}-${number} HTTP/1.1\r\nHost: s3\r\nContent-Length: 4\r\n\r\nbody`,
      }),
      10,
    ),
  );
  const losses: number[] = [];
  for (const [event, down, act] of rounds) {
    const at = performance.now();
    if (down) losses.push(at);
    await act();
    // 503 is what an RGW says that its own file takes out: it gets nothing new, and ends what it has.
    const wanted = event === "answers 503" ? "NOLB" : down ? "DOWN" : "UP";
    await until(
      `the server that ${event} is ${wanted}`,
      async () => (await state()).startsWith(wanted),
      windowMs + 3_000,
    );
    if (down) measured(`RGW ${event}: taken out`, performance.now() - at, { release: tree.name, checkMs: 200 });
    // As long again without any excuse.
    await Bun.sleep(Math.max(0, at + (down ? windowMs : 0) + 1_500 - performance.now()));
  }
  const results = (await Promise.all(clients.map((client) => client.stop()))).flat();
  await Promise.all([...healthy, broken].map((server) => server[Symbol.asyncDispose]()));
  const failed = results.filter(({ status }) => status !== 200);
  // A request that was under way when the server was lost, or that began before it was found out.
  const excused = ({ at }: { at: number }) => losses.some((lost) => at >= lost - 500 && at <= lost + windowMs);
  expect(failed.filter((result) => !excused(result))).toEqual([]);
  expect([...writes].filter(([, count]) => count > 1)).toEqual([]);
  expect(writes.size).toBeGreaterThan(100);
  measured("requests around a broken RGW", results.length, {
    unit: "requests",
    failedWithinWindow: failed.length,
    writes: writes.size,
    release: tree.name,
  });
}, 90_000);

/**
 * A client that keeps its connection and sends PUT and POST, each once: a connection that ends before the answer is a failure. It opens
 * another where the answer says that it is the last, or where the connection ended before it had sent anything.
 */
function keepConnection(client: number) {
  let stopped = false;
  let requests = 0;
  const work = async () => {
    let [failed, renewed] = [0, 0];
    let socket: net.Socket | undefined;
    while (!stopped) {
      if (socket === undefined || socket.readableEnded || socket.destroyed) socket = await dial();
      const method = requests % 2 === 0 ? "PUT" : "POST";
      const text = `${method} /b/${client}-${requests} HTTP/1.1\r\nHost: s3\r\nContent-Length: 4\r\n\r\nbody`;
      const { status, head } = await exchange(socket, text);
      requests++;
      if (status !== 200) failed++;
      const last = /^connection: close$/im.test(head);
      if (last) renewed++;
      if (last || status !== 200) {
        socket.destroy();
        socket = undefined;
      }
      // As long as a client computes between two requests: an idle connection is what a reload closes.
      await Bun.sleep(requests % 7);
    }
    socket?.destroy();
    return { requests, failed, renewed };
  };
  const done = work();
  return {
    count: () => requests,
    stop: () => {
      stopped = true;
      return done;
    },
  };
}
