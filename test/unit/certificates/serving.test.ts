import { describe, expect, test } from "bun:test";
import type { CertificateStatus } from "../../../src/certificates/serving.ts";
import { renewalVerdict } from "../../../src/checks/node-files.ts";
import { certificateLines } from "../../../src/ui/certificates.ts";
import { styleFor } from "../../../src/ui/output.ts";

const style = styleFor({ isTTY: false });
const now = new Date("2026-01-01T00:00:00Z");
const GOOD: CertificateStatus = {
  file: "/c/s3.pem",
  names: ["s3.example.org"],
  key: "EC prime256v1",
  issuer: '"CA"',
  notAfter: "2026-03-01T12:00:00.000Z",
  placeholder: false,
  served: true,
  problems: [],
  judge: "ober",
};
const lines = (certificate: Partial<CertificateStatus>, renewal?: Parameters<typeof certificateLines>[0]["renewal"]) =>
  certificateLines({ certificates: [{ ...GOOD, ...certificate }], renewal }, { style, now }).join("\n");

describe("a certificate is shown", () => {
  test.each<[string, string, string]>([
    [
      "with its names and what is left",
      lines({}),
      "certificate /c/s3.pem (s3.example.org; EC prime256v1) valid for 59 days",
    ],
    [
      "with what is wrong, and that HAProxy serves another one",
      lines({ names: [], served: false, problems: [{ severity: "broken", message: "it is broken", fix: "mend it" }] }),
      "certificate /c/s3.pem valid for 59 days\n  it is broken\n  HAProxy serves another one from this file\n  HAProxy cannot start or reload until this file is repaired or moved away",
    ],
    ["that is not readable", lines({ names: [], notAfter: "", served: null }), "certificate /c/s3.pem not readable"],
    [
      "that has ended",
      lines({ notAfter: "2025-12-01T00:00:00.000Z" }),
      "certificate /c/s3.pem (s3.example.org; EC prime256v1) expired",
    ],
  ])("%s", (_what, text, expected) => {
    expect(text).toBe(expected);
  });
});

describe("the renewal", () => {
  const failed = { failures: 2, error: "the CA refuses", retryAt: "2026-01-01T02:00:00.000Z" };
  const state = { failures: 0, issued: {}, ari: {} };
  test("is shown with the time, or with its failures", () => {
    expect(lines({}, { failures: 0, renewAt: "2026-02-01T00:00:00.000Z" })).toEndWith(
      "\nrenewal: at 2026-02-01T00:00:00.000Z",
    );
    expect(lines({}, failed)).toEndWith(
      "\nrenewal failed 2 times in a row: the CA refuses; again at 2026-01-01T02:00:00.000Z",
    );
  });

  test("is a warning for doctor at first, and a failure when it goes on", () => {
    expect(renewalVerdict({ ...state, renewAt: "2026-02-01" })).toEqual({ status: "pass", detail: "at 2026-02-01" });
    expect(renewalVerdict(state).status).toBe("warn");
    expect(renewalVerdict({ ...state, ...failed })).toMatchObject({
      status: "warn",
      fix: "ober certs check --dns; ober certs renew",
    });
    expect(renewalVerdict({ ...state, ...failed, failures: 5 }).status).toBe("fail");
  });
});
