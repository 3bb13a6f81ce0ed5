/** A new ober proves itself before it replaces the old one, and the old one is back where it fails. */
import { describe, expect, test } from "bun:test";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { UNIT } from "../../../src/domain/units.ts";
import { CancelledError } from "../../../src/errors.ts";
import { endTrial, restoreSelf, upgradeSelf } from "../../../src/node/upgrade-self.ts";
import { MANUAL_MARK } from "../../../src/ui/man.ts";
import { type LiveNode, liveNode } from "../../helpers/live-node.ts";
import { heard } from "../../helpers/output.ts";
import { paths } from "../../helpers/serving-node.ts";
import { PowerCut } from "../../helpers/system.ts";

const FILE = "/root/new-ober";
const OPTIONS = {
  file: FILE,
  turn: ["--wait-turn", "600"],
  unsigned: false,
  locked: <T>(action: () => Promise<T>) => action(),
};
const versionOf = (ober: string) => JSON.stringify({ ober, commit: `of-${ober}` });

type Upgrading = LiveNode & {
  /** What the new executable does when it is asked for its version, to render and to apply: it says so, or throws. */
  readonly does: { version: () => string; render: (directory: string) => string; apply: () => string };
};

/** A node with ober 1.2.0, and 1.3.0 in a file. */
async function upgrading(): Promise<Upgrading> {
  const does: Upgrading["does"] = {
    version: () => versionOf("1.3.0"),
    render(directory) {
      const file = `${directory}${paths.haproxyConfig}`;
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, "# by 1.3.0\n");
      return JSON.stringify({ files: [paths.haproxyConfig] });
    },
    apply: () => "",
  };
  let root = "";
  const one = await liveNode({
    programs: ([program = "", ...words]) => {
      if (program === "sha256sum") {
        const file = words.at(-1) ?? "";
        return `${createHash("sha256")
          .update(readFileSync(root + file))
          .digest("hex")}  ${file}\n`;
      }
      if (!program.startsWith(`${paths.prefix}/bin/ober`)) return "";
      if (words[0] === "render") return does.render(root + words[words.indexOf("--out") + 1]);
      if (words[0] === "apply") return does.apply();
      if (words[0] === "man") return `${MANUAL_MARK}\nof the new one\n`;
      return readFileSync(root + program, "utf8") === "new" ? does.version() : versionOf("1.2.0");
    },
  });
  const { system } = one.node;
  root = system.root;
  for (const directory of ["/root", `${paths.prefix}/bin`, dirname(paths.manual)])
    await system.makeDirectory(directory);
  await system.writeAtomic(FILE, "new", { mode: 0o755 });
  await system.writeAtomic(paths.executable, "old", { mode: 0o755 });
  return { ...one, does };
}

const executables = async ({ node: { system } }: LiveNode) =>
  Promise.all([paths.executable, paths.previousExecutable, paths.executableCandidate].map((path) => system.read(path)));

