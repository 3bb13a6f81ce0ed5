/**
 * The same bytes to radosgw itself and to the VIP: the same status, body and headers come back, but for the differences that are named
 * here. Clients of every kind depend on it, and what HAProxy takes or refuses changes with its versions.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { until } from "../lab/process.ts";
import {
  bytesOf,
  type Header,
  HOST,
  presigned,
  type Said,
  type Sending,
  send,
  signedByHeader,
} from "./_differential.ts";
import { enterNetwork, type Ingress, SERVER_PORT, SERVERS, startIngress, VIPS } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { get, request } from "./_peers.ts";
import { radosgwTree, startRadosgw, USER } from "./_radosgw.ts";

const RGW = { to: SERVERS[0] ?? "", port: SERVER_PORT } as const;
const VIP = { to: VIPS[0], port: 443 } as const;

/** Of the connection and not of the message, or new in each answer. */
const OWN_OF_EACH = ["date", "connection", "keep-alive", "x-amz-request-id", "x-trans-id", "x-openstack-request-id"];

/** An answer without what is new in each. Names of headers have the letters that RGW gives them. */
function comparable({ interim, status, headers, body }: Said) {
  const kept = headers
    .filter(([name]) => !OWN_OF_EACH.includes(name.toLowerCase()))
    .sort(([a, x], [b, y]) => (a < b || (a === b && x < y) ? -1 : 1));
  const same = body
    .replace(/<RequestId>[^<]*<\/RequestId>/, "<RequestId/>")
    .replace(/<HostId>[^<]*<\/HostId>/, "<HostId/>")
    .replace(/<UploadId>[^<]*<\/UploadId>/, "<UploadId/>")
    .replace(/<LastModified>[^<]*<\/LastModified>/g, "<LastModified/>");
  // The identifier in an error has not always the same length.
  const lengths =
    status < 300 && !/UploadId|LastModified/.test(same) ? kept : kept.filter(([name]) => name !== "Content-Length");
  return { interim, status, headers: lengths.filter(([name]) => name !== "Last-Modified"), body: same };
}

const signed = (method: string, target: string, headers: readonly Header[] = [], body = "") =>
  bytesOf(
    method,
    target,
    [
      ...signedByHeader({ method, target, headers, credentials: USER, at: new Date() }),
      ...(body === "" && !/^(PUT|POST)$/.test(method) ? [] : [["content-length", String(body.length)] as const]),
    ],
    body,
  );
const bySignedQuery = (method: string, target: string, body = "") =>
  bytesOf(
    method,
    presigned({ method, target, credentials: USER, at: new Date() }),
    [["Host", HOST], ...(body === "" ? [] : [["Content-Length", String(body.length)] as const])],
    body,
  );

/** Keys as they stand in a request, percent-encoded where a client would do it. */
const KEYS = [
  "plain",
  "a/b/c",
  "a//b",
  "a///b/",
  "trailing/",
  "./a",
  "../a",
  "a/../b",
  "a/./b",
  "%2e%2e/a",
  "a/%2E%2E/b",
  "..",
  "...",
  "a%2Fb",
  "a%2fb",
  "%2F",
  "%2Fa",
  "a%20b",
  "a+b",
  "a%2Bb",
  "a%2bb",
  "%20",
  "%20a%20",
  "a%25b",
  "a%2520b",
  "%25",
  "%2525",
  "a%23b",
  "a%3Fb",
  "a%3fb?x-id=GetObject",
  "a%26b",
  "a%3Db",
  "a=b",
  "a&b",
  "a;b",
  "a:b",
  "a@b",
  "a,b",
  "a$b",
  "a!b",
  "a*b",
  "a'b",
  "(a)",
  "a~b",
  "a%7Eb",
  "%C3%A9",
  "%c3%a9",
  "e%CC%81",
  "%E4%BD%A0%E5%A5%BD",
  "%F0%9F%90%98",
  "%22a%22",
  "%3Ca%3E",
  "%5Ba%5D",
  "%7Ba%7D",
  "a%7Cb",
  "a%5Cb",
  "a%5Eb",
  "a%60b",
  "%09",
  "a%0Ab",
  "a%0D%0Ab",
  "%7F",
  "%FF%FE",
  "k".repeat(200),
  `${"d/".repeat(50)}k`,
  "a.b_c-d",
];

