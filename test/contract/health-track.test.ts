/** `ober health --track`, the built executable, against the real HAProxy: what keepalived reads in VRRP mode, and what systemd is told. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, HOST } from "../../scripts/build.ts";
import { HELD_WORD } from "../../src/domain/serves.ts";
import { fakeHaproxy } from "../helpers/haproxy.ts";
import { listenNotify, startHaproxy, startHealth, temporaryDirectory, until } from "../helpers/health.ts";

const built = temporaryDirectory();
const OBER = [process.env["OBER_EXECUTABLE"] ?? join(built.path, "ober")];

beforeAll(async () => {
  if (process.env["OBER_EXECUTABLE"] === undefined) await build(HOST, OBER[0] ?? "");
}, 60_000);

afterAll(() => built[Symbol.dispose]());

/** A loop over HAProxy at `url`, and what stands in its files. */
function startTracking(
  directory: string,
  url: string,
  vips: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  const [weight, hanging] = [join(directory, "weight"), join(directory, "hanging")];
  const files = ["--track", weight, "--hanging", hanging, "--history", join(directory, "history")];
  const health = startHealth(OBER, directory, ["--url", url, ...files, "--nodes=3", ...vips], { env });
  const read = (path: string) => (existsSync(path) ? readFileSync(path, "utf8").trim() : "none");
  const file = (group = "") => (group === "" ? weight : `${weight}.${group}`);
  return {
    ...health,
    state: health.state,
    stateWith: health.stateWith,
    ended: health.ended,
    file,
    hanging: () => read(hanging),
    weighs: (group: string, wanted: string, timeoutMs?: number) =>
      until(`weight ${wanted} of '${group}'`, () => read(file(group)) === wanted, timeoutMs),
    hangs: (wanted: string, timeoutMs?: number) =>
      until(`hanging ${wanted}`, () => read(hanging) === wanted, timeoutMs),
    [Symbol.asyncDispose]: health[Symbol.asyncDispose],
  };
}

describe("keepalived's files", () => {
  test("say within a second that HAProxy hangs, and at once when it goes on", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    await using health = startTracking(directory.path, haproxy.url, ["10.99.0.1"]);
    await health.weighs("", "0");
    await health.hangs("0", 1_000);
    process.kill(haproxy.serving(), "SIGSTOP");
    await health.hangs("1", 1_000);
    await health.weighs("", "-50", 100);
    process.kill(haproxy.serving(), "SIGCONT");
    await health.hangs("0", 1_000);
    await health.weighs("", "0", 1_000);
  }, 20_000);

  test("say for each group whether its RGWs answer, which is no hang", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    await using health = startTracking(directory.path, haproxy.url, ["10.99.0.1", "10.99.0.2@s3_b"]);
    await health.weighs("", "0");
    await health.weighs("s3_b", "0");
    await haproxy.tell("set server s3_b/s3_b1 state maint");
    await health.weighs("s3_b", "-50", 2_000);
    await health.weighs("", "0", 100);
    expect(health.hanging()).toBe("0");
    const { vips } = await health.stateWith("the loss", (state) => state.vips[1]?.announced === false);
    expect(vips.map(({ cause }) => cause)).toEqual(["HAProxy answers", "no RGW answers"]);
  }, 20_000);

  test("and HAProxy is told that the node is held back, and that it no longer is", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    const [socket, hold] = [join(directory.path, "runtime.sock"), join(directory.path, "hold")];
    writeFileSync(hold, "-50\n");
    using told = await fakeHaproxy({ socket: () => socket });
    const pid = join(directory.path, "keepalived.pid");
    writeFileSync(pid, `${process.pid}\n`);
    const words = ["--hold", hold, "--socket", socket, "--keepalived-pid", pid];
    await using health = startTracking(directory.path, haproxy.url, [...words, "10.99.0.1"]);
    const isTold = (held: boolean) => () =>
      told.said.findLast((command) => / serves \{"at"/.test(command))?.includes(HELD_WORD) === held;
    await until("HAProxy knows", isTold(true));
    await Bun.file(hold).delete();
    await health.weighs("", "0");
    await until("HAProxy knows better", isTold(false));
  }, 20_000);

  test("come back within seconds when somebody removes them", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    await using health = startTracking(directory.path, haproxy.url, ["10.99.0.1"]);
    await health.weighs("", "0");
    rmSync(health.file());
    await health.weighs("", "0", 4_000);
  }, 20_000);

  test("stay as they are when the loop ends on purpose, and when the next begins", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    const first = startTracking(directory.path, haproxy.url, ["10.99.0.1"]);
    await first.weighs("", "0");
    await first.stateWith("the decision", ({ vips }) => vips[0]?.announced === true);
    first.child.kill("SIGTERM");
    expect(await first.ended()).toBe(0);
    await first.weighs("", "0", 100);
    const { transitions, stopped } = JSON.parse(readFileSync(join(directory.path, "health.json"), "utf8"));
    expect({ stopped, to: transitions.at(-1).to }).toEqual({ stopped: true, to: "stopped" });
  }, 20_000);
});

test("systemd hears of the first decision once it stands in the files, and nothing while HAProxy is not looked at", async () => {
  using directory = temporaryDirectory();
  await using haproxy = await startHaproxy(directory.path);
  const path = join(directory.path, "notify");
  using socket = listenNotify(path);
  await using health = startTracking(directory.path, haproxy.url, ["10.99.0.1"], { NOTIFY_SOCKET: path });
  await until("ready", () => socket.messages().length > 0);
  expect(socket.messages()[0]).toBe("READY=1\nWATCHDOG=1");
  await health.weighs("", "0", 100);
  const meals = socket.messages().length;
  await until("another meal", () => socket.messages().length > meals, 5_000);
}, 20_000);
