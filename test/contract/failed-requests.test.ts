/**
 * A failed request is one line in the journal and any other none, at a bounded rate, on the real HAProxy of every Debian suite; and nothing that
 * signs a request, or is a key, stands in one.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { serverRows } from "../../src/haproxy/socket.ts";
import { until } from "../lab/process.ts";
import { enterNetwork, type Ingress, NODE, OUTSIDE, SERVERS, STATS_PORT, startIngress } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { dial, get, OK, type Received, request, startServer } from "./_peers.ts";

const FASTER = [
  ["inter 1000ms", "inter 100ms"],
  ["timeout server 300s", "timeout server 400ms"],
  ["timeout queue 20s", "timeout queue 300ms"],
] as const;

/** Secrets that must not appear anywhere. */
const SECRET = "Secr3tSecr3t";
const HEADERS = [
  `Authorization: AWS4-HMAC-SHA256 Credential=${SECRET}/20260101/r/s3/aws4_request, Signature=${SECRET}`,
  `X-Auth-Token: ${SECRET}`,
  `X-Amz-Server-Side-Encryption-Customer-Key: ${SECRET}`,
  `Cookie: session=${SECRET}`,
].join("\r\n");
const QUERIES = [
  `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${SECRET}&X-Amz-Signature=${SECRET}&X-Amz-Security-Token=${SECRET}`,
  `AWSAccessKeyId=${SECRET}&Expires=1&Signature=${SECRET}`,
  `temp_url_sig=${SECRET}&temp_url_expires=1`,
  SECRET,
  `a?b=${SECRET}`,
];
const asked = (target: string, headers = HEADERS) =>
  `GET ${target} HTTP/1.1\r\nHost: s3.example.org\r\n${headers}\r\n\r\n`;

/** Paths that the server was asked for, with their queries. */
const arrived: string[] = [];