const METADATA: readonly Header[] = Array.from({ length: 400 }, (_, index) => [
  `x-amz-meta-${String(index).padStart(3, "0")}`,
  String(index),
]);

const HOST_LINE: Header = ["Host", HOST];
const UNSIGNED = (target: string, headers: readonly Header[] = [], method = "GET", body = "") =>
  bytesOf(method, target, [HOST_LINE, ...headers], body);
const raw = (text: string) => Buffer.from(text, "latin1");

type Case = readonly [what: string, bytes: () => Buffer, options?: Omit<Sending, "to" | "port">];

const METHODS: readonly Case[] = [
  ...["GET", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get", "COPY", "LINK"].map(
    (method): Case => [`${method} of an object that is not there`, () => signed(method, "/bucket/none")],
  ),
  ["HEAD of an object that is not there", () => signed("HEAD", "/bucket/none"), { bodiless: true }],
  ["PUT without a body", () => signed("PUT", "/bucket/empty")],
  ["POST without a body", () => signed("POST", "/bucket/empty")],
  ["POST ?uploads", () => signed("POST", "/bucket/upload?uploads")],
  ["POST ?delete", () => signed("POST", "/bucket?delete", [], "<Delete><Object><Key>none</Key></Object></Delete>")],
  [
    "POST of a completion that names nothing",
    () => signed("POST", "/bucket/upload?uploadId=none", [], "<CompleteMultipartUpload/>"),
  ],
  ["DELETE of an upload that is not there", () => signed("DELETE", "/bucket/upload?uploadId=none")],
  ["PUT that copies", () => signed("PUT", "/bucket/copy", [["x-amz-copy-source", "/bucket/object"]])],
  ["GET of the buckets", () => signed("GET", "/")],
  ["GET of a list", () => signed("GET", "/bucket?list-type=2&prefix=a%2F&delimiter=%2F")],
  ["GET of a range", () => signed("GET", "/bucket/object", [["range", "bytes=2-4"]])],
  ["GET of a range that is not there", () => signed("GET", "/bucket/object", [["range", "bytes=999-"]])],
  [
    "GET that has not changed",
    () => signed("GET", "/bucket/object", [["if-none-match", '"5d41402abc4b2a76b9719d911017c592"']]),
  ],
  ["GET that must match", () => signed("GET", "/bucket/object", [["if-match", '"0"']])],
  ["HEAD of an object", () => signed("HEAD", "/bucket/object"), { bodiless: true }],
  ["GET by a signed query", () => bySignedQuery("GET", "/bucket/object?response-content-type=text/plain")],
  ["PUT by a signed query", () => bySignedQuery("PUT", "/bucket/presigned", "hello")],
  ["HEAD by a signed query", () => bySignedQuery("HEAD", "/bucket/object"), { bodiless: true }],
  ["GET with a wrong signature", () => signed("GET", "/bucket/object").fill("0", 30, 31)],
  ["GET without a signature", () => UNSIGNED("/bucket/object")],
  ["GET of Swift's information", () => UNSIGNED("/swift/info")],
  ["GET of Swift's account without a token", () => UNSIGNED("/swift/v1/a")],
  [
    "preflight",
    () =>
      UNSIGNED(
        "/bucket/object",
        [
          ["Origin", "https://a.example"],
          ["Access-Control-Request-Method", "PUT"],
        ],
        "OPTIONS",
      ),
  ],
];

