/** Every command's way to ober's own files, with each of them as it may be found: an answer, or an OberError that names the file. Never a bug. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { readAcmeState } from "../../../src/certificates/acme/state.ts";
import { isHeldBack } from "../../../src/certificates/admission.ts";
import { readCurrent } from "../../../src/change/apply.ts";
import { shutOut } from "../../../src/change/firewall-rules.ts";
import { valuesFor } from "../../../src/change/former-sysctls.ts";
import { drift, generationNumbers, keepIfLost, readGeneration } from "../../../src/change/generations.ts";
import { bearsReload } from "../../../src/change/helper-starts.ts";
import { own } from "../../../src/change/owned.ts";
import { recordTroubles, requireRecords } from "../../../src/change/records.ts";
import { pending, waiting } from "../../../src/change/transaction.ts";
import {
  checkApplied,
  checkDrift,
  checkExecutable,
  checkRecords,
  checkUnconfirmed,
} from "../../../src/checks/node-files.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import { OberError } from "../../../src/errors.ts";
import { nameStates } from "../../../src/haproxy/server-names.ts";
import { readJournal } from "../../../src/install/journal.ts";
import { recordsToMend } from "../../../src/install/mend.ts";
import type { Step } from "../../../src/install/step.ts";
import { isNode } from "../../../src/node/node.ts";
import { lookAt } from "../../../src/node/sight.ts";
import { cutOffUpgrade } from "../../../src/node/upgrade.ts";
import { isOperatorsDrain } from "../../../src/system/drain-flag.ts";
import { readHealthState } from "../../../src/system/health-state.ts";
import { readHistory } from "../../../src/system/history.ts";
import { OWN_FILES, type OwnName } from "../../../src/system/own-files.ts";
import { siteReservedPorts } from "../../../src/system/reserved-ports.ts";
import { knownNames } from "../../../src/system/resolve.ts";
import type { System } from "../../../src/system/system.ts";
import { OWN } from "../../fuzz/parsers.ts";
import { temporarySystem } from "../../helpers/system.ts";

const paths = pathsOf("/opt/ober");
const NAMES = Object.keys(OWN_FILES) as OwnName[];
const fileOf = (name: OwnName) =>
  name === "generation" ? `${paths.generations}/3.json` : paths[OWN_FILES[name].place];
const LIVE = { at: "2026-11-23T12:00:00Z", by: "ann", command: "apply", changed: [], files: [] };
const SYSCTLS = { before: { content: "vm.panic_on_oom = 1\n", mode: 0o644 }, after: undefined };

/** The step in the journal. */
const STEP: Step = {
  id: "x",
  title: "x",
  record: v.unknown(),
  check: async () => "done",
  plan: async () => null,
  apply: async () => [],
  undo: async () => [],
};

/** What each command asks of ober's files; the ways that they share are here once. */
const COMMANDS: Readonly<Record<string, (system: System) => Promise<unknown>>> = {
  "every command: is this a node?": (system) => isNode(system, paths),
  "status: generations": (system) => generationNumbers(system, paths),
  "status: the health loop": (system) => readHealthState(system, paths),
  "status: drained": (system) => isOperatorsDrain(system, paths),
  "status: held back": (system) => isHeldBack(system, paths),
  "status: renewal": (system) => readAcmeState(system, paths),
  "status: names": (system) => nameStates({ system, paths }),
  "why, apply --dry-run: names": (system) => knownNames(system, paths),
  "apply --dry-run: what stands there": (system) => readCurrent(system, paths, []),
  "apply --dry-run: ports": (system) => siteReservedPorts(system, paths),
  "apply: drift": (system) => drift(system, paths),
  "apply: a change that waits": (system) => waiting(system, paths, new Date()),
  "apply: ownership": (system) => own(system, paths, [{ path: "/etc/new", before: undefined, after: undefined }]),
  "apply: kernel values": (system) => valuesFor({ system, paths }, SYSCTLS),
  "apply: firewall": (system) => shutOut({ system, paths }),
  "apply: reload of ExaBGP": (system) => bearsReload(system, paths, () => {}),
  "recover, confirm: the change under way": (system) => pending(system, paths),
  "rollback: a generation": (system) => readGeneration(system, paths, 3),
  "upgrade: one that was cut off": (system) => cutOffUpgrade({ system, paths }),
  history: (system) => readHistory(system, paths, new Date(0)),
  bootstrap: (system) => recordsToMend(system, paths, [STEP]),
  "uninstall: before anything": (system) => requireRecords(system, paths),
  "uninstall: journal": (system) => readJournal(system, paths),
  "doctor: records": (system) => checkRecords(lookAt({ system, paths, isRoot: true })),
  "doctor: unconfirmed": (system) => checkUnconfirmed(lookAt({ system, paths, isRoot: true })),
  "doctor: drift": (system) => checkDrift(lookAt({ system, paths, isRoot: true })),
  "doctor: edits": (system) => checkApplied(lookAt({ system, paths, isRoot: true })),
  "doctor: executable": (system) => checkExecutable(lookAt({ system, paths, isRoot: true })),
  "apply: nothing to change": (system) => keepIfLost(system, paths, LIVE),
};

const DAMAGE: readonly (readonly [what: string, change: (sample: string) => string | undefined])[] = [
  ["missing", () => undefined],
  ["empty", () => ""],
  ["cut off", (sample) => sample.slice(0, Math.ceil(sample.length / 2))],
  ["binary", () => "\u0000\u0001\u0002\ufffd".repeat(50)],
  ["of an older ober", (sample) => sample],
  ["of a newer ober", () => '{"version":99,"more":{"than":"this"}}'],
];

