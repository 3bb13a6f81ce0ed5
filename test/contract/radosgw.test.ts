/**
 * What radosgw answers when it is idle, at its limit, and taken out by its own file. HAProxy's checks, and the stand-ins of the other
 * tests, are made after these answers.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { until } from "../lab/process.ts";
import { enterNetwork, SERVER_PORT, SERVERS } from "./_ingress.ts";
import type { Answer } from "./_peers.ts";
import { radosgwTree, startRadosgw } from "./_radosgw.ts";

let tree: string;
let leave: () => void;
beforeEach(async () => {
  tree = await radosgwTree();
  leave = await enterNetwork([]);
}, 600_000);
afterEach(() => leave());

/** Status line, kind and body, without what differs from one answer to the next. */
const shown = ({ head, body }: Answer) => ({
  line: head.split("\r\n")[0],
  type: /^content-type: (.*)$/im.exec(head)?.[1]?.trim(),
  retryAfter: /^retry-after: (.*)$/im.exec(head)?.[1],
  body: body.toString(),
});

test("radosgw tells busy from taken out by its status on the health path, and says 503 on S3 paths when busy", async () => {
  const address = SERVERS[0] as string;
  await using rgw = await startRadosgw(tree, { address, port: SERVER_PORT, maxRequests: 4 });
  const answers: Record<string, unknown> = {
    "idle, health": shown(await rgw.ask("/swift/healthcheck")),
    "idle, /": shown(await rgw.ask("/")),
  };
  // More than the limit: what asks in the meantime may take the place of one, which then gets 503 at its end.
  const uploads = await rgw.upload(6);
  await until("radosgw is at its limit", async () => (await rgw.ask("/swift/healthcheck")).status === 498, 10_000, 20);
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
        "body": "{"Code":"ServiceUnavailable","Message":"","HostId":""}DISABLED BY FILE",
        "line": "HTTP/1.1 503 Slow Down",
        "retryAfter": undefined,
        "type": "application/json; charset=utf-8",
      },
    }
  `);
}, 120_000);
