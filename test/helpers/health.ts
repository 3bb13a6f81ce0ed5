/** Real programs for the tests of `ober health`: HAProxy, an ExaBGP of our own that answers as told, systemd's socket. */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { socketAddress } from "../../src/health/notify.ts";
import type { HealthState } from "../../src/health/state.ts";

/** Waits until `condition` holds and returns its value; fails with `what` after `timeoutMs`. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 5_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await Bun.sleep(2);
  }
}

/** A directory of its own for one test, gone afterwards. */
export function temporaryDirectory() {
  const path = mkdtempSync(join(tmpdir(), "ober-test-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export function freePort(): number {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = server;
  server.stop(true);
  return port;
}

/** HAProxy with `/health` as ober renders it, for two groups whose servers are up until their weight is taken. */
export async function startHaproxy(directory: string, mode: "alone" | "master" = "alone", port = freePort()) {
  const config = join(directory, "haproxy.cfg");
  const socket = join(directory, "haproxy.sock");
  const url = `http://127.0.0.1:${port}/health`;
  const group = (name: string) => `backend ${name}\n  server ${name}1 127.0.0.1:9\n`;
  const rule = (path: string, name: string) => [
    `  http-request return status 200 if { path ${path} } { nbsrv(${name}) ge 1 }`,
    `  http-request return status 503 if { path ${path} }`,
  ];
  writeFileSync(
    config,
    [
      "global",
      `  stats socket ${socket} level admin expose-fd listeners`,
      "defaults",
      "  mode http",
      "  timeout connect 1s",
      "  timeout client 1h",
      "  timeout server 1h",
      "  timeout http-keep-alive 1h",
      "frontend health",
      `  bind 127.0.0.1:${port}`,
      ...rule("/health", "s3"),
      ...rule("/health/s3_b", "s3_b"),
      group("s3"),
      group("s3_b"),
    ].join("\n"),
  );
  const argv = ["haproxy", ...(mode === "master" ? ["-W"] : ["-db"]), "-f", config];
  const child = Bun.spawn(argv, { stdout: "ignore", stderr: "ignore" });
  await until("haproxy answers", () =>
    fetch(url, { keepalive: false }).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  return {
    url,
    port,
    /** The process that serves: the worker where there is a master. */
    serving: () => (mode === "master" ? Number(childrenOf(child.pid).at(-1)) : child.pid),
    /** Reloads, and returns when a new worker serves and the old one is gone. */
    async reload() {
      const old = childrenOf(child.pid).at(-1) ?? "";
      let askedAt = Number.NEGATIVE_INFINITY;
      await until("a new worker alone", () => {
        const workers = childrenOf(child.pid);
        // A master that is still busy with the last reload loses the signal.
        if (workers.length === 1 && workers[0] === old && performance.now() - askedAt > 1_000) {
          askedAt = performance.now();
          process.kill(child.pid, "SIGUSR2");
        }
        return workers.length === 1 && workers[0] !== old;
      });
    },
    kill: async () => {
      process.kill(mode === "master" ? Number(childrenOf(child.pid).at(-1)) : child.pid, "SIGKILL");
      await child.exited;
    },
    /** One command to the runtime API. */
    async tell(command: string) {
      await Bun.connect({
        unix: socket,
        socket: { open: (connection) => void connection.write(`${command}\n`), data() {} },
      });
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      for (const pid of [child.pid, ...childrenOf(child.pid)]) process.kill(Number(pid), "SIGCONT");
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}

function childrenOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
}

type Answer = "done" | "error" | "nothing" | "done\ndone";

/**
 * `ober health` with an ExaBGP that gives to each command the answer that `answer` tells. Fails the test when anything but
 * a route command comes on stdout.
 */
export function startHealth(
  executable: readonly string[],
  directory: string,
  args: readonly string[],
  options: {
    readonly answer?: (line: string) => Answer;
    /** What ExaBGP does before it takes a command up; it takes them one by one. */
    readonly busy?: () => Promise<void>;
    readonly env?: Readonly<Record<string, string>>;
    /** A descriptor for its log, instead of `log`. */
    readonly stderr?: number;
  } = {},
) {
  const stateFile = join(directory, "health.json");
  const drainFlag = join(directory, "drain");
  const argv = [
    ...executable,
    "health",
    "--state",
    stateFile,
    "--drain-flag",
    drainFlag,
    "--passing-drain-flag",
    join(directory, "passing-drain"),
    ...args,
  ];
  const child = Bun.spawn(argv, {
    stdin: "pipe",
    stdout: "pipe",
    stderr: options.stderr ?? "pipe",
    env: { PATH: "/usr/bin:/usr/sbin", ...options.env },
  });
  const lines: { readonly at: number; readonly text: string }[] = [];
  const strays: string[] = [];
  let last = new Map<string, string>();
  let log = "";
  let commands = 0;
  const reading = (async () => {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of child.stdout) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      for (const text of parts) {
        const match = /^(announce|withdraw) route (\S+) next-hop self$/.exec(text);
        if (!match) strays.push(text);
        commands += 1;
        if (lines.length < 10_000) lines.push({ at: performance.now(), text });
        last = last.set(match?.[2] ?? "", match?.[1] ?? "");
        await options.busy?.();
        const answer = options.answer?.(text) ?? "done";
        if (answer !== "nothing") child.stdin.write(`${answer}\n`);
        if (options.busy) await child.stdin.flush();
      }
      await child.stdin.flush();
    }
    if (rest !== "") strays.push(rest);
  })().catch(() => {});
  const logging = (async () => {
    if (typeof child.stderr === "object") for await (const chunk of child.stderr) log += Buffer.from(chunk).toString();
  })();
  return {
    child,
    drainFlag,
    lines,
    strays,
    get commands() {
      return commands;
    },
    get log() {
      return log;
    },
    /** What was last said about a prefix. */
    last: (prefix: string) => last.get(prefix),
    saying: (word: string, prefix: string, timeoutMs?: number) =>
      until(
        `'${word} ${prefix}'; said: ${JSON.stringify(lines.slice(-3))}; log: ${log}`,
        () => last.get(prefix) === word,
        timeoutMs,
      ),
    state: (): HealthState | undefined =>
      existsSync(stateFile) ? JSON.parse(readFileSync(stateFile, "utf8")) : undefined,
    stateWith: (what: string, holds: (state: HealthState) => boolean, timeoutMs = 8_000) =>
      until(
        `state with ${what}`,
        () => {
          const state = existsSync(stateFile)
            ? (JSON.parse(readFileSync(stateFile, "utf8")) as HealthState)
            : undefined;
          return state && holds(state) ? state : undefined;
        },
        timeoutMs,
      ),
    /** The exit code, once everything that was written has been read. */
    async ended() {
      const code = await child.exited;
      await Promise.all([reading, logging]);
      return code;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** systemd's end of sd_notify: a datagram socket at `path` ('@' for an abstract one) and the messages that came. */
export function listenNotify(path: string) {
  const { symbols } = dlopen("libc.so.6", {
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
    recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
    close: { args: [FFIType.i32], returns: FFIType.i32 },
  });
  const [AF_UNIX, SOCK_DGRAM, MSG_DONTWAIT] = [1, 2, 0x40];
  const address = socketAddress(path);
  const socket = symbols.socket(AF_UNIX, SOCK_DGRAM, 0);
  if (symbols.bind(socket, ptr(address), address.length) !== 0) throw new Error(`cannot bind ${path}`);
  const buffer = new Uint8Array(4096);
  const messages: string[] = [];
  return {
    /** All messages so far. */
    messages() {
      for (;;) {
        const length = Number(symbols.recv(socket, ptr(buffer), buffer.length, MSG_DONTWAIT));
        if (length < 0) return messages;
        messages.push(Buffer.from(buffer.subarray(0, length)).toString());
      }
    },
    [Symbol.dispose]: () => void symbols.close(socket),
  };
}
