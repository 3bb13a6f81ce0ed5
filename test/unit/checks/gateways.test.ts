import { describe, expect, test } from "bun:test";
import {
  checkGatewayNames,
  gatewayLimitsVerdict,
  gatewayNamesVerdict,
  type NameAnswer,
} from "../../../src/checks/gateways.ts";
import { ownKeyAnswer } from "../../../src/checks/object.ts";
import { parseStat } from "../../../src/haproxy/socket.ts";
import { lookAt } from "../../../src/node/sight.ts";
import { writeOwn } from "../../../src/system/own-files.ts";
import { liveNode } from "../../helpers/live-node.ts";

const FIX = "ober ceph-config prints what to tell Ceph (rgw_dns_name, or the zone group's hostnames)";
const said = (server: string, status: number | undefined, more: Partial<NameAnswer> = {}): NameAnswer => ({
  group: "s3",
  server,
  name: "s3.example.org",
  bucket: false,
  status,
  ...more,
});

describe("names at the RGWs", () => {
  test.each<[string, readonly NameAnswer[], string, string]>([
    [
      "all know it, for lists of buckets or for nobody without a signature",
      [said("rgw1:7480", 200), said("rgw2:7480", 403), said("rgw3:7480", undefined)],
      "pass",
      "s3.example.org: known to 2 RGWs that answered",
    ],
    ["none answers", [said("rgw1:7480", undefined)], "skip", "no RGW answers"],
    [
      "one has another rgw_dns_name",
      [said("rgw1:7480", 200), said("rgw2:7480", 404)],
      "warn",
      "404 for s3.example.org, which is taken for a bucket: rgw2:7480",
    ],
    [
      "it is no bucket's name either",
      [said("rgw1:7480", 400)],
      "warn",
      "400 for s3.example.org, which is taken for a bucket: rgw1:7480",
    ],
    [
      "buckets below it are not known as such",
      [said("rgw1:7480", 200), said("rgw1:7480", 200, { bucket: true }), said("rgw2:7480", 404, { bucket: true })],
      "warn",
      "a list of buckets for a bucket below s3.example.org: rgw1:7480",
    ],
  ])("%s", (_, answers, status, detail) => {
    expect(gatewayNamesVerdict(answers)).toEqual(
      status === "warn" ? { status, detail, fix: FIX } : ({ status, detail } as never),
    );
  });

  const archive = { group: "archive", server: "rgw9:7480" };
  test("a name of another group's cluster need not be known", () => {
    const answers = [
      said("rgw1:7480", 200),
      said("rgw1:7480", 404, { name: "archive.example.org" }),
      said("", 404, archive),
      said("", 200, { ...archive, name: "archive.example.org" }),
    ];
    expect(gatewayNamesVerdict(answers).status).toBe("pass");
    // A group that knows none of the names serves nobody.
    const lost = [said("rgw1:7480", 200), said("", 404, archive)];
    expect(gatewayNamesVerdict(lost)).toMatchObject({
      detail: "404 for s3.example.org, which is taken for a bucket: rgw9:7480",
    });
  });
});

/** Answers as radosgw does with this rgw_dns_name, or without any; see test/contract/radosgw.test.ts. */
function startRgw(dnsName: string | undefined) {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ headers }) =>
      new Response("", { status: [dnsName ?? headers.get("host")].includes(headers.get("host") ?? "") ? 200 : 404 }),
  });
  return { address: `127.0.0.1:${server.port}`, [Symbol.dispose]: () => void server.stop(true) };
}

describe("a node asks its RGWs", () => {
  test.each([
    ["who know the name", "s3.example.org", "s3.example.org", "pass"],
    [
      "of which one has another name",
      "s3.example.net",
      "s3.example.org",
      "404 for s3.example.org, which is taken for a bucket: 10.0.1.1:7480",
    ],
    [
      "of which one has none",
      undefined,
      "s3.example.org",
      "a list of buckets for a bucket below s3.example.org: 10.0.1.1:7480",
    ],
  ] as const)("%s", async (_, one, other, expected) => {
    using first = startRgw(one);
    using second = startRgw(other);
    using live = await liveNode({ change: (yaml) => `${yaml}s3_names: [s3.example.org]\n` });
    const row = (name: string, address: string) => `s3,${name}:7480,UP,${address},L7OK,200,0,`;
    live.haproxy.now.stat = `# pxname,svname,status,addr,check_status,check_code,scur,\n${row("10.0.1.1", first.address)}\n${row("10.0.1.2", second.address)}\n`;
    const { system, paths } = live.node;
    await writeOwn(system, paths, "certificateNames", {
      names: ["*.s3.example.org", "s3.example.org"],
      since: "2026-01-01T00:00:00.000Z",
      before: [],
    });
    const verdict = await checkGatewayNames(lookAt({ system, paths, isRoot: true }));
    expect([verdict.status, verdict.detail]).toEqual(
      expected === "pass" ? ["pass", "s3.example.org: known to 2 RGWs that answered"] : ["warn", expected],
    );
  });
});

describe("limits of the RGWs", () => {
  const rows = (...lines: readonly string[]) =>
    parseStat(`# pxname,svname,status,check_status,check_code,scur,slim,\n${lines.join("\n")}\n`);

  test("an RGW that is busy before this node has used its share has a lower limit", () => {
    expect(gatewayLimitsVerdict(rows("s3,rgw1:7480,UP,L7OK,200,12,340,", "s3,rgw2:7480,UP,L7OK,498,12,340,"))).toEqual({
      status: "warn",
      detail: "rgw2:7480 is busy with 12 requests of this node, whose share is 340",
      fix: "give the RGWs the rgw_max_concurrent_requests that ober ceph-config prints; name all nodes in nodes (ober.yaml); keep other clients away",
    });
  });

  test("one that is busy with the whole share has much to do", () => {
    expect(gatewayLimitsVerdict(rows("s3,rgw1:7480,UP,L7OK,498,340,340,")).status).toBe("pass");
  });
});

test.each([
  [200, "", { status: "pass", detail: "200 in 3 ms" }],
  [
    400,
    "<Error><Code>InvalidRequest</Code></Error>",
    {
      status: "warn",
      detail: "400 InvalidRequest: the RGWs do not believe that clients use TLS",
      fix: "ober ceph-config prints what to tell Ceph (rgw_trust_forwarded_https)",
    },
  ],
  [
    403,
    "<Error><Code>AccessDenied</Code></Error>",
    {
      status: "warn",
      detail: "403 AccessDenied in 3 ms",
      fix: "give the user of these keys the right to write into the bucket",
    },
  ],
])("an object with the client's own key: %d", (status, body, verdict) => {
  expect(ownKeyAnswer({ status, body: new TextEncoder().encode(body), ms: 3.1 })).toEqual(verdict as never);
});
