/** A power cut at any point leaves the old configuration or the new one, never a mix. */
import { describe, expect, test } from "bun:test";
import type { Change } from "../../../src/change/diff.ts";
import { begin, commit, finish, pending, restore } from "../../../src/change/transaction.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import type { System } from "../../../src/system/system.ts";
import { cutAfter, PowerCut, temporarySystem } from "../../helpers/system.ts";

const paths = pathsOf("/opt/ober");

const CHANGES: readonly Change[] = [
  {
    path: "/etc/a",
    before: { content: "old a", mode: 0o644 },
    after: { path: "/etc/a", content: "new a", mode: 0o600 },
  },
  { path: "/etc/b", before: undefined, after: { path: "/etc/b", content: "new b", mode: 0o644 } },
  { path: "/etc/c", before: { content: "old c", mode: 0o644 }, after: undefined },
];

const OLD: Readonly<Record<string, string | undefined>> = {
  "/etc/a": "old a 644",
  "/etc/b": undefined,
  "/etc/c": "old c 644",
};
const NEW: Readonly<Record<string, string | undefined>> = {
  "/etc/a": "new a 600",
  "/etc/b": "new b 644",
  "/etc/c": undefined,
};

async function files(system: System) {
  const found: Record<string, string | undefined> = {};
  for (const path of Object.keys(OLD)) {
    const stat = await system.stat(path);
    found[path] = stat && `${await system.read(path)} ${stat.mode.toString(8)}`;
  }
  return found;
}

async function change(system: System): Promise<void> {
  await begin(system, paths, CHANGES, { units: [], edited: false, drained: [], generation: 1 });
  await commit(system, CHANGES);
  await finish(system, paths);
}

/** What `ober recover` does to files. */
async function repair(system: System): Promise<void> {
  const state = await pending(system, paths);
  if (!state) return;
  await restore(system, state);
  await finish(system, paths);
}

async function oldSystem() {
  const system = temporarySystem();
  await system.makeDirectory("/etc");
  await system.writeAtomic("/etc/a", "old a");
  await system.writeAtomic("/etc/c", "old c");
  return system;
}

describe("a change", () => {
  test("puts the new files in place", async () => {
    using system = await oldSystem();
    await change(system);
    expect(await files(system)).toEqual(NEW);
    expect(await pending(system, paths)).toBeUndefined();
  });

  // One more than there are changes, so that the last one is not cut at all.
  test.each(Array.from({ length: 11 }, (_, cut) => cut))(
    "cut off after %d file operations is old or new",
    async (cut) => {
      using system = await oldSystem();
      const completed = await change(cutAfter(system, cut)).then(
        () => true,
        (error) => {
          if (!(error instanceof PowerCut)) throw error;
          return false;
        },
      );
      await repair(system);
      const found = await files(system);
      expect(completed ? [NEW] : [OLD, NEW]).toContainEqual(found);
      expect(await pending(system, paths)).toBeUndefined();
    },
  );

  test.each(Array.from({ length: 12 }, (_, cut) => cut))(
    "whose repair is cut off after %d operations is repaired by the next",
    async (cut) => {
      using system = await oldSystem();
      await begin(system, paths, CHANGES, { units: [], edited: false, drained: [], generation: 1 });
      await commit(cutAfter(system, 4), CHANGES).catch(() => {});
      await repair(cutAfter(system, cut)).catch((error) => {
        if (!(error instanceof PowerCut)) throw error;
      });
      await repair(system);
      expect(await files(system)).toEqual(OLD);
    },
  );
});
