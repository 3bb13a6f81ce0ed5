/** `ober health`, the built executable, against the real HAProxy and an ExaBGP whose answers the test decides. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, constants, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { build, HOST } from "../../scripts/build.ts";
import { HELD_WORD } from "../../src/domain/serves.ts";
import { fakeHaproxy } from "../helpers/haproxy.ts";
import { freePort, listenNotify, startHaproxy, startHealth, temporaryDirectory, until } from "../helpers/health.ts";

const VIP = "10.99.0.1";
const PREFIX = `${VIP}/32`;

const built = temporaryDirectory();
const OBER = [process.env["OBER_EXECUTABLE"] ?? join(built.path, "ober")];

beforeAll(async () => {
  if (process.env["OBER_EXECUTABLE"] === undefined) await build(HOST, OBER[0] ?? "");
}, 60_000);

afterAll(() => built[Symbol.dispose]());

describe("a crash of HAProxy", () => {
  test.each(["alone", "master"] as const)(
    "is withdrawn at once and announced again when it is back (%s)",
    async (mode) => {
      using directory = temporaryDirectory();
      await using first = await startHaproxy(directory.path, mode);
      // So slow an interval that only the sentinel can notice in time.
      await using health = startHealth(OBER, directory.path, ["--url", first.url, "--interval-ms=3000", VIP]);
      await health.saying("announce", PREFIX);
      const killedAt = performance.now();
      await first.kill();
      await health.saying("withdraw", PREFIX, 1_000);
      expect(performance.now() - killedAt).toBeLessThan(1_000);
      const state = await health.stateWith(
        "the withdrawal",
        ({ vips }) => vips[0]?.announced === false && vips[0].acknowledged,
      );
      expect(state.vips[0]?.cause).toBe(`nothing listens at ${first.url}`);
      await using _second = await startHaproxy(directory.path, mode, first.port);
      await health.saying("announce", PREFIX, 8_000);
    },
    20_000,
  );
});

describe("a living HAProxy", () => {
  test("may reload ten times without a withdrawal", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path, "master");
    await using health = startHealth(OBER, directory.path, ["--url", haproxy.url, "--interval-ms=20", VIP]);
    await health.saying("announce", PREFIX);
    for (let i = 0; i < 10; i++) await haproxy.reload();
    const said = health.lines.length;
    await until("the next repetition", () => health.lines.length > said);
    expect(health.lines.filter(({ text }) => text.startsWith("withdraw"))).toEqual([]);
    expect(health.strays).toEqual([]);
  }, 60_000);

  test("is withdrawn when it freezes, and announced when it thaws", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    await using health = startHealth(OBER, directory.path, ["--url", haproxy.url, VIP]);
    await health.saying("announce", PREFIX);
    process.kill(haproxy.serving(), "SIGSTOP");
    const stoppedAt = performance.now();
    await health.saying("withdraw", PREFIX, 2_000);
    // The promise is 700 ms; a busy test machine is given more.
    expect(performance.now() - stoppedAt).toBeLessThan(1_500);
    const cause = `withdrawn ${VIP}: no answer from ${haproxy.url} within 150 ms`;
    await until(cause, () => health.log.includes(cause));
    process.kill(haproxy.serving(), "SIGCONT");
    await health.saying("announce", PREFIX, 2_000);
  }, 20_000);

  test("is withdrawn for the VIPs of the group that has no server, and only for those", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    const args = ["--url", haproxy.url, "--interval-ms=20", VIP, "10.99.0.2@s3_b", "10.99.0.3@s3_b"];
    await using health = startHealth(OBER, directory.path, args);
    for (const prefix of [PREFIX, "10.99.0.2/32", "10.99.0.3/32"]) await health.saying("announce", prefix);
    await haproxy.tell("set server s3_b/s3_b1 state maint");
    await health.saying("withdraw", "10.99.0.2/32");
    await health.saying("withdraw", "10.99.0.3/32");
    const state = await health.stateWith("the withdrawal", ({ vips }) => vips[2]?.announced === false);
    expect(state.vips.map(({ vip, group, announced }) => [vip, group, announced])).toEqual([
      [VIP, "", true],
      ["10.99.0.2", "s3_b", false],
      ["10.99.0.3", "s3_b", false],
    ]);
    expect(state.vips[1]?.cause).toBe("no RGW answers");
    expect(health.last(PREFIX)).toBe("announce");
    await haproxy.tell("set server s3_b/s3_b1 state ready");
    await health.saying("announce", "10.99.0.3/32");
  }, 20_000);

  test("is withdrawn while the drain flag exists, with its own cause", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    await using health = startHealth(OBER, directory.path, ["--url", haproxy.url, "--interval-ms=20", VIP]);
    await health.saying("announce", PREFIX);
    writeFileSync(health.drainFlag, '{"by":"root","reason":"new NIC"}');
    await health.saying("withdraw", PREFIX);
    const state = await health.stateWith("the drain", ({ vips }) => vips[0]?.announced === false);
    expect(state.vips[0]?.cause).toBe("drained by root: new NIC");
    expect(state.transitions.at(-1)).toMatchObject({ vips: [VIP], from: "up", to: "drained" });
    await Bun.file(health.drainFlag).delete();
    await health.saying("announce", PREFIX);
  }, 20_000);
});

describe("a node that is held back", () => {
  test("is withdrawn from the first decision on, with its own cause, and announced when the hold is gone", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    const hold = join(directory.path, "hold");
    writeFileSync(hold, "-50\n");
    const socket = join(directory.path, "runtime.sock");
    using told = await fakeHaproxy({ socket: () => socket });
    const isTold = (held: boolean) => () =>
      told.said.findLast((command) => / serves \{"at"/.test(command))?.includes(HELD_WORD) === held;
    const flags = ["--url", haproxy.url, "--interval-ms=20", "--hold", hold, "--socket", socket];
    await using health = startHealth(OBER, directory.path, [...flags, VIP]);
    await health.saying("withdraw", PREFIX);
    const state = await health.stateWith("the hold", ({ vips }) => vips[0]?.acknowledged === true);
    expect(state.vips[0]?.cause).toBe("held back: the only certificate is ober's self-signed placeholder");
    // HAProxy says it at the VIPs' health address.
    await until("HAProxy knows", isTold(true));
    await Bun.file(hold).delete();
    await health.saying("announce", PREFIX);
    await until("HAProxy knows better", isTold(false));
    expect(health.lines.filter(({ text }) => text.startsWith("withdraw")).length).toBeLessThan(10);
    expect(state.transitions.map(({ to }) => to)).toEqual(["held"]);
  }, 20_000);
});

describe("the first decision", () => {
  test("speaks also when HAProxy is dead from the start", async () => {
    using directory = temporaryDirectory();
    await using health = startHealth(OBER, directory.path, ["--url", `http://127.0.0.1:${freePort()}/health`, VIP]);
    await health.saying("withdraw", PREFIX, 1_000);
    expect(health.lines[0]?.text).toBe(`withdraw route ${PREFIX} next-hop self`);
  });
});

describe("the end", () => {
  const ends: [how: string, end: (health: ReturnType<typeof startHealth>) => unknown, cause: string][] = [
    ["on SIGTERM", ({ child }) => child.kill("SIGTERM"), "SIGTERM"],
    ["on SIGINT", ({ child }) => child.kill("SIGINT"), "SIGINT"],
    ["when ExaBGP closes its pipe", ({ child }) => child.stdin.end(), "ExaBGP closed the pipe"],
    ["when ExaBGP says shutdown", ({ child }) => child.stdin.write("shutdown 1 1\n\n"), "ExaBGP shuts down"],
  ];
  test.each(ends)(
    "withdraws and exits 0 %s",
    async (_how, end, cause) => {
      using directory = temporaryDirectory();
      await using haproxy = await startHaproxy(directory.path);
      await using health = startHealth(OBER, directory.path, ["--url", haproxy.url, VIP]);
      await health.saying("announce", PREFIX);
      end(health);
      expect(await health.ended()).toBe(0);
      expect(health.last(PREFIX)).toBe("withdraw");
      expect(health.strays).toEqual([]);
      expect(health.log).toEndWith(`withdrawn ${VIP}: ${cause}\n`);
      expect(health.state()).toMatchObject({
        stopped: true,
        vips: [{ vip: VIP, announced: false, cause: "health process ended" }],
      });
    },
    20_000,
  );

  test("comes when the process that started it is killed, although its pipes stay open", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    const state = join(directory.path, "health.json");
    // The shell stands for ExaBGP; the pipe is ours and stays open.
    const pipe = join(directory.path, "pipe");
    Bun.spawnSync(["mkfifo", pipe]);
    const held = openSync(pipe, "r+");
    const said = join(directory.path, "said");
    const argv = [
      "sh",
      "-c",
      'exec 4<&0; "$@" <&4 4<&- & wait',
      "sh",
      ...OBER,
      "health",
      "--url",
      haproxy.url,
      "--state",
      state,
      VIP,
    ];
    const shell = Bun.spawn(argv, { stdin: held, stdout: Bun.file(said), stderr: "ignore" });
    const { pid } = await until(
      "the state file",
      async () => (await Bun.file(state).exists()) && Bun.file(state).json(),
    );
    shell.kill("SIGKILL");
    await until("the health process ended", async () => !(await Bun.file(`/proc/${pid}/stat`).exists()), 5_000);
    const { stopped, transitions } = await Bun.file(state).json();
    expect({ stopped, cause: transitions.at(-1).cause }).toEqual({ stopped: true, cause: "ExaBGP is gone" });
    closeSync(held);
    expect(await Bun.file(said).text()).toEndWith(`withdraw route ${PREFIX} next-hop self\n`);
  }, 20_000);
});

describe("the conversation with ExaBGP", () => {
  test("shows a refused route as not acknowledged, and its neighbour as acknowledged", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    await using health = startHealth(OBER, directory.path, ["--url", haproxy.url, VIP, "10.99.0.2"], {
      answer: (line) => (line.includes("10.99.0.2") ? "error" : "done"),
    });
    const state = await health.stateWith("a refusal", ({ counters }) => counters.ackErrors >= 1 && counters.acks >= 1);
    expect(state.vips).toMatchObject([
      { vip: VIP, announced: true, acknowledged: true },
      { vip: "10.99.0.2", announced: true, acknowledged: false, problem: "ExaBGP refused the route" },
    ]);
  }, 20_000);

  test("does not wait for ever for an answer", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    await using health = startHealth(OBER, directory.path, ["--url", haproxy.url, VIP], { answer: () => "nothing" });
    const state = await health.stateWith("a timeout", ({ counters }) => counters.ackTimeouts >= 1);
    expect(state.vips[0]).toMatchObject({ announced: true, acknowledged: false, problem: "ExaBGP did not answer" });
    await until("its log", () => health.log.includes(`${VIP}: ExaBGP did not answer`));
  }, 20_000);

  test("goes on when nobody reads its log", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    const pipe = join(directory.path, "log");
    Bun.spawnSync(["mkfifo", pipe]);
    const held = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    // As full as it can be, down to the last byte.
    for (const size of [4096, 1]) while (fits(held, size));
    const log = openSync(pipe, constants.O_WRONLY);
    await using health = startHealth(OBER, directory.path, ["--url", haproxy.url, "--interval-ms=20", VIP], {
      stderr: log,
    });
    closeSync(log);
    for (let round = 0; round < 3; round++) {
      await health.saying("announce", PREFIX);
      writeFileSync(health.drainFlag, "");
      await health.saying("withdraw", PREFIX);
      await Bun.file(health.drainFlag).delete();
    }
    health.child.kill("SIGTERM");
    expect(await health.child.exited).toBe(0);
    expect(health.state()?.counters).toMatchObject({ ackErrors: 0, ackTimeouts: 0 });
    closeSync(held);
  }, 20_000);

  test("survives 20,000 changes, all of them said and all of them answered", async () => {
    using directory = temporaryDirectory();
    // Answers 200 and 503 in turn on each connection, so that with rise and fall of 1 every check is a change.
    const server = Bun.listen<{ healthy: boolean }>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open(socket) {
          socket.data = { healthy: false };
        },
        data(socket) {
          socket.data.healthy = !socket.data.healthy;
          socket.write(
            `HTTP/1.1 ${socket.data.healthy ? "200 OK" : "503 Service Unavailable"}\r\ncontent-length: 0\r\n\r\n`,
          );
        },
      },
    });
    const vips = Array.from({ length: 20 }, (_, i) => `10.99.1.${i}@g${i}`);
    const flags = ["--url", `http://127.0.0.1:${server.port}/health`, "--interval-ms=1", "--rise=1", "--fall=1"];
    await using health = startHealth(OBER, directory.path, [...flags, ...vips]);
    await until("20,000 commands", () => health.commands >= 20_000, 60_000);
    health.child.kill("SIGTERM");
    expect(await health.ended()).toBe(0);
    server.stop(true);
    expect(health.strays).toEqual([]);
    for (let i = 0; i < 20; i++) expect(health.last(`10.99.1.${i}/32`)).toBe("withdraw");
    const counters = health.state()?.counters;
    expect(counters?.transitions).toBeGreaterThan(20_000);
    expect(counters?.acks).toBe(health.commands);
    expect(counters).toMatchObject({ ackErrors: 0, ackTimeouts: 0 });
  }, 90_000);
});

describe("250 VIPs taken away at once", () => {
  const former = Array.from({ length: 250 }, (_, i) => `10.99.9.${i}`);
  type Round = [what: string, eachMs: number, silentMs: number, answer: "done" | "done\ndone"];
  const slowest: Round = ["takes 100 ms for each", 100, 0, "done"];
  const rounds: Round[] = [
    ["takes 2 ms for each", 2, 0, "done"],
    ["takes 20 ms for each", 20, 0, "done"],
    ["answers twice", 2, 0, "done\ndone"],
    ["does nothing for 3 s", 2, 3_000, "done"],
    ...(process.env["OBER_ROUNDS"] === undefined ? [] : [slowest]),
  ];

  test.each(rounds)(
    "are withdrawn, with READY and the watchdog in time, by an ExaBGP that %s",
    async (_what, eachMs, silentMs, answer) => {
      using directory = temporaryDirectory();
      const path = join(directory.path, "notify");
      using socket = listenNotify(path);
      await using haproxy = await startHaproxy(directory.path);
      const earlier = { vips: former.map((vip) => ({ vip })), clearing: [] };
      writeFileSync(join(directory.path, "health.json"), JSON.stringify(earlier));
      const fedAt: number[] = [];
      let silence = silentMs;
      await using health = startHealth(OBER, directory.path, ["--url", haproxy.url, VIP], {
        answer: () => answer,
        async busy() {
          // The tenth command finds it busy: ours is confirmed by then, the former ones are under way.
          const ms = health.commands === 10 ? silence : eachMs;
          if (health.commands === 10) silence = 0;
          await Bun.sleep(ms);
        },
        env: { NOTIFY_SOCKET: path },
      });
      const startedAt = performance.now();
      let meals = 0;
      await until(
        "every former VIP withdrawn",
        () => {
          const now = socket.messages().length;
          if (now > meals) fedAt.push(performance.now());
          meals = now;
          return former.every((vip) => health.last(`${vip}/32`) === "withdraw");
        },
        60_000,
      );
      const state = await health.stateWith("nothing to clear", ({ clearing }) => clearing === undefined);
      await until("the meal after all of it", () => socket.messages().length > meals);
      fedAt.push(performance.now());
      expect(state.vips).toMatchObject([{ vip: VIP, announced: true, acknowledged: true }]);
      expect(socket.messages()[0]).toBe("READY=1\nWATCHDOG=1");
      expect((fedAt[0] ?? Number.POSITIVE_INFINITY) - startedAt).toBeLessThan(2_000);
      const gaps = fedAt.map((at, i) => at - (fedAt[i - 1] ?? startedAt));
      expect(Math.max(...gaps)).toBeLessThan(silentMs === 0 ? 2_000 : 3_700);
      const said = Map.groupBy(health.lines, ({ text }) => text.split(" ")[2]);
      for (const vip of former) expect(said.get(`${vip}/32`)?.length).toBeLessThanOrEqual(3);
      expect(health.lines.filter(({ text }) => text === `withdraw route ${PREFIX} next-hop self`)).toEqual([]);
      expect(health.strays).toEqual([]);
    },
    90_000,
  );

  test("are withdrawn in the end though the process that withdraws them is replaced half way", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    writeFileSync(join(directory.path, "health.json"), JSON.stringify({ vips: former.map((vip) => ({ vip })) }));
    const args = ["--url", haproxy.url, VIP];
    const withdrawn = new Set<string>();
    {
      await using first = startHealth(OBER, directory.path, args, { busy: () => Bun.sleep(20) });
      await first.stateWith("a part of them left", ({ clearing = [] }) => clearing.length > 0 && clearing.length < 240);
      for (const vip of former) if (first.last(`${vip}/32`) === "withdraw") withdrawn.add(vip);
    }
    expect(withdrawn.size).toBeLessThan(250);
    await using second = startHealth(OBER, directory.path, args);
    await second.stateWith(
      "nothing to clear",
      ({ pid, clearing }) => pid === second.child.pid && clearing === undefined,
    );
    for (const vip of former) if (second.last(`${vip}/32`) === "withdraw") withdrawn.add(vip);
    expect(withdrawn.size).toBe(250);
  }, 30_000);
});

/** Whether that many bytes fitted into a non-blocking pipe. */
function fits(pipe: number, bytes: number): boolean {
  try {
    return writeSync(pipe, Buffer.alloc(bytes)) === bytes;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EAGAIN") return false;
    throw error;
  }
}

