import { expect, test } from "bun:test";
import { namesVerdict } from "../../../src/checks/backends.ts";

const AT = "2026-11-26T10:00:00.000Z";
const THREE_HOURS_LATER = Date.parse("2026-11-26T13:00:00.000Z");
const servers = [{ backend: "s3", name: "rgw1:7480", host: "rgw1", port: 7480 }];
const live = [
  {
    backend: "s3",
    name: "rgw1:7480",
    address: "10.0.0.1",
    opState: 2,
    adminState: 0,
    weight: 1,
    configuredWeight: 1,
  },
];
const known = { address: "10.0.0.1", at: AT };
const verdict = (seen: Partial<Parameters<typeof namesVerdict>[0]>) =>
  namesVerdict(
    { servers, live, states: new Map([["rgw1", known]]), now: new Map([["rgw1", ["10.0.0.1"]]]), ...seen },
    THREE_HOURS_LATER,
  );

test("names that resolve to what HAProxy uses are well", () => {
  expect(verdict({}).status).toBe("pass");
});

test("a name without an address is named, with what to look at", () => {
  const states = new Map([["rgw1", { problem: "no answer from DNS within 3 s" }]]);
  expect(verdict({ states })).toEqual({
    status: "warn",
    detail: "rgw1: name does not resolve (no answer from DNS within 3 s); tried again every 2 s",
    fix: "correct DNS or /etc/hosts (getent ahosts rgw1): HAProxy takes the address within 10 s",
  });
});

test("an address from before is said with its age", () => {
  const states = new Map([["rgw1", { ...known, problem: "no answer from DNS within 3 s" }]]);
  expect(verdict({ states }).detail).toBe("rgw1: address from 3h ago, no answer from DNS within 3 s");
});

test("a name that has moved is said with the way to the new address", () => {
  expect(verdict({ now: new Map([["rgw1", ["10.0.0.5", "10.0.0.6"]]]) })).toEqual({
    status: "warn",
    detail: "rgw1:7480 has moved to 10.0.0.5, 10.0.0.6; HAProxy uses 10.0.0.1, which it had 3h ago",
    fix: "ober restart --reload-only; `resolve: follow` in the backend group does it by itself",
  });
});

test("a name that has more addresses than HAProxy uses is said with them; one of the other family is none of them", () => {
  expect(verdict({ now: new Map([["rgw1", ["10.0.0.5", "10.0.0.1", "2001:db8::1"]]]) })).toMatchObject({
    status: "warn",
    detail: "rgw1:7480 has 10.0.0.5 too, which HAProxy does not use",
  });
  expect(verdict({ now: new Map([["rgw1", ["10.0.0.1", "2001:db8::1"]]]) }).status).toBe("pass");
});

test("servers that a name does not need are no addresses that it has left", () => {
  const [first] = live;
  const unneeded = { ...first, name: "rgw1_7480-2", address: "192.0.2.1", adminState: 1 } as (typeof live)[number];
  const both = [...servers, { backend: "s3", name: "rgw1_7480-2", host: "rgw1", port: 7480 }];
  expect(verdict({ servers: both, live: [...live, unneeded] }).status).toBe("pass");
});

test("a name that does not answer now and one that HAProxy does not know are not said to have moved", () => {
  expect(verdict({ now: new Map() }).status).toBe("pass");
  expect(verdict({ live: [], now: new Map([["rgw1", ["10.0.0.5"]]]) }).status).toBe("pass");
});