const upload = (name: string, headers: readonly Header[], body: string) => {
  const target = `/bucket/${name}`;
  return bytesOf(
    "PUT",
    target,
    [...signedByHeader({ method: "PUT", target, credentials: USER, at: new Date() }), ...headers],
    body,
  );
};
const CHUNKED: Header = ["Transfer-Encoding", "chunked"];
const FRAMINGS: readonly Case[] = [
  ["a length", () => upload("framed", [["Content-Length", "5"]], "hello")],
  ["a length of zero", () => upload("framed", [["Content-Length", "0"]], "")],
  ["no length and no body", () => upload("framed", [], "")],
  ["chunks", () => upload("framed", [CHUNKED], "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")],
  ["chunks with extensions", () => upload("framed", [CHUNKED], "2;a=b\r\nhe\r\n3;c\r\nllo\r\n0\r\n\r\n")],
  [
    "chunks and a trailer",
    () => upload("framed", [CHUNKED, ["Trailer", "x-checksum"]], "5\r\nhello\r\n0\r\nx-checksum: 1\r\n\r\n"),
  ],
  ["no chunk but the last", () => upload("framed", [CHUNKED], "0\r\n\r\n")],
  ["a chunk's size that is none", () => upload("framed", [CHUNKED], "zz\r\nhello\r\n0\r\n\r\n")],
  ["Chunked in other letters", () => upload("framed", [["Transfer-Encoding", "Chunked"]], "5\r\nhello\r\n0\r\n\r\n")],
  [
    "100-continue",
    () =>
      upload(
        "framed",
        [
          ["Content-Length", "5"],
          ["Expect", "100-continue"],
        ],
        "",
      ),
    { onContinue: raw("hello") },
  ],
  [
    "100-continue that is refused",
    () =>
      UNSIGNED(
        "/none/k",
        [
          ["Content-Length", "5"],
          ["Expect", "100-continue"],
        ],
        "PUT",
      ),
  ],
  [
    "an expectation that nobody knows",
    () =>
      upload(
        "framed",
        [
          ["Content-Length", "5"],
          ["Expect", "wonders"],
        ],
        "hello",
      ),
  ],
  [
    "the length twice, the same",
    () =>
      upload(
        "framed",
        [
          ["Content-Length", "5"],
          ["Content-Length", "5"],
        ],
        "hello",
      ),
  ],
  [
    "the length twice, two lengths",
    () =>
      upload(
        "framed",
        [
          ["Content-Length", "5"],
          ["Content-Length", "6"],
        ],
        "hello!",
      ),
  ],
  ["a length and chunks", () => upload("framed", [["Content-Length", "5"], CHUNKED], "5\r\nhello\r\n0\r\n\r\n")],
  ["a length with a sign", () => upload("framed", [["Content-Length", "+5"]], "hello")],
  ["a length below zero", () => upload("framed", [["Content-Length", "-5"]], "hello")],
  ["a length that is a word", () => upload("framed", [["Content-Length", "five"]], "hello")],
  [
    "two requests at once",
    () => Buffer.concat([signed("GET", "/bucket/object"), signed("GET", "/bucket/none")]),
    { answers: 2 },
  ],
  [
    "an upload and a request at once",
    () => Buffer.concat([upload("framed", [["Content-Length", "5"]], "hello"), signed("GET", "/bucket/object")]),
    { answers: 2 },
  ],
  [
    "HTTP/1.0",
    () =>
      bytesOf(
        "GET",
        "/bucket/object",
        signedByHeader({ method: "GET", target: "/bucket/object", credentials: USER, at: new Date() }),
        "",
        "HTTP/1.0",
      ),
  ],
  ["HTTP/1.0 without a Host", () => raw("GET /bucket/object HTTP/1.0\r\n\r\n")],
  ["HTTP/1.1 without a Host", () => raw("GET /bucket/object HTTP/1.1\r\n\r\n")],
  ["two Hosts", () => raw(`GET /bucket/object HTTP/1.1\r\nHost: ${HOST}\r\nHost: b.example\r\n\r\n`)],
  ["an empty Host", () => raw("GET /bucket/object HTTP/1.1\r\nHost:\r\n\r\n")],
  ["HTTP/1.2", () => raw(`GET /bucket/object HTTP/1.2\r\nHost: ${HOST}\r\n\r\n`)],
  ["the absolute form", () => raw(`GET http://${HOST}/bucket/object HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`)],
  ["the asterisk form", () => raw(`OPTIONS * HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`)],
  ["an empty line before the request", () => Buffer.concat([raw("\r\n"), signed("GET", "/bucket/object")])],
  ["lines that end without CR", () => raw(`GET /bucket/object HTTP/1.1\nHost: ${HOST}\n\n`)],
  ["a blank before the colon", () => raw(`GET /bucket/object HTTP/1.1\r\nHost: ${HOST}\r\nX-A : b\r\n\r\n`)],
  [
    "a header that goes on in the next line",
    () => raw(`GET /bucket/object HTTP/1.1\r\nHost: ${HOST}\r\nX-A: b\r\n c\r\n\r\n`),
  ],
  ["a header without a value", () => UNSIGNED("/bucket/object", [["X-A", ""]])],
  ["a header of Latin-1", () => UNSIGNED("/bucket/object", [["X-A", "\xe9"]])],
  ["an underscore in a header's name", () => UNSIGNED("/bucket/object", [["X_A", "b"]])],
  ["Connection: close", () => UNSIGNED("/bucket/object", [["Connection", "close"]])],
  ["a half-close after the request", () => signed("GET", "/bucket/object"), { halfClose: true }],
  ["a half-close after an upload", () => upload("framed", [["Content-Length", "5"]], "hello"), { halfClose: true }],
  ["a half-close after chunks", () => upload("framed", [CHUNKED], "5\r\nhello\r\n0\r\n\r\n"), { halfClose: true }],
  ["raw UTF-8 in the path", () => signed("GET", "/bucket/\xc3\xa9")],
  ["raw UTF-8 in the query", () => signed("GET", "/bucket?prefix=\xc3\xa9")],
  ["# in the path", () => signed("GET", "/bucket/a#b")],
  ["a blank in the path", () => raw(`GET /bucket/a b HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`)],
  ["a control character in the path", () => UNSIGNED("/bucket/a\x01b")],
  ["a path of 8 kB", () => UNSIGNED(`/bucket/${"k".repeat(8_000)}`)],
  ["400 metadata entries", () => signed("PUT", "/bucket/metadata", METADATA, "hello")],
  ["an object with 400 metadata entries", () => signed("GET", "/bucket/metadata")],
  ["HEAD of an object with 400 metadata entries", () => signed("HEAD", "/bucket/metadata"), { bodiless: true }],
  ["15 kB of headers", () => UNSIGNED("/bucket/object", [["X-A", "a".repeat(15_000)]])],
  ["20 kB of headers", () => UNSIGNED("/bucket/object", [["X-A", "a".repeat(20_000)]])],
  [
    "60 kB of headers",
    () =>
      UNSIGNED(
        "/bucket/object",
        Array.from({ length: 60 }, (_, i): Header => [`X-A${i}`, "a".repeat(1_000)]),
      ),
  ],
  [
    "120 kB of headers",
    () =>
      UNSIGNED(
        "/bucket/object",
        Array.from({ length: 120 }, (_, i): Header => [`X-A${i}`, "a".repeat(1_000)]),
      ),
  ],
];

