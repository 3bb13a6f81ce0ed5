/** `bootstrap` killed at each of its steps, and by a loss of power: run again, it ends where an undisturbed run ends. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { LabNode } from "../lab/lab.ts";
import { copyExecutable, ober, PREFIX_ON_NODE } from "../lab/ober.ts";
import { RELEASE, ROUNDS, sharedLab } from "./_cluster.ts";
import { killWhen } from "./_interrupt.ts";
import { differences, type Snapshot, snapshot } from "./_snapshot.ts";

type JournalStep = { readonly id: string; readonly state: "found" | "applying" | "applied"; at?: string };

const BOOTSTRAP = ["/root/ober", "bootstrap", PREFIX_ON_NODE, "--yes"];
const JOURNAL = join(PREFIX_ON_NODE, "var/journal.json");
const STEPS = [
  "directories",
  "executable",
  "link",
  "shell",
  "foreign-units",
  "haproxy-source",
  "packages",
  "sysctl",
  "watchdog",
  "selinux",
  "network",
  "firewall",
  "files",
];

/** Each step and each moment is the same case again: all of them when a number of rounds is given. */
const LONG = ROUNDS > 1;

let node: LabNode;
let bare: Snapshot;
let undisturbed: Snapshot;
let undisturbedJournal: unknown;

beforeAll(async () => {
  const lab = await sharedLab();
  node = lab.node(lab.names().at(-1) ?? "");
  await node.reset(RELEASE);
  bare = await snapshot(node);
  copyExecutable(node);
  await node.exec(BOOTSTRAP, { timeoutMs: 120_000 });
  undisturbed = await comparable();
  undisturbedJournal = journalWithoutTimes();
  expect(journal().map(({ id }) => id)).toEqual(STEPS);
}, 300_000);
afterAll(() => node?.reset());

describe("a bootstrap that is killed", () => {
  test.each(LONG ? STEPS : [])(
    "when step %s is begun ends, run again, as an undisturbed one",
    async (id) => {
      await node.reset();
      copyExecutable(node);
      await killWhen(node, BOOTSTRAP, () => hasBegun(id));
      await endsAsUndisturbed();
    },
    120_000,
  );

  // Taken back, it is killed there as well.
  test.each(LONG ? [500, 2_000, 4_000] : [])(
    "%d ms into the packages ends, run again, as an undisturbed one",
    async (ms) => {
      await node.reset();
      copyExecutable(node);
      expect(await killWhen(node, BOOTSTRAP, after(ms))).toBe(true);
      await endsAsUndisturbed();
    },
    120_000,
  );

  test.each(LONG ? [500, 2_000, 4_000] : [500])(
    "by a loss of power %d ms into the packages ends, run again, as an undisturbed one",
    async (ms) => {
      await node.reset();
      copyExecutable(node);
      const isTime = after(ms);
      expect(await killWhen(node, BOOTSTRAP, isTime)).toBe(true);
      await node.powerOff();
      await node.boot();
      await endsAsUndisturbed();
    },
    120_000,
  );

  test("can be taken back instead", async () => {
    await node.reset();
    bare = await snapshot(node);
    copyExecutable(node);
    expect(await killWhen(node, BOOTSTRAP, after(2_000))).toBe(true);
    await ober(node, ["uninstall", "--yes"]);
    // dpkg keeps a directory in which a set-up that was cut off has left bytecode of Python's.
    const bytecode = /^new: file \/usr\/(lib|share)\/python3\S* directory/;
    expect(differences(bare, await snapshot(node)).filter((line) => !bytecode.test(line))).toEqual([]);
  }, 120_000);
});

async function endsAsUndisturbed(): Promise<void> {
  await node.exec(BOOTSTRAP, { timeoutMs: 120_000 });
  expect(differences(undisturbed, await comparable())).toEqual([]);
  expect(journalWithoutTimes()).toEqual(undisturbedJournal);
}

/**
 * The machine without its identity, its network card (another one after each reset), the journal, whose times differ, and what depends on the order in which packages were
 * set up: the numbers of their users. Units that systemd runs at the first boot only are nobody's matter either.
 */
async function comparable(): Promise<Snapshot> {
  const all = await snapshot(node);
  const own =
    /^file (\/etc\/(machine-id|passwd|group|shadow|gshadow)|.*\/journal\.json)$|^active (systemd-|ldconfig)|^link .*@if|^(address|route) .*fe80::/;
  const numbers = /^(user|group) /;
  return new Map(
    [...all].filter(([key]) => !own.test(key)).map(([key, value]) => [key, numbers.test(key) ? "" : value]),
  );
}

function journal(): readonly JournalStep[] {
  const path = join(node.root, JOURNAL);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).steps : [];
}

function journalWithoutTimes(): unknown {
  return journal().map(({ at: _, ...step }) => step);
}

function hasBegun(id: string): boolean {
  return journal().some((step) => step.id === id);
}

/** True from `ms` after the begin of the packages on. */
function after(ms: number): () => boolean {
  let begun: number | undefined;
  return () => {
    if (hasBegun("packages")) begun ??= performance.now();
    return begun !== undefined && performance.now() - begun >= ms;
  };
}
