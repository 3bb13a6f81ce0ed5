/** `ober drill --observe` as it is typed on any machine, against HAProxy with the configuration that ober renders. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import type { Documents } from "../../src/documents.ts";
import { checkedDocument } from "../helpers/documents.ts";
import { OBER } from "../helpers/ober.ts";
import { run, until } from "../lab/process.ts";
import { childrenOf, enterNetwork, type Ingress, SERVERS, startIngress, VIPS } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { get, OK, type Received, request, startServer } from "./_peers.ts";

const [tree] = PARSER_TREES;
if (tree === undefined) throw new Error("there is no tree");

describe(`an observer of HAProxy of ${tree.name}`, () => {
  let leave: () => void;
  let ingress: Ingress;
  let server: Awaited<ReturnType<typeof startServer>>;
  let directory: string;
  /** Requests of each kind that the server has got. */
  const got = { GET: 0, PUT: 0, DELETE: 0 };

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "ober-drill-"));
    leave = await enterNetwork([tree]);
    server = await startServer(SERVERS[0] ?? "", ({ head, socket }: Received) => {
      const method = head.split(" ")[0];
      if (method === "GET" || method === "PUT" || method === "DELETE") got[method]++;
      socket.write(OK);
    });
    ingress = await startIngress(tree);
    await until("the server is up", async () => (await request(get())).status === 200, 10_000);
  }, 600_000);

  afterAll(async () => {
    await ingress?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    leave?.();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Begins an observation; `ended` is its document. */
  function observe(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const argv = [...OBER, "drill", "--observe", VIPS[0], "--insecure", "--json", ...words];
    const child = Bun.spawn(argv, { stdout: "pipe", stderr: "ignore", env: { ...process.env, ...env } });
    const ended = new Response(child.stdout).text().then((text) => {
      checkedDocument(["drill", ...words, "--observe", "--json"], text);
      return JSON.parse(text) as Documents["drill --observe"];
    });
    return { child, ended };
  }

  test("sees no failure where there is none, on new and kept connections and with uploads", async () => {
    const keys = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };
    const before = { ...got };
    const seen = await observe(["--seconds", "3", "--rate", "30", "--bucket", "drills"], keys).ended;
    expect(seen).toMatchObject({ requests: 90, failed: 0, before: [hostname()], after: [hostname()] });
    expect(seen.kinds.map(({ kind, requests }) => [kind, requests])).toEqual([
      ["new", 30],
      ["kept", 30],
      ["put", 30],
    ]);
    // And one of each before it began.
    expect([got.GET - before.GET, got.PUT - before.PUT, got.DELETE - before.DELETE]).toEqual([61, 31, 1]);
  }, 30_000);

  test("sees a HAProxy that hangs, for how long, and draws it", async () => {
    const svg = join(directory, "drill.svg");
    const before = got.GET;
    const { ended } = observe(["--seconds", "5", "--rate", "40", "--svg", svg, "--of", "haproxy-hang"]);
    await until("it asks", () => got.GET > before + 20, 10_000);
    const pids = [ingress.master(), ...childrenOf(ingress.master())];
    const at = performance.now();
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    await until("it has hung for a while", () => performance.now() - at > 1_500, 5_000, 50);
    for (const pid of pids) process.kill(pid, "SIGCONT");
    const hung = performance.now() - at;
    const seen = await ended;
    expect(seen.longestGapMs).toBeGreaterThan(1_300);
    expect(seen.longestGapMs).toBeLessThan(hung + 1_000);
    expect(seen.slow + seen.failed).toBeGreaterThan(0);
    expect(seen.newPathMs).not.toBeNull();
    expect(seen.remark).toMatch(/^haproxy-hang: .* and 0\.65 s were measured/);
    expect(readFileSync(svg, "utf8")).toContain("until the new path</text>");
  }, 30_000);

  test("reports what it has seen when it is interrupted", async () => {
    const before = got.GET;
    const { child, ended } = observe(["--seconds", "600", "--rate", "20"]);
    await until("it asks", () => got.GET > before + 20, 10_000);
    child.kill("SIGINT");
    const seen = await ended;
    expect(await child.exited).toBe(0);
    expect(seen.requests).toBeGreaterThan(15);
    expect(seen.durationMs).toBeLessThan(20_000);
  }, 30_000);

  test.each([
    [["--observe", VIPS[0]], "has a certificate that is not trusted"],
    [["--observe", `${VIPS[0]}:444`], "does not answer a GET: ECONNREFUSED"],
  ])("%p is refused before it begins", async (words, message) => {
    const { code, stderr } = await run([...OBER, "drill", ...words], { accept: [1] });
    expect([code, stderr.includes(message)]).toEqual([1, true]);
  });
});