/** HAProxy says 400 itself, with a body, where RGW's parser says it without one; RGW ends the connection too. */
const OWN_400 = { rgw: 400, vip: [400], why: "HAProxy refuses it in its own words" } as const;

/** Where the answers differ, and why that is right. The statuses are those of RGW and VIP; a version may do what RGW does. */
const DIFFERENCES: Readonly<
  Record<string, { readonly rgw: number; readonly vip: readonly number[]; readonly why: string }>
> = {
  "a chunk's size that is none": { rgw: 500, vip: [400], why: "HAProxy's answer is the better one" },
  "Chunked in other letters": { rgw: 411, vip: [411, 200], why: "the name of a coding has no case (RFC 9112, 7)" },
  // HAProxy 3.4 ends the connection without a word.
  "the length twice, two lengths": { rgw: 400, vip: [400, 0], why: "no two programs agree where such a message ends" },
  "a length and chunks": { rgw: 400, vip: [200], why: "HAProxy takes the length away, as RFC 9112 (6.3) wants" },
  "a length with a sign": OWN_400,
  "a length below zero": OWN_400,
  "a length that is a word": OWN_400,
  "two Hosts": { rgw: 403, vip: [400], why: "RFC 9112 (3.2) wants 400" },
  "HTTP/1.2": { rgw: 400, vip: [403], why: "HAProxy speaks HTTP/1.1 to RGW" },
  "an empty line before the request": { rgw: 400, vip: [200], why: "RFC 9112 (2.2) wants it ignored" },
  "lines that end without CR": { rgw: 400, vip: [403], why: "HAProxy writes its own lines to RGW" },
  "a blank before the colon": OWN_400,
  "raw UTF-8 in the path": { rgw: 404, vip: [400], why: "no byte of a target that RFC 3986 forbids: see clients.md" },
  "raw UTF-8 in the query": { rgw: 200, vip: [400], why: "as in the path" },
  "# in the path": { rgw: 404, vip: [400], why: "as in the path" },
  "a blank in the path": OWN_400,
  "a control character in the path": OWN_400,
};

