/**
 * Malformed input from outside costs only its own row: among eight healthy nodes, every kind of odd ninth; and on the node itself, programs and
 * files with unexpected output. Times and memory are compared with a normal run.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import type net from "node:net";
import { join } from "node:path";
import {
  answering,
  enterStage,
  type Handler,
  identity,
  listen,
  METRICS,
  ODD_ONE,
  OWN,
  PEERS,
  PORT,
  type Said,
  STAT,
  stage,
  well,
} from "./_stage.ts";

const ESCAPES = "\u001b[2J\u001b]0;owned\u0007\u009b31m\u202e\u200b\ud800\u007f";
/** Characters that a terminal obeys, or that are invisible. */
const UNSEEN = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

let here: Awaited<ReturnType<typeof stage>>;
let leave: () => void;
let odd: Handler = well(ODD_ONE);
let usual: Said;
const servers: { stop(): void }[] = [];

beforeAll(async () => {
  leave = await enterStage(async () => {
    for (const peer of PEERS) servers.push(await listen({ host: peer, port: PORT }, () => well(peer)));
    servers.push(await listen({ host: ODD_ONE, port: PORT }, () => odd));
  });
  here = await stage("bgp", [OWN, ...PEERS, ODD_ONE]);
  // The first run reads the executable from the disk.
  await here.ober(["status", "--all"]);
  usual = await here.ober(["status", "--all"]);
}, 60_000);
afterAll(async () => {
  for (const server of servers) server.stop();
  await here?.[Symbol.asyncDispose]();
  leave?.();
});

/** True of every answer of ober's, whatever came. */
function isFit({ code, stdout, stderr }: Said): void {
  expect(code, stderr).toBeOneOf([0, 1]);
  expect(stdout + stderr).not.toMatch(UNSEEN);
  expect(stdout.length + stderr.length).toBeLessThan(16_384);
}

type Bodies = Partial<Record<"ober" | "stat" | "metrics", string>>;
/** A node of which one answer is odd. */
const saying = ({ ober, stat, metrics }: Bodies): Handler =>
  answering({
    "/ober": ober ?? JSON.stringify(identity(ODD_ONE)),
    "/stats;csv": stat ?? STAT,
    "/metrics?scope=global": metrics ?? METRICS,
  });
const said = (patch: object) => JSON.stringify({ ...identity(ODD_ONE), ...patch });
const node = (patch: object) => said({ node: { ...identity(ODD_ONE).node, ...patch } });
const row = (from: string, to: string) => STAT.replaceAll(from, to);
const head = (headers: string) => `HTTP/1.0 200 OK\r\n${headers}\r\n\r\n`;
const once =
  (text: string): Handler =>
  (_, socket) =>
    void socket.end(text);
/** Continues as long as it is read. */
function endless(begin: string, piece: string): Handler {
  return (_, socket) => {
    socket.write(begin);
    const more = () => {
      while (socket.writable && socket.write(piece));
    };
    socket.on("drain", more);
    more();
  };
}
function dripping(_: string, socket: net.Socket): void {
  const timer = setInterval(() => socket.write("HTTP/1.0 200 OK\r\n"), 50);
  socket.on("close", () => clearInterval(timer));
}
const startedAt = (text: string) => METRICS.replace("1764190000", text);