function answer({ head, socket }: Received): void {
  arrived.push(head.split(" ")[1] ?? "");
  const path = head.split(/[ ?]/)[1] ?? "";
  const says = (line: string) => socket.write(`HTTP/1.1 ${line}\r\nContent-Length: 0\r\n\r\n`);
  if (path.includes("/500")) says("500 Internal Server Error");
  else if (path.includes("/503")) says("503 Slow Down");
  else if (path.includes("/404")) says("404 Not Found");
  else if (path.includes("/closes")) socket.destroy();
  else if (path.includes("/garbage")) socket.end(`${SECRET}\r\n\r\n`);
  else if (path.includes("/half")) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nab");
  else if (!path.includes("/hangs")) socket.write(OK);
}

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let leave: () => void;
  beforeEach(async () => {
    arrived.length = 0;
    leave = await enterNetwork([tree]);
  }, 600_000);
  afterEach(() => leave());

  const lines = (ingress: Ingress) =>
    ingress
      .log()
      .split("\n")
      .filter((line) => line.startsWith("failed: "));
  const serverUp = (ingress: Ingress) =>
    until(
      "the server is up",
      async () => serverRows(await ingress.stat(), "s3").every((row) => row["check_status"] === "L7OK"),
      10_000,
      20,
    );

  test("what an RGW or HAProxy fails at is a line, without what signs it", async () => {
    const server = await startServer(SERVERS[0] ?? "", answer);
    await using ingress = await startIngress(tree, { edit: FASTER, group: "max_requests: 2" });
    const early = ingress.version.major < 3;
    try {
      await serverUp(ingress);
      await ingress.say(`add acl ${ingress.paths.frontendHttpList} ${OUTSIDE}`);
      for (const query of QUERIES) expect((await request(asked(`/b/500?${query}`))).status).toBe(500);
      // Userinfo belongs to no path.
      expect((await request(asked(`http://AK:${SECRET}@s3.example.org/b/500?x=${SECRET}`))).status).toBe(500);
      expect((await request(asked("/b/503?a"), { port: 80, from: OUTSIDE })).status).toBe(503);
      for (const path of ["/b/closes", "/b/garbage"]) expect((await request(asked(path))).status).toBe(502);
      // One request at a time is sent there: the second waits in vain.
      const hanging = request(asked(`/b/hangs?${SECRET}`));
      await until("it is there", () => arrived.some((path) => path.startsWith("/b/hangs")), 5_000, 5);
      await request(asked(`/b/waits?${SECRET}`));
      const hangs = await hanging;
      expect(hangs.status).toBe(504);
      const long = `/b/500/${"k".repeat(2_000)}?${SECRET}`;
      await request(asked(long));
      // None of these failed: well, refused, not a request, or left by its client.
      for (const path of ["/b/ok", "/b/404"]) await request(asked(`${path}?${SECRET}`));
      for (const target of [`/b/500 ${SECRET}`, `/b/500#${SECRET}`, `?${SECRET}`, `${SECRET}`]) {
        expect((await request(asked(target))).status).toBe(400);
      }
      expect((await request(`GET /b/500?${SECRET}\r\n\r\n`)).status).toBe(400);
      expect((await request(asked("/b/500", `${SECRET} : x`))).status).toBe(400);
      const gone = await dial();
      gone.write(asked(`/b/half?${SECRET}`));
      await new Promise((resolve) => gone.once("data", resolve));
      gone.destroy();
      await until("nothing is under way", async () => !/ fe=ober_s3/.test(await ingress.say("show sess")), 5_000, 20);
      await server.stop();
      await until(
        "nobody serves",
        async () => /^DOWN/.test(serverRows(await ingress.stat(), "s3")[0]?.["status"] ?? ""),
        10_000,
        20,
      );
      expect((await request(asked(`/b/nobody?${SECRET}`))).status).toBe(503);
      expect((await request(get("/health"), { to: NODE, port: STATS_PORT, from: NODE })).status).toBe(503);
    } finally {
      await server[Symbol.asyncDispose]();
    }
    const by = (status: number, state: string, path: string, at = `s3/${SERVERS[0]}:7480`) =>
      `${status}${early ? "" : ` ${state}`} GET ${at} TIMES ${path}`;
    const times = /request=\d+ queue=-?\d+ connect=-?\d+ response=-?\d+( total=\d+)? ms/;
    const seen = lines(ingress).map((line) => line.slice("failed: ".length).replace(times, "TIMES"));
    expect(seen.map((line) => line.replace(/k{800,}/, "kkk"))).toEqual([
      ...QUERIES.map(() => by(500, "--", "/b/500")),
      by(500, "--", "/b/500"),
      by(503, "--", "/b/503"),
      by(502, "SH", "/b/closes"),
      by(502, "PH", "/b/garbage"),
      by(503, "sQ", "/b/waits", "s3/<NOSRV>"),
      by(504, "sH", "/b/hangs"),
      by(500, "--", "/b/500/kkk"),
      by(503, "SC", "/b/nobody", "s3/<NOSRV>"),
    ]);
    expect(ingress.log()).not.toContain(SECRET);
    expect(ingress.log()).not.toContain("/health");
  }, 60_000);

  test("a storm of failures is limited to a number of lines per period, and later ones are written again", async () => {
    await using _server = await startServer(SERVERS[0] ?? "", answer);
    // Twenty in a second instead of a hundred in ten.
    await using ingress = await startIngress(tree, {
      edit: [...FASTER, ["gpc1_rate(10s)", "gpc1_rate(1s)"], ["gpc1_rate(1) lt 100", "gpc1_rate(1) lt 20"]],
    });
    await serverUp(ingress);
    const storm = (count: number) =>
      Promise.all(
        Array.from({ length: 20 }, async () => {
          for (let n = 0; n < count / 20; n++) await request(asked("/b/500"), { port: 443 });
        }),
      );
    const from = performance.now();
    await storm(300);
    const seconds = (performance.now() - from) / 1000;
    const first = lines(ingress).length;
    expect(first).toBeGreaterThanOrEqual(20);
    expect(first).toBeLessThanOrEqual(25 * Math.ceil(seconds + 1));
    expect(first).toBeLessThan(300);
    const again = async () => {
      await storm(20);
      return lines(ingress).length > first;
    };
    await until("failures are written again", again, 5_000, 50);
  }, 60_000);
});
