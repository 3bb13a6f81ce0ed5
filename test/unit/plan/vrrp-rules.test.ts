import { describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { pathsOf } from "../../../src/domain/paths.ts";
import { shutOut, withVrrpRules } from "../../../src/plan/vrrp-rules.ts";
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
const done = async () => "done";

describe("rules for VRRP", () => {
  test("come before the change, and those of former peers go after it", async () => {
    using ufw = ufwMachine();
    await withVrrpRules(ufw.machine, ["10.0.0.2", "10.0.0.3"], done);
    const during = await withVrrpRules(ufw.machine, ["10.0.0.3", "10.0.0.4"], async () => [...ufw.rules]);
    expect(during.result).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4"].map(rule));
    expect([...ufw.rules]).toEqual(["10.0.0.3", "10.0.0.4"].map(rule));
  });

  test("go again when the change fails", async () => {
    using ufw = ufwMachine();
    await withVrrpRules(ufw.machine, ["10.0.0.2"], done);
    const failing = withVrrpRules(ufw.machine, ["10.0.0.2", "10.0.0.3"], async () => {
      throw new Error("refused");
    });
    await expect(failing).rejects.toThrow("refused");
    expect([...ufw.rules]).toEqual([rule("10.0.0.2")]);
  });

  test("that were there before ober stay", async () => {
    using ufw = ufwMachine(rule("10.0.0.2"), "allow 22/tcp");
    await withVrrpRules(ufw.machine, ["10.0.0.2", "10.0.0.3"], done);
    await shutOut(ufw.machine);
    expect([...ufw.rules]).toEqual([rule("10.0.0.2"), "allow 22/tcp"]);
  });

  test("are not made where no firewall is active", async () => {
    using system = temporarySystem(() => ({ code: 1, stdout: "", stderr: "" }));
    const { result, remarks } = await withVrrpRules({ system, paths }, ["10.0.0.2"], done);
    expect([result, remarks]).toEqual(["done", []]);
    expect(system.calls.some(([program]) => program === "ufw" || program === "firewall-cmd")).toBe(false);
  });

  test("are left to the operator where another ruleset drops what it does not know", async () => {
    using system = temporarySystem((argv) => {
      if (argv[0] === "/bin/sh") return { code: argv.at(-1) === "nft" ? 0 : 1, stdout: "", stderr: "" };
      return "table inet filter {\n chain input {\n  type filter hook input priority filter; policy drop;\n }\n}\n";
    });
    const { remarks } = await withVrrpRules({ system, paths }, ["10.0.0.2"], done);
    expect(remarks).toEqual([
      "the firewall of this machine drops what it does not know; let VRRP in: ip protocol vrrp ip saddr { 10.0.0.2 } accept",
    ]);
  });
});