test.each<[source: string, what: string, handler: Handler]>([
  ["HTTP", "says nothing", () => {}],
  ["HTTP", "says a little again and again", dripping],
  ["HTTP", "says a body without end", endless(head("content-type: text/plain"), "x".repeat(65_536))],
  ["HTTP", "says a head without end", endless("HTTP/1.0 200 OK\r\n", `x-more: ${"x".repeat(8192)}\r\n`)],
  ["HTTP", "says chunks without end", endless(head("transfer-encoding: chunked"), `1000\r\n${"x".repeat(4096)}\r\n`)],
  ["HTTP", "says a chunk of negative length", once(`${head("transfer-encoding: chunked")}-6\r\nabcdef\r\n0\r\n\r\n`)],
  ["HTTP", "says a chunk as long as a disk", once(`${head("transfer-encoding: chunked")}ffffffffffffff\r\nx\r\n`)],
  ["HTTP", "says a length as long as a disk", once(`${head(`content-length: ${"9".repeat(40)}`)}x`)],
  ["HTTP", "says another status", once(`HTTP/1.0 999 ${ESCAPES}\r\n\r\n${ESCAPES}`)],
  ["HTTP", "speaks something else", once(`SSH-2.0-OpenSSH ${ESCAPES}\r\n`)],
  ["HTTP", "hangs up", (_, socket) => void socket.end()],
  ["HTTP", "resets the connection", (_, socket) => void socket.resetAndDestroy()],

  ["identity", "has a version of 15 MB", saying({ ober: node({ ober: "1".repeat(15 << 20) }) })],
  ["identity", "has a version of 200 kB", saying({ ober: node({ ober: "1".repeat(200_000) }) })],
  ["identity", "has a version with escapes", saying({ ober: node({ ober: `1.0${ESCAPES}` }) })],
  ["identity", "has a version that looks like a row", saying({ ober: node({ ober: "1\n10.0.0.9  serves" }) })],
  ["identity", "has a version that is a number", saying({ ober: node({ ober: 1 }) })],
  ["identity", "is nested without end", saying({ ober: "[".repeat(200_000) })],
  ["identity", "is null", saying({ ober: "null" })],
  ["identity", "is a list", saying({ ober: "[1]" })],
  ["identity", "has no node", saying({ ober: said({ node: null }) })],
  ["identity", "has an infinite clock", saying({ ober: said({ now: 0 }).replace('"now":0', '"now":1e999') })],
  ["identity", "leaves in words", saying({ ober: said({ leaving: "no" }) })],
  [
    "identity",
    "reaches for a prototype",
    saying({ ober: node({ config: JSON.parse('{"__proto__":{"vips":"x"},"toString":"y"}') }) }),
  ],
  [
    "identity",
    "has 5,000 sections",
    saying({ ober: node({ config: Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`s${at}`, "x"])) }) }),
  ],
  [
    "identity",
    "has 10,000 members",
    saying({
      ober: node({
        cluster: {
          address: ODD_ONE,
          members: Array.from({ length: 10_000 }, (_, at) => `10.1.${at >> 8}.${at & 255}`),
        },
      }),
    }),
  ],
  [
    "identity",
    "has 1,000 other members",
    saying({
      ober: node({
        cluster: { address: ODD_ONE, members: Array.from({ length: 1_000 }, (_, at) => `10.1.${at >> 8}.${at & 255}`) },
      }),
    }),
  ],
  [
    "identity",
    "has members that are words",
    saying({ ober: node({ cluster: { address: ESCAPES, members: [ESCAPES] } }) }),
  ],
  [
    "identity",
    "serves VIPs without end",
    saying({
      ober: said({
        serves: { at: 1, vips: Object.fromEntries(Array.from({ length: 9_000 }, (_, at) => [`v${at}`, at])) },
      }),
    }),
  ],

  ["statistics", "have 100,000 columns", saying({ stat: `# ${"pxname,".repeat(100_000)}\n${"s3\n".repeat(2_000)}` })],
  ["statistics", "have 300,000 rows", saying({ stat: `# pxname,svname,status\n${"s3,a,UP\n".repeat(300_000)}` })],
  ["statistics", "have empty lines alone", saying({ stat: `# pxname,svname\n${"\n".repeat(1_000_000)}` })],
  [
    "statistics",
    "have a quotation mark that nothing closes",
    saying({ stat: row("OK,", `"OK${',"x'.repeat(100_000)}`) }),
  ],
  ["statistics", "have quotation marks alone", saying({ stat: `# pxname,svname\n${'"'.repeat(1_000_000)}` })],
  ["statistics", "have one line of 1 MB", saying({ stat: `# pxname,svname\n${",".repeat(1_000_000)}` })],
  ["statistics", "have no heading", saying({ stat: "s3,BACKEND,UP\n" })],
  ["statistics", "are empty", saying({ stat: "" })],
  ["statistics", "have states with escapes", saying({ stat: row(",UP,", `,UP${ESCAPES},`) })],
  ["statistics", "have counters that are no numbers", saying({ stat: row(",4,2000,", ",NaN,1e999,") })],
  ["statistics", "have counters without end", saying({ stat: row(",4,2000,", `,${"9".repeat(1000)},-5,`) })],
  ["statistics", "have rows of a prototype", saying({ stat: row("s3,", "__proto__,") })],

  ["/metrics", "start at no number", saying({ metrics: startedAt("NaN") })],
  ["/metrics", "start at infinity", saying({ metrics: startedAt("1e999") })],
  ["/metrics", "start beyond every calendar", saying({ metrics: startedAt("9e15") })],
  ["/metrics", "start before every calendar", saying({ metrics: startedAt("-9e15") })],
  ["/metrics", "start in words", saying({ metrics: startedAt(ESCAPES) })],
  ["/metrics", "have a version with escapes", saying({ metrics: METRICS.replace("3.0.11-1", ESCAPES) })],
  ["/metrics", "have a version of 200 kB", saying({ metrics: METRICS.replace("3.0.11-1", "3".repeat(200_000)) })],
  ["/metrics", "are 250 kB of one name", saying({ metrics: "haproxy_process_build_info{".repeat(9_500) })],
])(
  "the eight are shown beside a ninth whose %s %s",
  async (_source, _what, handler) => {
    odd = handler;
    const seen = await here.ober(["status", "--all"]);
    isFit(seen);
    for (const address of [OWN, ...PEERS])
      expect(seen.stdout).toMatch(new RegExp(`^${address} +serves .* 2 of 2 `, "m"));
    expect(seen.stdout).toMatch(new RegExp(`^${ODD_ONE} +\\S`, "m"));
    // A node has 1.5 s for its answers.
    expect(seen.ms).toBeLessThan(1_500 + 5 * usual.ms);
    expect(seen.rssMb).toBeLessThan(1.6 * usual.rssMb);
  },
  20_000,
);