/** A configured node with all of its files, but one that is as `content` says. */
async function node(name: OwnName, content: string | undefined) {
  const system = temporarySystem(() => "");
  const write = async (path: string, text: string) => {
    await system.makeDirectory(path.slice(0, path.lastIndexOf("/")));
    await system.writeAtomic(path, text);
  };
  await system.makeDirectory(paths.var);
  await write(`${paths.unitDirectory}/ober-http.service`, `ExecStart=${paths.executable} names\n`);
  await write(paths.executable, "x");
  await system.makeDirectory("/usr/local/bin");
  await system.symlink(paths.executable, paths.link);
  await write("/etc/x", "x");
  for (const each of NAMES) {
    // A change, an upgrade or a drill under way is none of a healthy node's.
    if (each !== name && ["transaction", "upgrade", "drill"].includes(each)) continue;
    const text = each === name ? content : OWN[each];
    if (text !== undefined) await write(fileOf(each), text);
  }
  return system;
}

type Answer = { readonly value: unknown } | { readonly error: OberError };

async function ask(command: (system: System) => Promise<unknown>, system: System): Promise<Answer> {
  try {
    return { value: await command(system) };
  } catch (error) {
    if (error instanceof OberError) return { error };
    throw error;
  }
}

/** Who cannot go on without the file; looking at the node is never among them. */
function mayFail(name: OwnName, what: string): readonly string[] {
  const all = Object.keys(COMMANDS).filter((label) => !/^(status|why|every)/.test(label));
  if (what === "of an older ober" || OWN_FILES[name].remedy.kind === "ignored") return [];
  // Of a damaged record of a drill it is known that there was one, and that is enough to end it.
  if (name === "drill") return what === "of a newer ober" ? ["bootstrap"] : [];
  if (what !== "missing") return all;
  if (name === "generation") return ["rollback: a generation"];
  return name === "journal" || name === "owned" ? ["uninstall: before anything"] : [];
}

describe.each(NAMES)("%s", (name) => {
  test.each(DAMAGE)("that is %s", async (what, change) => {
    const content = change(OWN[name]);
    using system = await node(name, content);
    const failed: string[] = [];
    for (const [label, command] of Object.entries(COMMANDS)) {
      // As the command before may have mended it.
      if (content === undefined) await system.remove(fileOf(name));
      else await system.writeAtomic(fileOf(name), content);
      const answer = await ask(command, system);
      if ("value" in answer) continue;
      failed.push(label);
      const { message, hint } = answer.error;
      if (!message.includes("there is no generation")) {
        expect(message).toContain(what === "missing" ? OWN_FILES[name].place : fileOf(name));
        expect(hint).toMatch(/ober \w+|^rm /);
      }
    }
    expect(failed).toEqual(failed.filter((label) => mayFail(name, what).includes(label)));
    expect(failed.length > 0).toBe(mayFail(name, what).length > 0);
  });

  test("as it should be troubles nobody", async () => {
    using system = await node(name, ["transaction", "upgrade"].includes(name) ? undefined : OWN[name]);
    expect(await recordTroubles(system, paths)).toEqual([]);
    expect((await checkRecords(lookAt({ system, paths, isRoot: true }))).status).toBe("pass");
  });
});

describe("doctor", () => {
  const verdict = async (name: OwnName, content: string | undefined) => {
    using system = await node(name, content);
    return await checkRecords(lookAt({ system, paths, isRoot: true }));
  };

  test.each<[OwnName, string | undefined, object]>([
    [
      "journal",
      undefined,
      {
        status: "warn",
        detail: "lost: /opt/ober/var/journal.json: uninstall and rollback need what was there",
        fix: "ober bootstrap /opt/ober",
      },
    ],
    ["owned", "{", { status: "fail", fix: "ober bootstrap /opt/ober" }],
    ["generation", "", { status: "fail", fix: "rm /opt/ober/var/generations/3.json && ober apply --yes" }],
    ["generation", undefined, { status: "warn", fix: "ober bootstrap /opt/ober" }],
    ["acme", "{", { status: "warn", fix: "rm /opt/ober/var/acme/state.json" }],
    ["openings", '{"version":2}', { status: "fail", fix: expect.stringContaining("ober upgrade --rollback") }],
    ["openings", undefined, { status: "pass" }],
  ])("says of %s that is %p what it knew, and what to type", async (name, content, expected) => {
    expect(await verdict(name, content)).toMatchObject(expected);
  });

  test("does not take a first change that is under way for a lost generation", async () => {
    using system = await node("generation", undefined);
    await system.makeDirectory(paths.transaction);
    await system.writeAtomic(paths.transactionState, OWN.transaction);
    expect(await recordTroubles(system, paths)).toEqual([]);
  });

  test("needs root, and says nothing of a machine without ober", async () => {
    using system = temporarySystem();
    expect((await checkRecords(lookAt({ system, paths, isRoot: false }))).status).toBe("skip");
    expect((await checkRecords(lookAt({ system, paths, isRoot: true }))).status).toBe("pass");
  });
});

describe("the newest generation, when nothing has to change,", () => {
  const files = [{ path: "/etc/x", content: "x", mode: 0o644 }];

  test("is left where it says what is live", async () => {
    using system = await node("generation", OWN.generation);
    expect(await keepIfLost(system, paths, { ...LIVE, files })).toBeUndefined();
  });

  test.each(["", '{"version":2}', OWN.generation.replace('"content":"x"', '"content":"y"')])(
    "is made again where it is %p",
    async (content) => {
      using system = await node("generation", content);
      expect((await keepIfLost(system, paths, { ...LIVE, files }))?.number).toBe(4);
      expect(await drift(system, paths)).toEqual([]);
    },
  );

  test("is the first where there is none", async () => {
    using system = await node("generation", undefined);
    expect((await keepIfLost(system, paths, { ...LIVE, files }))?.number).toBe(1);
  });
});