describe("a new executable", () => {
  test("replaces the old one, which is kept, and has applied the configuration", async () => {
    using one = await upgrading();
    const { system } = one.node;
    const deeds = system.deeds.length;
    const replaced = await upgradeSelf(one.node, heard(), OPTIONS);
    expect(replaced).toMatchObject({ from: { ober: "1.2.0" }, to: { ober: "1.3.0" }, order: 1 });
    expect(await executables(one)).toEqual(["new", "old", undefined]);
    expect(system.calls).toContainEqual([paths.executable, "apply", "--yes", "--wait-turn", "600"]);
    expect(system.deeds.slice(deeds)).toEqual([`systemctl reload ${UNIT.bgp}`]);
    expect(await system.stat(paths.executableOnTrial)).toBeUndefined();
    expect(await system.list(paths.var)).not.toContainEqual(expect.stringContaining("upgrade-"));
  });

  test("writes ober's page of the manual anew, and leaves another one alone", async () => {
    using one = await upgrading();
    const { system } = one.node;
    await system.writeAtomic(paths.manual, "the site's own");
    await upgradeSelf(one.node, heard(), OPTIONS);
    expect(await system.read(paths.manual)).toBe("the site's own");
    await system.writeAtomic(paths.manual, `${MANUAL_MARK}\nof the old one\n`);
    await restoreSelf(one.node, heard(), OPTIONS);
    expect(await system.read(paths.manual)).toContain("of the new one");
  });

  test.each<[what: string, spoil: (one: Upgrading) => unknown, message: string]>([
    ["is not there", ({ node }) => node.system.remove(FILE), `there is no file ${FILE}`],
    ["is empty", ({ node }) => node.system.writeAtomic(FILE, ""), `${FILE} is empty`],
    [
      "is a directory",
      async ({ node: { system } }) => {
        await system.remove(FILE);
        await system.makeDirectory(FILE);
      },
      `${FILE} is a directory`,
    ],
    ["is no ober", ({ does }) => Object.assign(does, { version: () => "hello" }), "does not say a version of ober"],
    [
      "does not render",
      ({ does }) => Object.assign(does, { render: () => "{}" }),
      "does not say which files it has rendered",
    ],
    [
      "renders files outside of its directory",
      ({ does }) => Object.assign(does, { render: () => '{"files":["relative"]}' }),
      "does not say which files it has rendered",
    ],
    ["does not start", (one) => one.refuse(paths.executableCandidate, "Exec format error"), "the new executable fails"],
    ["renders what HAProxy refuses", (one) => one.refuse("haproxy -c", "[ALERT] bad"), "haproxy rejected"],
  ])("that %s changes nothing", async (_what, spoil, message) => {
    using one = await upgrading();
    await spoil(one);
    const deeds = one.node.system.deeds.length;
    await expect(upgradeSelf(one.node, heard(), OPTIONS)).rejects.toThrow(message);
    expect(await executables(one)).toEqual(["old", undefined, undefined]);
    expect(one.node.system.deeds).toHaveLength(deeds);
    expect((await one.node.system.list(paths.var)).filter((name) => name.startsWith("upgrade-"))).toEqual([]);
  });

  test("that cannot apply the configuration is taken away again", async () => {
    using one = await upgrading();
    one.refuse(`${paths.executable} apply`, "a bug");
    const failed = upgradeSelf(one.node, heard(), OPTIONS);
    await expect(failed).rejects.toThrow("could not apply the configuration; the old one is back");
    expect((await executables(one))[0]).toBe("old");
    expect(await one.node.system.stat(paths.executableOnTrial)).toBeUndefined();
  });

  test("that is older is asked about; a no leaves the present one", async () => {
    using one = await upgrading();
    one.does.version = () => versionOf("1.1.0");
    const asked: string[] = [];
    const admitOlder = async (present: { ober: string }, older: { ober: string }) => {
      asked.push(`${present.ober} ${older.ober}`);
      throw new CancelledError();
    };
    await expect(upgradeSelf(one.node, heard(), { ...OPTIONS, admitOlder })).rejects.toBeInstanceOf(CancelledError);
    expect([asked, await executables(one)]).toEqual([["1.2.0 1.1.0"], ["old", undefined, undefined]]);
    expect(await upgradeSelf(one.node, heard(), OPTIONS)).toMatchObject({ order: -1 });
    expect((await executables(one))[0]).toBe("new");
  });

  test("is not asked to render on a node that has no configuration yet", async () => {
    using one = await upgrading();
    await one.node.system.remove(paths.config);
    await upgradeSelf(one.node, heard(), OPTIONS);
    expect(one.node.system.calls.map(([, word]) => word)).not.toContain("render");
    expect((await executables(one))[0]).toBe("new");
  });
});

