import { describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { forRouters, shutOut, withOpenings } from "../../../src/change/firewall-rules.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import type { Opening } from "../../../src/system/firewall.ts";
import { temporarySystem } from "../../helpers/system.ts";

const paths = pathsOf("/opt/ober");

/** A machine with an active ufw that has these rules. */
function ufwMachine(...present: readonly string[]) {
  const rules = new Set(present);
  const system = temporarySystem((argv) => {
    const line = argv.join(" ");
    if (line.startsWith("/bin/sh -c")) return { code: argv.at(-1) === "ufw" ? 0 : 1, stdout: "", stderr: "" };
    if (line === "ufw status") return "Status: active\n";
    if (line === "ufw show added") return `Added user rules:\n${[...rules].map((rule) => `ufw ${rule}\n`).join("")}`;
    if (line.startsWith("ufw delete ")) rules.delete(line.slice("ufw delete ".length));
    else rules.add(line.slice("ufw ".length));
    return "";
  });
  mkdirSync(system.root + paths.var, { recursive: true });
  return { machine: { system, paths }, rules, [Symbol.dispose]: () => system[Symbol.dispose]() };
}

const rule = (peer: string) => `allow from ${peer} proto vrrp`;
const peers = (...addresses: readonly string[]): readonly Opening[] =>
  addresses.map((from) => ({ service: "vrrp", from }));
const done = async () => "done";

describe("rules for routers", () => {
  test("let BGP and BFD in, from addresses and networks", async () => {
    using ufw = ufwMachine();
    await withOpenings(ufw.machine, forRouters(["10.0.0.1", "10.1.0.0/24", "10.0.0.1"]), done);
    expect([...ufw.rules]).toEqual([
      "allow from 10.0.0.1 to any port 179 proto tcp",
      "allow from 10.0.0.1 to any port 3784 proto udp",
      "allow from 10.1.0.0/24 to any port 179 proto tcp",
      "allow from 10.1.0.0/24 to any port 3784 proto udp",
    ]);
  });
});

describe("rules for VRRP", () => {
  test("come before the change, and those of former peers go after it", async () => {
    using ufw = ufwMachine();
    await withOpenings(ufw.machine, peers("10.0.0.2", "10.0.0.3"), done);
    const during = await withOpenings(ufw.machine, peers("10.0.0.3", "10.0.0.4"), async () => [...ufw.rules]);
    expect(during.result).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4"].map(rule));
    expect([...ufw.rules]).toEqual(["10.0.0.3", "10.0.0.4"].map(rule));
  });

  test("go again when the change fails", async () => {
    using ufw = ufwMachine();
    await withOpenings(ufw.machine, peers("10.0.0.2"), done);
    const failing = withOpenings(ufw.machine, peers("10.0.0.2", "10.0.0.3"), async () => {
      throw new Error("refused");
    });
    await expect(failing).rejects.toThrow("refused");
    expect([...ufw.rules]).toEqual([rule("10.0.0.2")]);
  });

  test("that were there before ober stay", async () => {
    using ufw = ufwMachine(rule("10.0.0.2"), "allow 22/tcp");
    await withOpenings(ufw.machine, peers("10.0.0.2", "10.0.0.3"), done);
    await shutOut(ufw.machine);
    expect([...ufw.rules]).toEqual([rule("10.0.0.2"), "allow 22/tcp"]);
  });

  test("are not made where no firewall is active", async () => {
    using system = temporarySystem(() => ({ code: 1, stdout: "", stderr: "" }));
    const { result, remarks } = await withOpenings({ system, paths }, peers("10.0.0.2"), done);
    expect([result, remarks]).toEqual(["done", []]);
    expect(system.calls.some(([program]) => program === "ufw" || program === "firewall-cmd")).toBe(false);
  });

  test("are left to the operator where another ruleset drops what it does not know", async () => {
    using system = temporarySystem((argv) => {
      if (argv[0] === "/bin/sh") return { code: argv.at(-1) === "nft" ? 0 : 1, stdout: "", stderr: "" };
      return "table inet filter {\n chain input {\n  type filter hook input priority filter; policy drop;\n }\n}\n";
    });
    const { remarks } = await withOpenings({ system, paths }, peers("10.0.0.2"), done);
    expect(remarks).toEqual([
      "the firewall of this machine drops what it does not know; let VRRP from 10.0.0.2 in: ip saddr 10.0.0.2 ip protocol vrrp accept",
    ]);
  });
});