describe.each(
  PARSER_TREES.filter((_, index) => index === 0 || index === PARSER_TREES.length - 1).map(
    (tree) => [tree.name, tree] as const,
  ),
)("%s", (_, tree) => {
  let leave: () => void;
  let ingress: Ingress;
  let rgw: Awaited<ReturnType<typeof startRadosgw>>;
  beforeAll(async () => {
    const tools = await radosgwTree();
    leave = await enterNetwork([tree]);
    rgw = await startRadosgw(tools, { address: RGW.to, port: RGW.port, maxRequests: 64 });
    ingress = await startIngress(tree);
    await until("the VIP serves", async () => (await request(get("/swift/info"))).status === 200, 10_000);
    const [made] = await send(signed("PUT", "/bucket/object", [], "hello"), RGW);
    expect(made?.status).toBe(200);
  }, 600_000);
  afterAll(async () => {
    await ingress?.[Symbol.asyncDispose]();
    await rgw?.[Symbol.asyncDispose]();
    leave?.();
  });

  const both = async (bytes: () => Buffer, options: Case[2] = {}) => {
    // One after the other: what the first changes is what the second finds, and most requests here change nothing.
    const direct = await send(bytes(), { ...options, ...RGW });
    const proxied = await send(bytes(), { ...options, ...VIP });
    return { direct: direct.map(comparable), proxied: proxied.map(comparable) };
  };

  test.each([...METHODS, ...FRAMINGS].map(([what, bytes, options = {}]) => [what, bytes, options] as const))(
    "%s",
    async (what, bytes, options) => {
      const { direct, proxied } = await both(bytes, options);
      const named = DIFFERENCES[what];
      if (named === undefined) return void expect(proxied).toEqual(direct);
      expect(direct[0]?.status).toBe(named.rgw);
      expect(named.vip).toContain(proxied[0]?.status as number);
    },
  );

  test.each(KEYS)("key %s", async (key) => {
    const target = `/bucket/${key}`;
    const put = await both(() => signed("PUT", target, [], key));
    expect(put.proxied).toEqual(put.direct);
    expect(put.proxied[0]?.status).toBe(key === "%FF%FE" ? 400 : 200);
    const read = await both(() => signed("GET", target));
    expect(read.proxied).toEqual(read.direct);
    const shared = await both(() => bySignedQuery("GET", target));
    expect(shared.proxied).toEqual(shared.direct);
  });

  test("more headers than RGW takes get RGW's own answer, each time", async () => {
    const wordy = (kilobytes: number) =>
      UNSIGNED(
        "/bucket/object",
        Array.from({ length: kilobytes }, (_, index): Header => [`X-A${index}`, "a".repeat(1_000)]),
      );
    const sizes = Array.from({ length: 40 }, (_, index) => 20 + 3 * index);
    const statuses = await Promise.all(sizes.map(async (size) => (await send(wordy(size), VIP))[0]?.status));
    expect(statuses).toEqual(statuses.map(() => 400));
  });
});
