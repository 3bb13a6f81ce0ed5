import { describe, expect, test } from "bun:test";
import { openVerdict } from "../../../src/checks/bgp-open.ts";
import { parseConfig } from "../../../src/config/schema.ts";
import { openMessage, parseOpen, takeMessage } from "../../../src/system/bgp-open.ts";

const MARKER = Array<number>(16).fill(255);

describe("an OPEN", () => {
  test("is as RFC 4271 and 6793 have it", () => {
    const message = [...openMessage({ as: 65001, holdTime: 3, routerId: "10.77.0.11" }, 4)];
    expect(message).toEqual([
      ...MARKER,
      0,
      45,
      1,
      4,
      0xfd,
      0xe9,
      0,
      3,
      10,
      77,
      0,
      11,
      16,
      2,
      14,
      1,
      4,
      0,
      1,
      0,
      1,
      2,
      0,
      65,
      4,
      0,
      0,
      0xfd,
      0xe9,
    ]);
  });

  test.each([65001, 23456, 4_200_000_001])("of AS %d is read as it was written", (as) => {
    const bytes = [...openMessage({ as, holdTime: 180, routerId: "192.0.2.1" }, 6)];
    const message = takeMessage(bytes);
    expect(bytes).toEqual([]);
    expect(message?.type).toBe(1);
    expect(parseOpen(message?.body ?? [])).toEqual({ as, holdTime: 180, routerId: "192.0.2.1" });
  });

  test("of a router that knows no capabilities has its AS number in two bytes", () => {
    expect(parseOpen([4, 0xfd, 0xe8, 0, 90, 10, 0, 0, 1, 0])).toEqual({
      as: 65000,
      holdTime: 90,
      routerId: "10.0.0.1",
    });
  });
});

test("messages are taken one by one, and a part of one not at all", () => {
  const [keepalive, part] = [
    [...MARKER, 0, 19, 4],
    [...MARKER, 0, 21, 3, 2],
  ];
  const bytes = [...keepalive, ...part];
  expect(takeMessage(bytes)).toEqual({ type: 4, body: [] });
  expect(takeMessage(bytes)).toBeUndefined();
  bytes.push(2);
  expect(takeMessage(bytes)).toEqual({ type: 3, body: [2, 2] });
});

describe("what the router said becomes", () => {
  const { bgp } = parseConfig(
    {
      bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] },
      vips: ["10.99.0.100"],
      backends: [{ name: "s3", servers: ["a:1"] }],
    },
    "ober.yaml",
  );
  const asked = { bgp, from: "10.0.0.11", address: "10.0.0.1", protectedBy: "", plain: undefined } as const;
  const router = { as: 65000, holdTime: 180, routerId: "10.0.0.1" };
  const secret = { ...asked, protectedBy: "the password" };
  const refused = { ok: false, reason: "refused", code: "ECONNREFUSED" } as const;

  test.each([
    [
      "a session",
      openVerdict({ end: "accepted", router, ms: 4.4 }, asked),
      "pass",
      /AS 65000 takes the session in 4 ms, hold time 3 s/,
    ],
    [
      "no hold time",
      openVerdict({ end: "accepted", router: { ...router, holdTime: 0 }, ms: 4 }, asked),
      "warn",
      /never noticed/,
    ],
    [
      "another AS here",
      openVerdict({ end: "notification", code: 2, subcode: 2, router: undefined }, asked),
      "fail",
      /refuses: the AS number is not/,
    ],
    [
      "another AS there",
      openVerdict({ end: "accepted", router: { ...router, as: 64999 }, ms: 4 }, asked),
      "fail",
      /is AS 64999, not 65000/,
    ],
    [
      "a hold time",
      openVerdict({ end: "notification", code: 2, subcode: 6, router }, asked),
      "fail",
      /the hold time is refused/,
    ],
    [
      "a closed door",
      openVerdict({ end: "closed", router: undefined }, asked),
      "fail",
      /ends the connection without a word/,
    ],
    ["nobody", openVerdict({ end: "unreachable" }, { ...asked, plain: refused }), "fail", /^port 179: refused$/],
    [
      "no key there",
      openVerdict({ end: "unreachable" }, { ...secret, plain: { ok: true, ms: 1 } }),
      "fail",
      /only without the password/,
    ],
    [
      "another key",
      openVerdict({ end: "unreachable" }, { ...secret, plain: refused }),
      "fail",
      /neither with the password nor without/,
    ],
  ] as const)("%s", (_, verdict, status, says) => {
    expect(verdict).toMatchObject({ status, detail: expect.stringMatching(says) });
  });
});
