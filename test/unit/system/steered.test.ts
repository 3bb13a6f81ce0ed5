import { expect, test } from "bun:test";
import { steeredBy } from "../../../src/system/steered.ts";
import type { FileStat, System } from "../../../src/system/system.ts";

type Entry = { readonly mode?: number; readonly uid?: number; readonly gid?: number; readonly link?: string };

function machine(entries: Readonly<Record<string, Entry>>): System {
  const all: Readonly<Record<string, Entry>> = { "/": {}, "/etc": {}, "/etc/hook": {}, ...entries };
  return {
    stat: async (path: string): Promise<FileStat | undefined> => {
      const entry = all[path];
      if (entry === undefined) return undefined;
      const { mode = 0o755, uid = 0, gid = 0, link } = entry;
      return {
        kind: link === undefined ? "file" : "link",
        mode: link === undefined ? mode : 0o777,
        uid,
        gid,
        size: 1,
        inode: 1,
        changedMs: 0,
      };
    },
    readLink: async (path: string) => all[path]?.link,
  } as unknown as System;
}

test.each<[what: string, entries: Record<string, Entry>, answer: string | undefined]>([
  ["root's alone", {}, undefined],
  ["a file of another user", { "/etc/hook": { uid: 1000 } }, "/etc/hook belongs to the user with the ID 1000"],
  ["a directory of another user", { "/etc": { uid: 1000 } }, "/etc belongs to the user with the ID 1000"],
  ["a file for all", { "/etc/hook": { mode: 0o777 } }, "/etc/hook can be changed by others"],
  ["a directory for all, sticky", { "/etc": { mode: 0o1777 } }, "/etc can be changed by others"],
  ["a group of others", { "/etc": { mode: 0o775, gid: 4 } }, "/etc can be changed by others"],
  ["root's group", { "/etc": { mode: 0o775 } }, undefined],
  ["a link to a file for all", { "/etc/hook": { link: "../x" }, "/x": { mode: 0o777 } }, "/x can be changed by others"],
  ["a link to root's", { "/etc/hook": { link: "/x" }, "/x": {} }, undefined],
  ["a masked unit", { "/etc/hook": { link: "/dev/null" }, "/dev": {}, "/dev/null": { mode: 0o666 } }, undefined],
  ["a circle of links", { "/etc/hook": { link: "/etc/hook" } }, "/etc/hook is a link that leads nowhere"],
])("%s", async (_, entries, answer) => {
  expect(await steeredBy(machine(entries), "/etc/hook")).toBe(answer as never);
});
