/** Names as getent(1) answers for them, by a scripted machine. */
import { describe, expect, test } from "bun:test";
import type { Answer } from "../../../src/domain/names.ts";
import { OberError } from "../../../src/errors.ts";
import { askNames, askTogether, knownNames, resolveHosts } from "../../../src/system/resolve.ts";
import type { System } from "../../../src/system/system.ts";

const AT = "2026-11-26T10:00:00.000Z";

/** What a name server says: addresses, nothing, or silence; `asked` has the questions with their deadlines. */
function resolver(zone: Readonly<Record<string, readonly string[] | "silence">>) {
  const asked: { readonly names: readonly string[]; readonly ms: number }[] = [];
  const lines = (key: string) => {
    const found = key === "192.0.2.254" ? [key] : zone[key];
    if (found === "silence") throw new OberError("ended after 1 s without a result");
    return (found ?? []).map((one) => `${one}     STREAM ${key}\n${one}     DGRAM  \n${one}     RAW    \n`).join("");
  };
  const run: System["run"] = async ([, , ...keys], options = {}) => {
    asked.push({ names: keys, ms: options.timeoutMs ?? 0 });
    const parts = keys.map(lines);
    const code = parts.includes("") ? 2 : 0;
    if (!(options.accept ?? [0]).includes(code)) throw new OberError(`failed with code ${code}`);
    return { code, stdout: parts.join(""), stderr: "" };
  };
  return { system: { run } as System, asked };
}

const ZONE = { rgw1: ["10.0.0.1", "2001:db8::1"], rgw2: ["fe80::1%eth0", "10.0.0.2"], gone: "silence" } as const;

describe("names are asked for", () => {
  test("at once, and each has its answer or its problem", async () => {
    const { system } = resolver(ZONE);
    expect(await askNames(system, ["rgw1", "rgw2", "gone", "nosuch"], 1000)).toEqual(
      new Map<string, Answer>([
        ["rgw1", { addresses: ["10.0.0.1", "2001:db8::1"] }],
        ["rgw2", { addresses: ["10.0.0.2"] }],
        ["gone", { problem: "no answer from DNS within 1 s" }],
        ["nosuch", { problem: "DNS has no address for it, or refuses to answer" }],
      ]),
    );
  });

  test("64 at a time, and more of them share the time", async () => {
    const { system, asked } = resolver({});
    const names = Array.from({ length: 200 }, (_, index) => `rgw${index}`);
    expect((await askNames(system, names, 1000)).size).toBe(200);
    expect(new Set(asked.map(({ ms }) => ms))).toEqual(new Set([250]));
  });

  test("together in one process while all is well", async () => {
    const { system, asked } = resolver(ZONE);
    const answers = await askTogether(system, ["rgw1", "rgw2"], 1000);
    expect(answers).toEqual(
      new Map([
        ["rgw1", { addresses: ["10.0.0.1", "2001:db8::1"] }],
        ["rgw2", { addresses: ["10.0.0.2"] }],
      ]),
    );
    expect(asked).toEqual([{ names: ["rgw1", "192.0.2.254", "rgw2", "192.0.2.254"], ms: 1000 }]);
  });

  test.each(["gone", "nosuch"])("together in vain where one of them has no answer: %s", async (name) => {
    const { system } = resolver(ZONE);
    expect(await askTogether(system, ["rgw1", name, "rgw2"], 1000)).toBeUndefined();
  });
});

describe("names that must have an address", () => {
  const known = new Map([["gone", { addresses: ["10.0.0.9"], at: AT }]]);

  test("have that from before where they do not resolve, and say so", async () => {
    const { system, asked } = resolver(ZONE);
    expect(await resolveHosts(system, ["rgw1", "gone"], known)).toEqual({
      addresses: { rgw1: ["10.0.0.1", "2001:db8::1"], gone: ["10.0.0.9"] },
      stale: { gone: "gone: address 10.0.0.9 from before (2026-11-26T10:00Z), no answer from DNS within 1 s" },
    });
    expect(asked.map(({ ms }) => ms)).toEqual([2500, 1000]);
  });

  test("are an error that names them where they were never known", async () => {
    const { system } = resolver(ZONE);
    const refused = resolveHosts(system, ["rgw1", "gone"], new Map());
    expect(refused).rejects.toThrow('the name "gone" does not resolve: no answer from DNS within 2.5 s');
    await refused.catch(() => {});
  });
});

test("a file of names that is too large is not read", async () => {
  const system = {
    stat: async () => ({ kind: "file", size: 2 ** 31, mode: 0o644, uid: 0, gid: 0, inode: 1, changedMs: 0 }),
    read: async () => {
      throw new Error("it was read");
    },
  } as unknown as System;
  expect(await knownNames(system, { knownNames: "/opt/ober/var/names.json" })).toEqual(new Map());
});
