import { expect, test } from "bun:test";
import { isSignedBy } from "../../../src/packages/signature.ts";

// The first test of RFC 8032, section 7.1: an empty message.
const KEY = Buffer.from("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "hex").toString("base64");
const SIGNATURE = Buffer.from(
  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  "hex",
).toString("base64");
const nothing = new Uint8Array();

test("a signature is the key's for these bytes only", () => {
  expect(isSignedBy(nothing, `${SIGNATURE}\n`, KEY)).toBe(true);
  expect(isSignedBy(new Uint8Array([0]), SIGNATURE, KEY)).toBe(false);
  expect(isSignedBy(nothing, SIGNATURE, `${KEY.slice(0, -3)}AA=`)).toBe(false);
});

test.each(["", "abc", "-----BEGIN-----", SIGNATURE.slice(4)])("%p is no signature", (text) => {
  expect(isSignedBy(nothing, text, KEY)).toBe(false);
  expect(isSignedBy(nothing, SIGNATURE, text)).toBe(false);
});