describe("the watchdog", () => {
  const start = async (directory: string, answer: "done" | "error" | "nothing", path: string) => {
    const haproxy = await startHaproxy(directory);
    const env = { NOTIFY_SOCKET: path };
    const health = startHealth(OBER, directory, ["--url", haproxy.url, VIP], { answer: () => answer, env });
    return { haproxy, health };
  };

  test.each(["a file", "an abstract name"])(
    "is told READY and then fed each second, at %s",
    async (kind) => {
      using directory = temporaryDirectory();
      const path = kind === "a file" ? join(directory.path, "notify") : `@ober-test-${process.pid}`;
      using socket = listenNotify(path);
      const { haproxy, health } = await start(directory.path, "done", path);
      await using _haproxy = haproxy;
      await using _health = health;
      await until("READY", () => socket.messages()[0]);
      expect(socket.messages()[0]).toBe("READY=1\nWATCHDOG=1");
      await until("two meals", () => socket.messages().length >= 3, 5_000);
      expect(new Set(socket.messages().slice(1))).toEqual(new Set(["WATCHDOG=1"]));
    },
    20_000,
  );

  test.each(["error", "nothing"] as const)(
    "is told nothing when ExaBGP answers %s",
    async (answer) => {
      using directory = temporaryDirectory();
      const path = join(directory.path, "notify");
      using socket = listenNotify(path);
      const { haproxy, health } = await start(directory.path, answer, path);
      await using _haproxy = haproxy;
      await using _health = health;
      await health.stateWith("trouble", ({ counters }) => counters.ackErrors + counters.ackTimeouts >= 2, 10_000);
      expect(socket.messages()).toEqual([]);
    },
    20_000,
  );

  test("is fed no longer when ExaBGP falls silent, and again when it speaks", async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "notify");
    using socket = listenNotify(path);
    await using haproxy = await startHaproxy(directory.path);
    let silent = false;
    await using health = startHealth(OBER, directory.path, ["--url", haproxy.url, VIP], {
      answer: () => (silent ? "nothing" : "done"),
      env: { NOTIFY_SOCKET: path },
    });
    await until("a meal", () => socket.messages().length >= 2);
    silent = true;
    await health.stateWith("a timeout", ({ counters }) => counters.ackTimeouts >= 1, 10_000);
    const meals = socket.messages().length;
    await health.stateWith("another timeout", ({ counters }) => counters.ackTimeouts >= 2, 10_000);
    expect(socket.messages().length).toBe(meals);
    silent = false;
    await until("another meal", () => socket.messages().length > meals, 10_000);
  }, 40_000);
});