describe("a signed release", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const releaseKey = publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("base64");
  const signatureOf = (text: string) =>
    sign(null, Buffer.from(createHash("sha256").update(text).digest("hex")), privateKey).toString("base64");

  test("takes a successor that the same key has signed", async () => {
    using one = await upgrading();
    await one.node.system.writeAtomic(`${FILE}.sig`, `${signatureOf("new")}\n`);
    await upgradeSelf(one.node, heard(), { ...OPTIONS, releaseKey });
    expect((await executables(one))[0]).toBe("new");
  });

  test.each([
    ["no signature", undefined, `${FILE} has no signature beside it: ${FILE}.sig`],
    ["the signature of another file", signatureOf("other"), "is not what those who released this ober have signed"],
    ["a signature that is none", "x", "is not what those who released this ober have signed"],
  ])("refuses one with %s before it runs it", async (_what, signature, message) => {
    using one = await upgrading();
    if (signature !== undefined) await one.node.system.writeAtomic(`${FILE}.sig`, signature);
    await expect(upgradeSelf(one.node, heard(), { ...OPTIONS, releaseKey })).rejects.toThrow(message);
    expect(one.node.system.calls.map(([program]) => program)).not.toContain(paths.executableCandidate);
    expect((await executables(one))[0]).toBe("old");
  });

  test("takes any where the operator says so", async () => {
    using one = await upgrading();
    await upgradeSelf(one.node, heard(), { ...OPTIONS, releaseKey, unsigned: true });
    expect((await executables(one))[0]).toBe("new");
  });
});

describe("the way back", () => {
  test("exchanges both, and again", async () => {
    using one = await upgrading();
    await upgradeSelf(one.node, heard(), OPTIONS);
    expect(await restoreSelf(one.node, heard(), OPTIONS)).toMatchObject({ to: { ober: "1.2.0" }, order: -1 });
    expect(await executables(one)).toEqual(["old", "new", undefined]);
    await restoreSelf(one.node, heard(), OPTIONS);
    expect(await executables(one)).toEqual(["new", "old", undefined]);
  });

  test("is refused where there is none", async () => {
    using one = await upgrading();
    await expect(restoreSelf(one.node, heard(), OPTIONS)).rejects.toMatchObject({
      message: "there is no previous executable",
      hint: "ober upgrade --self FILE",
    });
  });
});

describe("a trial that was cut off", () => {
  const cutOff = async () => {
    const one = await upgrading();
    one.does.apply = () => {
      throw new PowerCut();
    };
    const { writeAtomic } = one.node.system;
    // A process that is gone; the test's own would still be at it.
    one.node.system.writeAtomic = (path, text, options) =>
      writeAtomic(path, path === paths.executableOnTrial ? "4194304\n" : text, options);
    const { remove, copy } = one.node.system;
    return { ...one, remove, copy };
  };

  test("ends with the old executable, whoever comes next", async () => {
    using one = await cutOff();
    const { system } = one.node;
    // The machine dies with the new one in place: nothing is cleaned up.
    system.copy = async (from, to, mode) => {
      if (from === paths.previousExecutable) throw new PowerCut();
      await one.copy(from, to, mode);
    };
    await expect(upgradeSelf(one.node, heard(), OPTIONS)).rejects.toBeInstanceOf(PowerCut);
    system.copy = one.copy;
    expect((await executables(one))[0]).toBe("new");
    expect(await endTrial(one.node)).toBe(paths.executable);
    expect([(await executables(one))[0], await endTrial(one.node)]).toEqual(["old", undefined]);
  });

  test("is left alone while the process that tries it lives", async () => {
    using one = await upgrading();
    const { system } = one.node;
    await system.makeDirectory("/proc/7");
    await system.writeAtomic("/proc/7/cmdline", "/opt/ober/bin/ober\0upgrade\0--self\0x\0");
    await system.writeAtomic(paths.executableOnTrial, "7\n");
    expect(await endTrial(one.node)).toBeUndefined();
    // Another program has got its number.
    await system.writeAtomic("/proc/7/cmdline", "/usr/bin/sleep\x0060\0");
    expect(await endTrial(one.node)).toBe(paths.executable);
  });
});
