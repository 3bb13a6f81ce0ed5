/**
 * What radosgw answers when it is idle, at its limit, and taken out by its own file. HAProxy's checks, and the stand-ins of the other
 * tests, are made after these answers.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { customerKey } from "../../src/checks/object.ts";
import { parseConfig } from "../../src/config/schema.ts";
import { rgwState } from "../../src/domain/rgw.ts";
import { serverRows } from "../../src/haproxy/socket.ts";
import { cephHalves } from "../../src/render/ceph.ts";
import { signedHeaders } from "../../src/system/s3.ts";
import { until } from "../lab/process.ts";
import { enterNetwork, SERVER_PORT, SERVERS, startIngress } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { type Answer, get, request } from "./_peers.ts";
import { radosgwTree, startRadosgw, USER } from "./_radosgw.ts";

/** The oldest and the newest HAProxy; what lies between is in busy.test.ts, with the answers that are recorded here. */
const TREES = PARSER_TREES.filter((_, index) => index === 0 || index === PARSER_TREES.length - 1);

let tree: string;
let leave: () => void;
beforeEach(async () => {
  tree = await radosgwTree();
  leave = await enterNetwork(TREES);
}, 600_000);
afterEach(() => leave());

/** Status line, kind and body by its length: with its file there, radosgw 18.2.7 sends some bytes more, or does not. */
const shown = ({ head, body }: Answer) => ({
  line: head.split("\r\n")[0],
  type: /^content-type: (.*)$/im.exec(head)?.[1]?.trim(),
  retryAfter: /^retry-after: (.*)$/im.exec(head)?.[1],
  body: body.toString("utf8", 0, Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? body.length)),
});

test("radosgw tells busy from taken out by its status on the health path, and says 503 on S3 paths when busy", async () => {
  const address = SERVERS[0] as string;
  await using rgw = await startRadosgw(tree, { address, port: SERVER_PORT, maxRequests: 4 });
  const answers: Record<string, unknown> = {
    "idle, health": shown(await rgw.ask("/swift/healthcheck")),
    "idle, /": shown(await rgw.ask("/")),
  };
  // More than the limit: what asks in the meantime may take the place of one, which then gets 503 at its end.
  const uploads = await rgw.upload(12);
  let inARow = 0;
  const atLimit = async () => {
    inARow = (await rgw.ask("/swift/healthcheck")).status === 498 ? inARow + 1 : 0;
    return inARow === 3;
  };
  await until("radosgw is at its limit", atLimit, 10_000, 20);
  answers["busy, health"] = shown(await rgw.ask("/swift/healthcheck"));
  answers["busy, /"] = shown(await rgw.ask("/"));
  answers["busy, object"] = shown(await rgw.ask("/bucket/object"));
  rgw.disable(true);
  answers["busy and its file is there, health"] = shown(await rgw.ask("/swift/healthcheck"));
  const statuses = await uploads.finish();
  expect(statuses.filter((status) => status === 200)).toHaveLength(4);
  answers["its file is there, health"] = shown(await rgw.ask("/swift/healthcheck"));
  answers["its file is there, /"] = shown(await rgw.ask("/"));
  rgw.disable(false);
  expect((await rgw.ask("/swift/healthcheck")).status).toBe(200);
  expect(answers).toMatchInlineSnapshot(`
    {
      "busy and its file is there, health": {
        "body": "{"Code":"Rate Limited","Message":"","HostId":""}",
        "line": "HTTP/1.1 498 Rate Limited",
        "retryAfter": undefined,
        "type": "application/json; charset=utf-8",
      },
      "busy, /": {
        "body": "<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message></Message><HostId></HostId></Error>",
        "line": "HTTP/1.1 503 Slow Down",
        "retryAfter": undefined,
        "type": "application/xml",
      },
      "busy, health": {
        "body": "{"Code":"Rate Limited","Message":"","HostId":""}",
        "line": "HTTP/1.1 498 Rate Limited",
        "retryAfter": undefined,
        "type": "application/json; charset=utf-8",
      },
      "busy, object": {
        "body": "<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message></Message><HostId></HostId></Error>",
        "line": "HTTP/1.1 503 Slow Down",
        "retryAfter": undefined,
        "type": "application/xml",
      },
      "idle, /": {
        "body": 
    "26
    <?xml version="1.0" encoding="UTF-8"?>
    b0
    <ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>anonymous</ID><DisplayName></DisplayName></Owner><Buckets></Buckets></ListAllMyBucketsResult>
    0

    "
    ,
        "line": "HTTP/1.1 200 OK",
        "retryAfter": undefined,
        "type": "application/xml",
      },
      "idle, health": {
        "body": "",
        "line": "HTTP/1.1 200 OK",
        "retryAfter": undefined,
        "type": "application/xml",
      },
      "its file is there, /": {
        "body": 
    "26
    <?xml version="1.0" encoding="UTF-8"?>
    b0
    <ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>anonymous</ID><DisplayName></DisplayName></Owner><Buckets></Buckets></ListAllMyBucketsResult>
    0

    "
    ,
        "line": "HTTP/1.1 200 OK",
        "retryAfter": undefined,
        "type": "application/xml",
      },
      "its file is there, health": {
        "body": "{"Code":"ServiceUnavailable","Message":"","HostId":""}",
        "line": "HTTP/1.1 503 Slow Down",
        "retryAfter": undefined,
        "type": "application/json; charset=utf-8",
      },
    }
  `);
}, 120_000);

