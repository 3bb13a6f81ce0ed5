import { describe, expect, test } from "bun:test";
import {
  isLeftover,
  OWNER,
  type Owner,
  type Paths,
  pathsOf,
  placesOf,
  placesOfWork,
} from "../../../src/domain/paths.ts";
import { generatedPaths } from "../../../src/render/index.ts";

const paths = pathsOf("/opt/ober");

test("every place has an owner, and the table has no other", () => {
  expect(Object.keys(OWNER).sort()).toEqual(Object.keys(paths).sort());
});

test.each<[Owner, RegExp]>([
  ["state", /^\/opt\/ober\/var\/./],
  ["executable", /^\/opt\/ober\/bin\/ober(\.|$)/],
  ["link", /^\/usr\/local\/bin\/ober$/],
  ["run", /^\/run\/ober/],
  ["directories", /^\/opt\/ober(\/etc|\/etc\/certs|\/var)?$/],
])("what belongs to %s lies where that is looked for, and all that lies there does", (owner, where) => {
  for (const place of placesOf(paths, owner)) expect(place).toMatch(where);
  const there = (Object.keys(paths) as (keyof Paths)[]).filter((name) => where.test(paths[name]));
  expect(there.map((name) => `${name} ${OWNER[name]}`)).toEqual(there.map((name) => `${name} ${owner}`));
});

test("what a configuration renders belongs to it", () => {
  const files = generatedPaths(paths).filter((path) => !path.startsWith(paths.unitDirectory));
  expect(files.filter((path) => !placesOf(paths, "generated").includes(path))).toEqual([]);
});

test("what a killed command leaves is ober's own", () => {
  const own = (["state", "executable", "run"] as const).flatMap((owner) => placesOf(paths, owner));
  expect(placesOfWork(paths).filter((place) => !own.includes(place))).toEqual([]);
});

describe("in var", () => {
  test.each(["ober-check-aB3_x9", "upgrade-0123456789abcdef", "journal.json.ober-new", "owned.json.damaged"])(
    "%s is what a command left",
    (name) => expect(isLeftover(name)).toBe(true),
  );
  test.each(["notes.txt", "upgrade-notes", "ober-check-", "journal.json", "backup.ober-new.tar", "damaged"])(
    "%s is not",
    (name) => expect(isLeftover(name)).toBe(false),
  );
});
