/** Each file of ober's own, as it may be found: damaged, of a newer ober, of an older one. */
import { describe, expect, test } from "bun:test";
import { pathsOf } from "../../../src/domain/paths.ts";
import { OberError } from "../../../src/errors.ts";
import { flawOf, OWN_FILES, type OwnName, parseOwn, readOwn } from "../../../src/system/own-files.ts";
import { OWN } from "../../fuzz/parsers.ts";

const paths = pathsOf("/opt/ober");
const NAMES = Object.keys(OWN_FILES) as OwnName[];

/** The OberError of `read`; anything else fails the test. */
function errorOf(read: () => unknown): OberError {
  try {
    read();
  } catch (error) {
    if (error instanceof OberError) return error;
    throw error;
  }
  throw new Error("it was read");
}

describe.each(NAMES)("%s", (name) => {
  const sample = OWN[name];

  test("as ober writes it is read whole, and keeps keys that a later ober adds", () => {
    expect(parseOwn(name, sample)).toMatchObject(JSON.parse(sample));
    expect(flawOf(name, sample)).toBeUndefined();
    if (Array.isArray(JSON.parse(sample)) || ["sysctls", "owned", "names", "nameStates"].includes(name)) return;
    const more = { ...JSON.parse(sample), later: { x: 1 } };
    expect(parseOwn(name, JSON.stringify(more))).toMatchObject({ later: { x: 1 } });
  });

  test.each<[what: string, content: string, message: string]>([
    ["empty", "", "is damaged: it is empty"],
    ["blank", " \n", "is damaged: it is empty"],
    ["cut off", sample.slice(0, -2), "is damaged: it is not JSON"],
    ["binary", "\u0000\u0001\ufffd{", "is damaged: it is not JSON"],
    ["another document", '"x"', "is damaged: it does not have the form that ober writes"],
    ["null", "null", "is damaged: it does not have the form that ober writes"],
  ])("that is %s is an error that names the file and says what to type", (_, content, message) => {
    expect(parseOwn(name, content)).toBeUndefined();
    const error = errorOf(() => readOwn(name, content, paths));
    expect(error.message).toBe(`${paths[OWN_FILES[name].place]} ${message}`);
    expect(error.hint).toMatch(/^(ober recover|ober bootstrap \/opt\/ober|rm (-r )?\/\S+( && ober \w+( --yes)?)*)$/);
    expect(error.exitCode).toBe(1);
  });

  test("of a newer ober is no damage: the error says how that ober comes back", () => {
    const newer = JSON.stringify({ version: OWN_FILES[name].version + 1, whatever: [] });
    expect(parseOwn(name, newer)).toBeUndefined();
    const error = errorOf(() => readOwn(name, newer, paths));
    expect(error.message).toContain("was written by a newer ober: its version is 2, this ober reads 1");
    expect(error.hint).toContain("ober upgrade --rollback");
  });
});

test.each<[OwnName, string]>([
  ["generation", '{"number":1,"at":"2026-01-01T12:00:00Z","by":"a","command":"apply","changed":[],"files":[]}'],
  ["upgrade", '{"at":"x","by":"a","packages":[{"name":"haproxy","newFile":"/x.deb"}]}'],
  ["acme", '{"failures":0}'],
  ["transaction", '{"version":1,"before":{},"units":[]}'],
  ["journal", '{"version":1,"directories":[],"steps":[]}'],
])("a %s that an older ober wrote, without what came since, is read", (name, content) => {
  expect(parseOwn(name, content)).toMatchObject(JSON.parse(content));
});

test("a generation that is damaged is named by its number", () => {
  const file = "/opt/ober/var/generations/7.json";
  expect(errorOf(() => readOwn("generation", "{", paths, file))).toMatchObject({
    message: `${file} is damaged: it is not JSON`,
    hint: `rm ${file} && ober apply --yes`,
  });
});