test.each(TREES.map((parser) => [parser.name, parser] as const))(
  "HAProxy of %s keeps a busy radosgw, sends nothing to one that its file takes out, and takes it back",
  async (_, parser) => {
    const address = SERVERS[0] as string;
    await using rgw = await startRadosgw(tree, { address, port: SERVER_PORT, maxRequests: 4 });
    await using ingress = await startIngress(parser, { edit: [["inter 1000ms", "inter 100ms"]] });
    const becomes = (state: string) =>
      until(
        `HAProxy says ${state}`,
        async () => serverRows(await ingress.stat(), "s3").some((row) => rgwState(row).state === state),
        10_000,
        20,
      );
    await becomes("serves");
    const uploads = await rgw.upload(6);
    await becomes("busy");
    const refused = await request(get("/bucket/object"));
    expect([refused.status, /^retry-after: 5$/im.test(refused.head), refused.body.toString()]).toEqual([
      503,
      true,
      expect.stringContaining("<Code>SlowDown</Code>"),
    ]);
    await uploads.finish();
    await becomes("serves");
    rgw.disable(true);
    await becomes("drained");
    rgw.disable(false);
    await becomes("serves");
    // The path that needs no permissions.
    expect((await request(get("/"))).status).toBe(200);
  },
  60_000,
);

const NAME = "s3.example.org";
const VISITOR = "192.0.2.7";

/** What `ober ceph-config` prints for a group with this name; the file is below `directory`. */
function told(directory: string): Readonly<Record<string, string>> {
  const bgp = { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] };
  const backends = [{ name: "s3", servers: ["rgw1:7480"], max_requests: 100 }];
  const config = parseConfig({ bgp, vips: ["10.99.0.100"], s3_names: [NAME], backends }, "ober.yaml");
  const options = (cephHalves(config)[0]?.settings ?? []).map(({ option, value }): [string, string] => [
    option,
    value.replace("/var/lib/ceph/radosgw", directory),
  ]);
  // What Ceph 18 does not know yet stops no radosgw, and is not tried here.
  return Object.fromEntries(options.filter(([option]) => option !== "rgw_graceful_stop"));
}

test("radosgw that is told what `ober ceph-config` prints does it, and one that is not told does not", async () => {
  const address = SERVERS[0] as string;
  const here = { to: address, port: SERVER_PORT };
  const body = new TextEncoder().encode("x");
  const put = (path: string, { query = "", content = body, more = {}, plain = "" } = {}) => {
    const host = `${address}:${SERVER_PORT}`;
    const signed = signedHeaders({
      method: "PUT",
      path,
      query,
      body: content,
      host,
      credentials: USER,
      at: new Date(),
      more,
    });
    const lines = Object.entries({ ...signed, host }).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `PUT ${path}${query === "" ? "" : `?${query.replace(/=$/, "")}`} HTTP/1.1\r\n${lines.join("")}${plain}Content-Length: ${content.length}\r\n\r\n`;
    return request(Buffer.concat([Buffer.from(head), content]), here);
  };
  const forHost = async (host: string) => (await request(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`, here)).status;
  const policy = JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Principal: "*",
        Action: "s3:GetObject",
        Resource: "arn:aws:s3:::bucket/*",
        Condition: { IpAddress: { "aws:SourceIp": `${VISITOR}/32` } },
      },
    ],
  });
  const answers = async () => ({
    "its name": await forHost(NAME),
    "another name": await forHost("s3.example.net"),
    "no bucket below it": await forHost(`ober-doctor-asks-for-no-bucket.${NAME}`),
    "an address": await forHost(address),
    "the client's own key": (
      await put("/bucket/own-key", { more: customerKey(new Uint8Array(32)), plain: "X-Forwarded-Proto: https\r\n" })
    ).status,
    "a policy": (await put("/bucket", { query: "policy=", content: new TextEncoder().encode(policy) })).status,
    "an object": (await put("/bucket/object")).status,
    "the object for the visitor": (await request(get("/bucket/object", `X-Forwarded-For: ${VISITOR}\r\n`), here))
      .status,
    "the object for others": (await request(get("/bucket/object", "X-Forwarded-For: 192.0.2.8\r\n"), here)).status,
  });
  const options = told(`/tmp/ober-radosgw-${process.pid}`);
  const seen: Record<string, unknown> = {};
  {
    await using rgw = await startRadosgw(tree, { address, port: SERVER_PORT, maxRequests: 100, more: options });
    // `Host` without the name is S3 itself only as an address.
    seen["told"] = await answers();
    mkdirSync(`${rgw.outside}/ceph-rgw.local`, { recursive: true });
    const disabled = `${rgw.outside}/ceph-rgw.local/disabled`;
    writeFileSync(disabled, "");
    expect((await rgw.ask("/swift/healthcheck")).status).toBe(503);
    rmSync(disabled);
    expect((await rgw.ask("/swift/healthcheck")).status).toBe(200);
  }
  {
    await using _rgw = await startRadosgw(tree, { address, port: SERVER_PORT, maxRequests: 100 });
    seen["not told"] = await answers();
  }
  expect(seen).toMatchInlineSnapshot();
}, 120_000);
