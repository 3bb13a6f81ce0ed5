import { expect, test } from "bun:test";
import { CONFIG_KEYS } from "../../../src/config/schema.ts";
import { configLine, harmlessLines, PIECES } from "../../../src/domain/harmless.ts";

test("every key of ober.yaml is known, and nothing else", () => {
  const filter = configLine(CONFIG_KEYS);
  expect(filter("max_connections_per_client: 500")).toBe("max_connections_per_client: 500");
  expect(filter("bgp: {local_as: 65001, peer_as: 65000}")).toBe("bgp: {local_as: 65001, peer_as: 65000}");
  expect(filter("  min_version: '1.2' # ours")).toBe("  min_version: '1.2'");
  expect(filter("my_note: hush")).toBeUndefined();
});

test("a failed request is packed without what was asked for", () => {
  const head = "Nov 27 10:00:00 n1 haproxy[12]: ";
  const line = `${head}failed: 503 SC GET s3/rgw1 request=0 queue=-1 connect=-1 response=-1 total=5 ms /bucket/my object`;
  expect(harmlessLines(line, PIECES["log.txt"] ?? (() => undefined), [])).toBe(
    `${head}failed: 503 SC GET s3/rgw1 request=0 queue=-1 connect=-1 response=-1 total=5 ms [redacted]\n`,
  );
});