describe("health --once", () => {
  const once = async (url: string, ...flags: string[]) => {
    const child = Bun.spawn([...OBER, "health", "--once", "--url", url, ...flags], { stdout: "pipe", stderr: "pipe" });
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, stdout, stderr };
  };

  test("is silent and succeeds when HAProxy is healthy", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    expect(await once(haproxy.url)).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("fails with its reason for everything else", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    await haproxy.tell("set server s3/s31 state maint");
    await until("503", async () => (await once(haproxy.url)).code === 1);
    expect(await once(haproxy.url)).toEqual({ code: 1, stdout: "", stderr: "HAProxy answers 503\n" });
    expect(await once(haproxy.url, "--alive")).toEqual({ code: 0, stdout: "", stderr: "" });
    process.kill(haproxy.serving(), "SIGSTOP");
    const frozen = await once(haproxy.url, "--timeout-ms=100");
    expect(frozen).toEqual({ code: 1, stdout: "", stderr: `no answer from ${haproxy.url} within 100 ms\n` });
    process.kill(haproxy.serving(), "SIGCONT");
    const nowhere = `http://127.0.0.1:${freePort()}/health`;
    expect(await once(nowhere)).toEqual({ code: 1, stdout: "", stderr: `nothing listens at ${nowhere}\n` });
  }, 20_000);
});

describe("the executable", () => {
  test("runs nothing of what lies in the current directory", async () => {
    using directory = temporaryDirectory();
    const trace = join(directory.path, "trace");
    writeFileSync(join(directory.path, "evil.ts"), `require("node:fs").writeFileSync(${JSON.stringify(trace)}, "ran")`);
    writeFileSync(join(directory.path, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
    writeFileSync(join(directory.path, ".env"), "NO_SUCH=1\nBUN_OPTIONS=--preload=./evil.ts\n");
    writeFileSync(join(directory.path, "package.json"), '{"type":"module","imports":{"#ober":"./evil.ts"}}');
    writeFileSync(join(directory.path, "tsconfig.json"), '{"compilerOptions":{"paths":{"*":["./evil.ts"]}}}');
    const env = { ...process.env, NODE_OPTIONS: `--require=${join(directory.path, "evil.ts")}` };
    for (const args of [["--version"], ["health", "--once", "--url", "http://127.0.0.1:1/"]]) {
      const child = Bun.spawn([...OBER, ...args], { cwd: directory.path, env, stdout: "ignore", stderr: "ignore" });
      await child.exited;
    }
    expect(await Bun.file(trace).exists()).toBe(false);
  }, 20_000);
});
