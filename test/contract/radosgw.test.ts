/**
 * What radosgw answers when it is idle, at its limit, and taken out by its own file. HAProxy's checks, and the stand-ins of the other
 * tests, are made after these answers.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  /** A signed upload with a key of the client's own, and with what HAProxy says of the client. */
  const putByOwnKey = () => {
    const [host, path, body] = [`${address}:${SERVER_PORT}`, "/bucket/own-key", new TextEncoder().encode("x")];
    const more = customerKey(new Uint8Array(32));
    const signed = signedHeaders({ method: "PUT", path, body, host, credentials: USER, at: new Date(), more });
    const said = { ...signed, "x-forwarded-proto": "https", "x-forwarded-for": VISITOR, "content-length": "1" };
    const lines = Object.entries(said).map(([name, value]) => `${name}: ${value}\r\n`);
    return request(`PUT ${path} HTTP/1.1\r\n${lines.join("")}\r\nx`, here);
  };
  const forHost = async (host: string) => (await request(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`, here)).status;
  const operations = "operations.log";
  const logged = (outside: string) => readFileSync(`${outside}/${operations}`, "utf8");
  const answers = async ({ outside }: { readonly outside: string }) => ({
    "its name": await forHost(NAME),
    "another name": await forHost("s3.example.net"),
    "no bucket below it": await forHost(`ober-doctor-asks-for-no-bucket.${NAME}`),
    "an address": await forHost(address),
    "the client's own key": (await putByOwnKey()).status,
    "is the client's address": logged(outside).includes(VISITOR),
  });
  const inside = `/tmp/ober-radosgw-${process.pid}`;
  const log = {
    rgw_enable_ops_log: "true",
    rgw_ops_log_rados: "false",
    rgw_ops_log_file_path: `${inside}/${operations}`,
  };
  const seen: Record<string, unknown> = {};
  {
    await using rgw = await startRadosgw(tree, {
      address,
      port: SERVER_PORT,
      maxRequests: 100,
      more: { ...log, ...told(inside) },
    });
    seen["told"] = await answers(rgw);
    mkdirSync(`${rgw.outside}/ceph-rgw.local`, { recursive: true });
    const disabled = `${rgw.outside}/ceph-rgw.local/disabled`;
    writeFileSync(disabled, "");
    expect((await rgw.ask("/swift/healthcheck")).status).toBe(503);
    rmSync(disabled);
    expect((await rgw.ask("/swift/healthcheck")).status).toBe(200);
  }
  {
    await using rgw = await startRadosgw(tree, { address, port: SERVER_PORT, maxRequests: 100, more: log });
    seen["not told"] = await answers(rgw);
  }
  expect(seen).toMatchInlineSnapshot(`
    {
      "not told": {
        "an address": 200,
        "another name": 200,
        "is the client's address": false,
        "its name": 200,
        "no bucket below it": 200,
        "the client's own key": 400,
      },
      "told": {
        "an address": 200,
        "another name": 404,
        "is the client's address": true,
        "its name": 200,
        "no bucket below it": 404,
        "the client's own key": 200,
      },
    }
  `);
}, 120_000);