test("the same in JSON is a document whose texts a terminal may show", async () => {
  odd = saying({ ober: node({ ober: `1.0${ESCAPES}` }), metrics: METRICS.replace("3.0.11-1", ESCAPES) });
  const seen = await here.ober(["status", "--all", "--json"]);
  isFit(seen);
  const { nodes } = JSON.parse(seen.stdout) as { nodes: { node: string; serves: boolean }[] };
  expect(nodes.filter(({ serves }) => serves)).toHaveLength(10);
});

describe("on the node itself", () => {
  const program = (name: string, body: string) => () => here.programs(`odd-${crypto.randomUUID()}`, { [name]: body });
  const printf = (text: string) => `printf '%s' '${text.replaceAll("'", "'\\''")}'`;
  const csv = (from: string, to: string) => () => {
    here.haproxy.say = (command) => (command.startsWith("show stat") ? row(from, to) : "");
    return undefined;
  };
  const file = (name: string, content: string) => () => {
    writeFileSync(join(here.directory, name), content);
    return undefined;
  };
  const LOOP = "run/ober-bgp/health.json";
  const DRAIN = "node/var/drain";

  afterAll(() => {
    here.haproxy.say = (command) => (command.startsWith("show stat") ? STAT : "");
  });

  test.each<[source: string, what: string, command: string, prepare: () => string | undefined]>([
    ["an RGW's answer", "with escapes", "status", csv("Layer7 check passed,OK", `Layer7 wrong status,${ESCAPES}`)],
    [
      "an RGW's answer",
      "with escapes, that is down",
      "why",
      csv("UP,L7OK,200,Layer7 check passed,OK", `DOWN,L7STS,500,no,${ESCAPES}`),
    ],
    ["HAProxy's socket", "with columns without end", "status", csv("# pxname", `# ${"x,".repeat(50_000)}pxname`)],
    ["birdc", "with escapes", "status", program("birdc", printf(`10.77.0.1 eth0 Up${ESCAPES} 12:00:00\n`))],
    ["ip", "without JSON", "status", program("ip", printf(`Error: ${ESCAPES}`))],
    ["ip", "with other JSON", "why", program("ip", printf('[{"addr_info":[{"local":7}]}]'))],
    [
      "systemctl",
      "with odd numbers",
      "status",
      program(
        "systemctl",
        printf("Id=x\nActiveState=active\nMainPID=-1e9\nNRestarts=x\nActiveEnterTimestamp=@99999999999999999999\n"),
      ),
    ],
    ["the health loop's state", "cut off", "status", file(LOOP, '{"pid":7,')],
    ["the health loop's state", "of another form", "why", file(LOOP, '{"vips":7,"transitions":{}}')],
    ["the drain flag", "with escapes", "why", file(DRAIN, JSON.stringify({ by: `ann${ESCAPES}`, reason: ESCAPES }))],
    [
      "the history",
      "with escapes",
      "history",
      file(
        "node/var/history",
        `${JSON.stringify({ at: new Date().toISOString(), kind: "command", vips: [], to: ESCAPES, cause: "x", by: ESCAPES })}\n{"at":"x"}\n`,
      ),
    ],
    ["the journal", "with escapes", "logs", program("journalctl", printf(`{"MESSAGE":"${ESCAPES}"}\n`))],
    ["a certificate's name", "with escapes", "certs list", file("node/etc/certs/\u001b[2J\u202e.pem", "x")],
  ])(
    "%s %s",
    async (_source, _what, command, prepare) => {
      const before = prepare();
      for (const more of [[], ["--json"]]) {
        const seen = await here.ober([...command.split(" "), ...more], before === undefined ? {} : { before });
        isFit(seen);
        expect(seen.stdout.length).toBeGreaterThan(more.length === 0 ? 10 : 2);
        if (more.length > 0) expect(() => JSON.parse(seen.stdout)).not.toThrow();
      }
    },
    20_000,
  );
});
