/** Which changes of haproxy.cfg need no reload. */
import { describe, expect, test } from "bun:test";
import { differenceOf, inService, serverChanges } from "../../../src/domain/server-changes.ts";
import { configuredServers, type LiveServer } from "../../../src/domain/server-state.ts";

const USUAL = "weight 100 check inter 1000ms fall 3 rise 2 slowstart 30s maxconn 1023 pool-purge-delay 20s";

const cfg = (servers: string, { balance = "leastconn", usual = USUAL, global = "descriptors 700" } = {}) => `# by ober
global
  ${global}

backend s3
  balance ${balance}
  default-server ${usual} init-addr last,192.0.2.1
${servers
  .split("\n")
  .map((line) => `  server ${line}`)
  .join("\n")}

backend archive
  balance leastconn
  default-server ${USUAL}
  server a:1 10.0.2.1:1
`;

const ONE = "10.0.1.1:7480 10.0.1.1:7480";
const TWO = "10.0.1.2:7480 10.0.1.2:7480";
const NONE = { added: [], removed: [], limited: [] };

describe("without a reload", () => {
  test.each([
    ["nothing", ONE, ONE, NONE],
    ["another order", `${ONE}\n${TWO}`, `${TWO}\n${ONE}`, NONE],
    [
      "a server more, with every keyword of default-server",
      ONE,
      `${ONE}\n${TWO}`,
      {
        ...NONE,
        added: [{ backend: "s3", name: "10.0.1.2:7480", address: "10.0.1.2", line: `10.0.1.2:7480 ${USUAL}` }],
      },
    ],
    [
      "one by IPv6 with a share of its own",
      ONE,
      `${ONE}\n2001:db8::2:7480 [2001:db8::2]:7480 maxconn 511`,
      {
        ...NONE,
        added: [
          {
            backend: "s3",
            name: "2001:db8::2:7480",
            address: "2001:db8::2",
            line: `[2001:db8::2]:7480 ${USUAL.replace("1023", "511")}`,
          },
        ],
      },
    ],
    [
      "one by TLS, which is checked by TLS",
      `${ONE} ssl verify required ca-file /etc/ca.pem sni str(rgw.example.org)`,
      `${ONE} ssl verify required ca-file /etc/ca.pem sni str(rgw.example.org)\n${TWO} ssl verify none`,
      {
        ...NONE,
        added: [
          {
            backend: "s3",
            name: "10.0.1.2:7480",
            address: "10.0.1.2",
            line: `10.0.1.2:7480 ${USUAL} ssl verify none check-ssl`,
          },
        ],
      },
    ],
    ["one less", `${ONE}\n${TWO}`, TWO, { ...NONE, removed: [{ backend: "s3", name: "10.0.1.1:7480" }] }],
    [
      "another share of the requests",
      ONE,
      `${ONE} maxconn 511`,
      { ...NONE, limited: [{ backend: "s3", name: "10.0.1.1:7480", maxconn: 511 }] },
    ],
  ])("%s", (_, before, after, changes) => {
    expect(serverChanges(cfg(before), cfg(after))).toEqual(changes);
  });
});

describe("a reload because", () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, at) => `s${at}:1 10.1.${at >> 8}.${at & 255}:1`).join("\n");
  test.each([
    ['the section "global" changes', cfg(ONE), cfg(ONE, { global: "descriptors 800" })],
    ['the section "backend s3" changes', cfg(ONE), cfg(TWO, { usual: USUAL.replace("1000ms", "2000ms") })],
    ['the section "backend more" is new', cfg(ONE), `${cfg(ONE)}\nbackend more\n  server b:1 10.0.3.1:1\n`],
    ['the section "backend more" is removed', `${cfg(ONE)}\nbackend more\n  server b:1 10.0.3.1:1\n`, cfg(ONE)],
    ["rgw2:7480 is a name, whose addresses HAProxy reads at a reload", cfg(ONE), cfg(`${ONE}\nrgw2:7480 rgw2:7480`)],
    ["rgw2:7480 is a name, whose addresses HAProxy reads at a reload", cfg(`${ONE}\nrgw2:7480 rgw2:7480`), cfg(ONE)],
    ["10.0.1.1:7480 has other options", cfg(ONE), cfg(`${ONE} fall 5`)],
    ["10.0.1.1:7480 has other options", cfg(ONE), cfg(`${ONE} weight 50`)],
    ["10.0.1.1:7480 has other options", cfg(ONE), cfg(ONE.replace(/ .*/, " 10.0.1.9:7480"))],
    ["HAProxy may not take the options of 10.0.1.2:7480 while it runs", cfg(ONE), cfg(`${ONE}\n${TWO} cookie a`)],
    ["HAProxy may not take the options of 10.0.1.2:7480 while it runs", cfg(ONE), cfg(`${ONE}\n${TWO} inter "1 s"`)],
    [
      "s3 chooses servers in a way that is fixed at a start",
      cfg(ONE, { balance: "source" }),
      cfg(`${ONE}\n${TWO}`, { balance: "source" }),
    ],
    ["129 changes of servers are quicker by a reload", cfg(ONE), cfg(`${ONE}\n${many(129)}`)],
    ["a has no server left", "backend a\n  server b:1 10.0.3.1:1\n", "backend a\n"],
  ])("%s", (reload, before, after) => {
    expect(serverChanges(before, after)).toEqual({ reload });
  });
});

const live = (name: string, address: string, adminState = 0): LiveServer => ({
  ...{ backend: "s3", name, address, adminState },
  ...{ opState: 2, weight: 100, configuredWeight: 100 },
});

test("servers that are out already are not put back into service", () => {
  const removed = ["a:1", "b:1", "c:1"].map((name) => ({ backend: "s3", name }));
  expect(inService(removed, [live("a:1", "10.0.0.1"), live("b:1", "10.0.0.2", 8), live("c:1", "10.0.0.3", 1)])).toEqual(
    ["s3/a:1"],
  );
});

test.each([
  [undefined, [live("10.0.1.1:7480", "10.0.1.1"), live("rgw2:7480", "10.0.7.7")]],
  ["HAProxy has no server s3/rgw2:7480", [live("10.0.1.1:7480", "10.0.1.1")]],
  ["HAProxy has s3/10.0.1.1:7480 at 10.0.9.9", [live("10.0.1.1:7480", "10.0.9.9"), live("rgw2:7480", "10.0.7.7")]],
  [
    "HAProxy has a server s3/x:1 that is not in haproxy.cfg",
    [live("10.0.1.1:7480", "10.0.1.1"), live("rgw2:7480", "10.0.7.7"), live("x:1", "10.0.8.8")],
  ],
])("the running servers and the file: %s", (difference, running) => {
  const text = `backend s3\n  server ${ONE}\n  server rgw2:7480 rgw2:7480\n`;
  expect(differenceOf(configuredServers(text), running)).toBe(difference);
});
