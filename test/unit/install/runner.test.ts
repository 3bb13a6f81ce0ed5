import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { pathsOf } from "../../../src/domain/paths.ts";
import { OberError } from "../../../src/errors.ts";
import { readJournal } from "../../../src/install/journal.ts";
import { runSteps, type StepOutcome, undoSteps } from "../../../src/install/runner.ts";
import type { Step } from "../../../src/install/step.ts";
import type { System } from "../../../src/system/system.ts";
import { temporarySystem } from "../../helpers/system.ts";

const paths = pathsOf("/opt/ober");
const now = () => new Date("2026-11-23T12:00:00Z");

/** A step that replaces the text of a file and puts the former one back. */
function fileStep(system: System, path: string): Step<string | null> {
  return {
    id: path,
    title: path,
    record: v.nullable(v.string()),
    check: async () => ((await system.read(path)) === "ober" ? "done" : "needed"),
    plan: async () => (await system.read(path)) ?? null,
    async apply() {
      await system.writeAtomic(path, "ober");
      return [];
    },
    async undo(before) {
      if (before === null) await system.remove(path);
      else await system.writeAtomic(path, before);
      return [];
    },
  };
}

async function machine() {
  const system = temporarySystem();
  await system.makeDirectory("/opt");
  await system.makeDirectory("/etc");
  await system.writeAtomic("/etc/there", "before");
  await system.writeAtomic("/etc/as-wanted", "ober");
  const steps = ["/etc/new", "/etc/there", "/etc/as-wanted"].map((path) => fileStep(system, path)) as readonly Step[];
  return { system, steps };
}

async function run(system: System, steps: readonly Step[]) {
  const outcomes: StepOutcome[] = [];
  const tell = { begin: () => {}, report: (outcome: StepOutcome) => void outcomes.push(outcome), now };
  await runSteps(system, paths, steps, tell);
  return outcomes.map(({ id, outcome }) => `${id} ${outcome}`);
}

async function undo(system: System, steps: readonly Step[]) {
  const tell = { begin: () => {}, report: () => {} };
  return undoSteps(system, paths, steps, tell);
}

const etc = async (system: System) =>
  Promise.all((await system.list("/etc")).map(async (name) => `${name}: ${await system.read(`/etc/${name}`)}`));

describe("bootstrap", () => {
  test("takes the steps that are needed and finds the others", async () => {
    const { system, steps } = await machine();
    using _ = system;
    expect(await run(system, steps)).toEqual(["/etc/new done", "/etc/there done", "/etc/as-wanted found"]);
    expect(await run(system, steps)).toEqual(["/etc/new found", "/etc/there found", "/etc/as-wanted found"]);
  });

  test("refuses a path whose parent is missing", async () => {
    using system = temporarySystem();
    expect(run(system, [])).rejects.toThrow("the directory /opt does not exist");
  });

  test("undone leaves the machine as it was, with what it found", async () => {
    const { system, steps } = await machine();
    using _ = system;
    const before = await etc(system);
    await run(system, steps);
    expect(await undo(system, steps)).toEqual([]);
    expect(await etc(system)).toEqual(before);
    expect(await system.list("/opt")).toEqual([]);
  });

  test.each(["check", "plan", "apply"] as const)(
    "killed in %s of any step ends the same when it is run again",
    async (phase) => {
      for (const killed of [0, 1]) {
        const { system, steps } = await machine();
        using _ = system;
        const before = await etc(system);
        const dying = steps.map((step, i) =>
          i !== killed
            ? step
            : {
                ...step,
                [phase]: async (record: unknown) => {
                  // As a kill would: what the phase did is done, and nothing after it.
                  await (step[phase] as (record: unknown) => Promise<unknown>)(record);
                  throw new Error("killed");
                },
              },
        );
        expect(run(system, dying)).rejects.toThrow("killed");
        await run(system, dying).catch(() => {});
        await run(system, steps);
        expect(await etc(system)).toEqual(["as-wanted: ober", "new: ober", "there: ober"]);
        await undo(system, steps);
        expect(await etc(system)).toEqual(before);
      }
    },
  );

  test("keeps in the journal what could not be undone, and undoes the rest", async () => {
    const { system, steps } = await machine();
    using _ = system;
    await run(system, steps);
    const stubborn = steps.map((step) => ({
      ...step,
      undo: async (record: unknown) => {
        if (step.id === "/etc/new") throw new OberError("the disk is full");
        return step.undo(record);
      },
    }));
    expect(undo(system, stubborn)).rejects.toThrow("the disk is full");
    await undo(system, stubborn).catch(() => {});
    expect((await readJournal(system, paths))?.steps.map(({ id }) => id)).toEqual(["/etc/new"]);
    expect(await system.read("/etc/there")).toBe("before");
    await undo(system, steps);
    expect(await system.list("/opt")).toEqual([]);
  });

  test("reads a journal that an earlier version wrote", async () => {
    using system = temporarySystem();
    await system.makeDirectory("/opt/ober/var");
    const written = `{"version":1,"directories":["/opt/ober","/opt/ober/var"],"steps":[{"id":"sysctl","state":"applied","at":"2026-11-23T12:00:00.000Z","record":[["net.core.somaxconn","4096"]]}]}`;
    await system.writeAtomic(paths.journal, written);
    expect((await readJournal(system, paths))?.steps).toEqual([
      { id: "sysctl", state: "applied", at: "2026-11-23T12:00:00.000Z", record: [["net.core.somaxconn", "4096"]] },
    ]);
  });

  test.each(["", "{", "[]", '{"version":2,"directories":[],"steps":[]}'])("refuses the journal %p", async (text) => {
    using system = temporarySystem();
    await system.makeDirectory("/opt/ober/var");
    await system.writeAtomic(paths.journal, text);
    expect(readJournal(system, paths)).rejects.toThrow(/journal.json (is damaged|was written by a newer ober)/);
  });
});
