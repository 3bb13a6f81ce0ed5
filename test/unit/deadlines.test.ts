/** docs/decisions/deadlines.md names everything that waits. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "../..");
const list = readFileSync(join(root, "docs/decisions/deadlines.md"), "utf8");
const sources = [...new Bun.Glob("src/**/*.ts").scanSync(root)].sort();

/** What a wait is written with: sockets, requests, names, children, the terminal, the C library, and looking again after a pause. */
const WAITS =
  /\bclock\.sleep\(|\bBun\.(connect|listen|spawn|sleep|dns|stdin|udpSocket)\b|\b(net|tls)\.connect\(|\bhttps?\.(request|get)\b|\bfetch\(|new Resolver\(|\bsymbols\.(recv|poll)\(|\bflock\(|\bprocess\.stdin\b|\bacme\.Client\b/;

test("the list of deadlines names every file that waits", () => {
  const waiting = sources.filter((file) => WAITS.test(readFileSync(join(root, file), "utf8")));
  expect(waiting.length).toBeGreaterThan(20);
  expect(waiting.filter((file) => !list.includes(`\`${file}\``))).toEqual([]);
});

test("the list of deadlines names no file that is gone", () => {
  const named = [...list.matchAll(/`((?:src|test)\/[^`]+)`/g)].map(([, file = ""]) => file);
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([]);
});
