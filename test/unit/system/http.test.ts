import { expect, test } from "bun:test";
import { parseHttpText } from "../../../src/system/http.ts";

const head = (lines: string) => `HTTP/1.1 200 OK\r\n${lines}\r\n\r\n`;
const CHUNKED = head("transfer-encoding: chunked");

test.each([
  ["ends with its connection", `${head("content-type: text/plain")}all`, { status: 200, body: "all" }],
  ["has a length", `${head("Content-Length: 3")}all`, { status: 200, body: "all" }],
  [
    "comes in chunks",
    `${CHUNKED}4\r\nall \r\nA\r\nof it, \u00e4!\r\n0\r\n\r\n`,
    { status: 200, body: "all of it, \u00e4!" },
  ],
  ["has an empty body in chunks", `${CHUNKED}0\r\n\r\n`, { status: 200, body: "" }],
  ["is cut in its head", "HTTP/1.1 200 OK\r\nconte", { status: undefined, code: "EPROTO" }],
  ["is shorter than it says", `${head("Content-Length: 4")}all`, { status: undefined, code: "EPROTO" }],
  ["is cut in a chunk", `${CHUNKED}A\r\nall`, { status: undefined, code: "EPROTO" }],
  ["is cut before the last chunk", `${CHUNKED}3\r\nall\r\n`, { status: undefined, code: "EPROTO" }],
  ["has chunks without a length", `${CHUNKED}all of it\r\n`, { status: undefined, code: "EPROTO" }],
  ["is none", "", { status: undefined, code: "ECONNRESET" }],
] as const)("an answer that %s", (_, text, result) => {
  expect(parseHttpText(text)).toEqual(result);
});
