/** Servers that come and go while HAProxy runs, with one that refuses. */
import { expect, test } from "bun:test";
import type { ServerChanges } from "../../../src/domain/server-changes.ts";
import { OberError } from "../../../src/errors.ts";
import { changeServers, lookAtServers, release } from "../../../src/haproxy/servers.ts";
import { passingClock } from "../../helpers/system.ts";

const OLD = "backend s3\n  server a:1 10.0.0.1:1\n";
const NEW = "backend s3\n  server b:1 10.0.0.2:1\n";
const CHANGES: ServerChanges = {
  added: [{ backend: "s3", name: "b:1", address: "10.0.0.2", line: "10.0.0.2:1 check" }],
  removed: [{ backend: "s3", name: "a:1" }],
  limited: [],
};
const COMMANDS = [
  "add server s3/b:1 10.0.0.2:1 check",
  "set server s3/b:1 state drain",
  "enable health s3/b:1",
  "set server s3/b:1 state ready",
  "set server s3/a:1 state drain",
  "set server s3/a:1 state maint",
  "del server s3/a:1",
];

/** A HAProxy with the server a:1, which says what `refuse` has for a command. */
function haproxy(refuse: Readonly<Record<string, string | OberError>> = {}, requests = 0) {
  const said: string[] = [];
  const names = new Map([["a:1", "10.0.0.1"]]);
  const say = async (command: string) => {
    if (!command.startsWith("show ")) said.push(command);
    const refused = refuse[command];
    if (refused instanceof OberError) throw refused;
    if (refused !== undefined) return `${refused}\n`;
    const [, path = ""] = / s3\/(\S+)/.exec(command) ?? [];
    if (command.startsWith("add ")) {
      names.set(path, "10.0.0.2");
      return "New server registered.\n";
    }
    if (command.startsWith("del ")) {
      names.delete(path);
      return "Server deleted.\n";
    }
    if (command === "show info") return "Name: HAProxy\nVersion: 3.0.11-1+deb13u5\n";
    if (command === "show servers state")
      return `1\n${[...names].map(([name, address]) => `6 s3 1 ${name} ${address} 2 0 100 100 1 15 3 4 6 0 0 0 - 1 - 0 0 - - 0`).join("\n")}\n`;
    if (command !== "show stat") return "\n";
    return `# pxname,svname,status,check_status,scur,qcur\n${[...names.keys()].map((name) => `s3,${name},UP,L7OK,${name === "a:1" ? requests : 0},0`).join("\n")}\n`;
  };
  const clock = passingClock();
  return {
    say,
    clock,
    said,
    change: () => changeServers({ say, clock }, CHANGES, { config: NEW, wishes: [], progress: () => {} }),
  };
}

test("the new one first, the old one after its requests", async () => {
  const one = haproxy();
  expect(await one.change()).toBeUndefined();
  expect(one.said).toEqual(COMMANDS);
  // No request for two seconds, before it is deleted.
  expect(one.clock.now()).toBeGreaterThanOrEqual(2_000);
});

test.each([
  [COMMANDS[0] ?? "", "No such backend.", "HAProxy does not add s3/b:1: No such backend.", 1],
  [
    COMMANDS[2] ?? "",
    "Health check is not enabled.",
    'HAProxy does not take "enable health s3/b:1": Health check is not enabled.',
    3,
  ],
  [
    COMMANDS[6] ?? "",
    "Server still has connections.",
    "HAProxy does not delete s3/a:1: Server still has connections.",
    7,
  ],
])(
  "%s is refused: a reload, and the new one is left in no state that the reload would keep",
  async (command, says, why, told) => {
    const one = haproxy({ [command]: says });
    expect(await one.change()).toBe(why);
    expect(one.said).toEqual([...COMMANDS.slice(0, told), "set server s3/b:1 state ready"]);
  },
);

test("requests that last are left to a reload", async () => {
  const one = haproxy({}, 3);
  expect(await one.change()).toBe("a:1 still has requests after 10 s");
  expect(one.said.at(-1)).toBe("set server s3/b:1 state ready");
  expect(one.said).not.toContain("set server s3/a:1 state maint");
});

test("a HAProxy that stops answering is asked no more", async () => {
  const silent = new OberError("did not answer");
  const one = haproxy({ [COMMANDS[4] ?? ""]: silent, [COMMANDS[3] ?? ""]: silent });
  expect(await one.change()).toBe("did not answer");
  expect(one.said).toEqual([...COMMANDS.slice(0, 4), COMMANDS[3] ?? ""]);
  const dead = haproxy({ "set server s3/a:1 state ready": silent });
  await release(dead, ["s3/a:1", "s3/b:1"]);
  expect(dead.said).toEqual(["set server s3/a:1 state ready"]);
});

const BOTH = OLD.replace("10.0.0.1:1\n", "10.0.0.1:1\n  server b:1 10.0.0.2:1\n");
const serving = (...names: readonly string[]) =>
  `# pxname,svname,status,check_status,scur,qcur\n${names.map((name) => `s3,${name},UP,L7OK,0,0`).join("\n")}\n`;

test.each([
  [undefined, OLD, [], {}],
  ["HAProxy has no server s3/b:1", BOTH, [], {}],
  ["HAProxy 2.6.12-1 is older than 3.0.6", OLD, [], { "show info": "Version: 2.6.12-1" }],
  ["HAProxy does not say its version", OLD, [], { "show info": "" }],
  ["more servers of s3 go than stay, and new ones begin slowly", OLD, ["a:1"], {}],
  [undefined, OLD, ["a:1"], { "show stat": serving("a:1", "b:1") }],
  [
    "more servers of s3 go than stay, and new ones begin slowly",
    OLD,
    ["a:1", "c:1"],
    { "show stat": serving("a:1", "b:1", "c:1") },
  ],
  [undefined, OLD, ["a:1"], { "show stat": serving("b:1").replace("s3,b:1,UP", "s3,a:1,DOWN") }],
])("why it cannot take a change: %s", async (obstacle, config, names, refuse) => {
  const removed = names.map((name) => ({ backend: "s3", name }));
  expect((await lookAtServers(haproxy(refuse), config, removed)).obstacle).toBe(obstacle);
});
