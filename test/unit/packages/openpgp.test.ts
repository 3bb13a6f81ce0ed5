import { expect, test } from "bun:test";
import { fingerprintsOf, parseFingerprint, showFingerprint } from "../../../src/packages/openpgp.ts";

/** Made with `gpg --quick-generate-key`, which says this fingerprint. */
const FINGERPRINT = "439024DDC86CE97B2717EF877A79AA9DFE060964";
const BODY = `mDMEaweTwxYJKwYBBAHaRw8BAQdAp0k3gZyJQhkddtVRMvDETcY+Nk11cnibCFX4
ZxRxArC0FFRlc3QgPHRAZXhhbXBsZS5vcmc+iJAEExYIADgWIQRDkCTdyGzpeycX
74d6eaqd/gYJZAUCaweTwwIbAwULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAKCRB6
eaqd/gYJZNfmAQD31VYTKlhpwbAX2FeSVZ9fdYryh/J56hqbl0z8SMkYXAEA/FNI
dy660KqYJIE6HqoqC3Bxwrll3Uq1Q7DkK9EZRQ4=`;
const armour = (head: string, tail: string) =>
  `-----BEGIN PGP PUBLIC KEY BLOCK-----\n${head}\n${BODY}\n${tail}-----END PGP PUBLIC KEY BLOCK-----\n`;
const bytes = (text: string) => new TextEncoder().encode(text);

test.each([
  ["armoured", bytes(armour("", "=oeAv\n"))],
  ["armoured, with headers and without a checksum", bytes(armour("Version: 1\nComment: a key\n", ""))],
  ["armoured, with carriage returns", bytes(armour("", "=oeAv\n").replaceAll("\n", "\r\n"))],
  ["binary", new Uint8Array(Buffer.from(BODY, "base64"))],
])("a key that is %s has the fingerprint that gpg shows", (_, file) => {
  expect(fingerprintsOf(file)).toEqual([FINGERPRINT]);
});

test("a file of two keys has two fingerprints", () => {
  expect(fingerprintsOf(bytes(armour("", "=oeAv\n").repeat(2)))).toEqual([FINGERPRINT, FINGERPRINT]);
});

test.each(["", "no key", "<html>-----BEGIN PGP PUBLIC KEY BLOCK-----</html>", armour("", "").replace("mDME", "!!!!")])(
  "%p has none",
  (text) => {
    expect(fingerprintsOf(bytes(text))).toEqual([]);
  },
);

test("a key that is cut off anywhere has its fingerprint or none, never another", () => {
  const whole = Buffer.from(BODY, "base64");
  for (let length = 0; length < whole.length; length++) {
    expect([[], [FINGERPRINT]]).toContainEqual([...fingerprintsOf(whole.subarray(0, length))]);
  }
});

test("a fingerprint is read as people write it, and only a whole one", () => {
  const written = "4390 24dd C86C E97B 2717  EF87 7A79 AA9D FE06 0964";
  expect(parseFingerprint(written)).toBe(FINGERPRINT);
  expect(parseFingerprint("FE060964")).toBeUndefined();
  expect(parseFingerprint(`${FINGERPRINT}0`)).toBeUndefined();
  expect(showFingerprint(FINGERPRINT)).toBe("4390 24DD C86C E97B 2717 EF87 7A79 AA9D FE06 0964");
});
