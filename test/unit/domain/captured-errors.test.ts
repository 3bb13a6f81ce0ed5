import { expect, test } from "bun:test";
import { withoutCapturedBytes } from "../../../src/domain/captured-errors.ts";

test("keeps where and when a malformed request came, and none of its bytes", () => {
  const text = withoutCapturedBytes(`Total events captured on [27/Nov/2026:01:00:00.000] : 1

[27/Nov/2026:00:59:00.000] frontend s3 (#2): invalid request
  backend <NONE> (#-1), server <NONE> (#-1), event #0, src 10.0.0.1:4711
  buffer starts at 0 (including 0 out), 16258 free,
  len 126, wraps at 16336, error at position 56

  00000  GET /b/k HTTP/1.1\\r\\n
  00019  x-amz-server-side-encryption-customer-key: cGxhbnRlZC1zZWNyZXQ
  00089+ planted-tail\\r\\n
`);
  expect(text).toContain("frontend s3 (#2): invalid request");
  expect(text).toContain("error at position 56");
  expect(text).not.toMatch(/cGxhbnRlZC1|planted|customer-key|GET/);
});
