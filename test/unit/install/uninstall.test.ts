/** What is left of ober after `uninstall`: nothing, whatever state files there were. */
import { expect, test } from "bun:test";
import { own } from "../../../src/change/owned.ts";
import { OWNER, type Owner, type Paths, placesOf } from "../../../src/domain/paths.ts";
import { UNIT_FILES } from "../../../src/domain/units.ts";
import { runSteps, undoSteps } from "../../../src/install/runner.ts";
import { type Machine, machine } from "../../helpers/bare-machine.ts";

const quiet = { begin: () => {}, report: () => {} };
const now = () => new Date("2026-11-23T12:00:00Z");

const LEFT: readonly Owner[] = ["state", "executable", "run"];

/** A node with a configuration, and everything on it that any command of ober's may ever leave. */
async function usedNode(): Promise<Machine> {
  const here = await machine();
  const { system, paths } = here;
  await runSteps(system, paths, here.steps(), { ...quiet, now });
  const written = [
    ...placesOf(paths, "generated").filter((path) => path !== paths.sysctl),
    ...UNIT_FILES.map((name) => `${paths.unitDirectory}/${name}`),
  ];
  await own(
    system,
    paths,
    written.map((path) => ({ path, before: undefined, after: undefined })),
  );
  for (const path of written) here.put(path, "# Written by ober\n");
  for (const name of Object.keys(OWNER) as (keyof Paths)[]) {
    const isKept = ["journal", "owned", "executable"].includes(name);
    if (isKept || !LEFT.includes(OWNER[name])) continue;
    // A place below another makes that one a directory.
    const isDirectory =
      Object.values(paths).some((other) => other.startsWith(`${paths[name]}/`)) || name === "generations";
    if (isDirectory) here.put(`${paths[name]}/something`, "x");
    else here.put(paths[name], name === "firewallRules" ? '{"firewall":"none","openings":[]}' : "x");
  }
  for (const name of [
    "ober-check-aB3xyZ/staged",
    "upgrade-0123456789abcdef/new",
    "journal.json.ober-new",
    "owned.json.damaged",
  ])
    here.put(`${paths.var}/${name}`, "x");
  for (const path of [`${paths.executable}.ober-new`, `${paths.config}.ober-new`, `${paths.acme}/account-0123.pem`])
    here.put(path, "x");
  await system.symlink(paths.executable, `${paths.link}.ober-new`);
  return here;
}

test("nothing of ober's is left, whatever there was", async () => {
  using bare = await machine();
  using here = await usedNode();
  expect(here.snapshot().length).toBeGreaterThan(bare.snapshot().length + 60);
  expect(await undoSteps(here.system, here.paths, here.steps(), quiet)).toEqual([]);
  expect(here.snapshot()).toEqual(bare.snapshot());
});

test("the configuration is left where the operator wants it so, and nothing else", async () => {
  using bare = await machine();
  using here = await usedNode();
  const steps = here.steps({ keepConfig: true });
  const left = await undoSteps(here.system, here.paths, steps, quiet);
  expect(left).toEqual(["/opt/ober"]);
  const others = here.snapshot().filter((line) => !/^(directory|file) \/opt\/ober(\/etc|[ ])/.test(line));
  expect(others).toEqual([...bare.snapshot()]);
  expect(here.text(here.paths.config)).toBe("# Written by ober\n");
});

test("what is not ober's stays, and its directory is named", async () => {
  using here = await usedNode();
  here.put(`${here.paths.var}/notes.txt`, "the operator's");
  expect(await undoSteps(here.system, here.paths, here.steps(), quiet)).toEqual(["/opt/ober/var", "/opt/ober"]);
  expect(here.text(`${here.paths.var}/notes.txt`)).toBe("the operator's");
  expect(await here.system.list(here.paths.var)).toEqual(["notes.txt"]);
});

test("a change that waits for its confirmation is not undone by an ober that is gone", async () => {
  using here = await usedNode();
  here.units.set("ober-confirm.timer", { load: "loaded", active: "active", enabled: "" });
  await undoSteps(here.system, here.paths, here.steps(), quiet);
  expect(here.units.get("ober-confirm.timer")).toBeUndefined();
});
