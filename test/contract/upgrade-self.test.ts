/** `ober upgrade --self`: whatever the new file is and however it ends, the present executable is there and runs. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { enterNetwork } from "./_ingress.ts";
import { OWN, PEERS, stage } from "./_stage.ts";

let here: Awaited<ReturnType<typeof stage>>;
let leave: () => void;
let executable: string;
let size: number;

beforeAll(async () => {
  leave = await enterNetwork([]);
  here = await stage("bgp", [OWN, ...PEERS]);
  executable = join(here.prefix, "bin/ober");
  size = statSync(executable).size;
  copyFileSync(executable, join(here.directory, "kept"));
}, 60_000);
afterAll(async () => {
  await here?.[Symbol.asyncDispose]();
  leave?.();
});

const file = (text: string | Uint8Array, mode = 0o755) => {
  const path = join(here.directory, "newer");
  rmSync(path, { recursive: true, force: true });
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
};
/** Says a version, and does something else when it is asked for more. */
const liar = (version: string, then: string) =>
  file(`#!/bin/sh\ncase "$1" in --version) echo '{"ober":"${version}","commit":"x"}';; *) ${then};; esac\n`);
const OTHER_MACHINE = Uint8Array.from(
  { length: 128 },
  (_, at) => [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1][at] ?? (at === 18 ? 0xf3 : at === 16 ? 2 : 0),
);

test.each<[what: string, make: () => string, says: string | RegExp]>([
  ["is not there", () => join(here.directory, "none"), "there is no file"],
  ["is a directory", () => here.directory, "is a directory"],
  ["is empty", () => file(""), "is empty"],
  ["is for another machine", () => file(OTHER_MACHINE), "not a program for this machine"],
  ["is not a program", () => file("hello"), /not a program for this machine|does not say a version/],
  ["is another program", () => file("#!/bin/sh\necho hello\n"), "does not say a version"],
  ["says nothing", () => file("#!/bin/sh\n"), "does not say a version"],
  ["says odd JSON", () => file("#!/bin/sh\necho '{\"ober\":[1]}'\n"), "does not say a version"],
  ["says null", () => file("#!/bin/sh\necho null\n"), "does not say a version"],
  ["says 10 MB", () => file("#!/bin/sh\nyes | head -c 10000000\n"), "printed more than 1 MiB"],
  ["ends by a signal", () => file("#!/bin/sh\nkill -SEGV $$\n"), "was ended by SIGSEGV"],
  ["ends with a code of its own", () => file("#!/bin/sh\nexit 42\n"), "failed with code 42"],
  ["is older", () => liar("0.0.1", "exit 0"), "is older than"],
  ["renders nothing", () => liar("9.0.0", "exit 0"), "does not say which files"],
  ["renders an odd list", () => liar("9.0.0", "echo '{\"files\":[1]}'"), "does not say which files"],
  ["crashes as it renders", () => liar("9.0.0", "kill -ABRT $$"), "was ended by SIGABRT"],
])("a file that %s is refused in a sentence", async (_, make, says) => {
  const { code, stderr } = await here.ober(["upgrade", "--self", make()]);
  expect([code, stderr]).toEqual([1, expect.stringMatching(says)]);
  expect(stderr).not.toContain("bug:");
  expect(statSync(executable).size).toBe(size);
  expect(existsSync(`${executable}.candidate`)).toBe(false);
});

/** The configuration is away until the new executable is asked for its version; it renders nothing, and is put in place. */
test.each([
  ["a code of its own", "exit 42", "failed with code 42"],
  ["a signal", "kill -KILL $$", "was ended by SIGKILL"],
  ["a bug", "exit 70", "failed with code 70"],
])("an apply that ends by %s brings the old executable back", async (_, end, says) => {
  const config = join(here.prefix, "etc/ober.yaml");
  rmSync(`${config}.away`, { force: true });
  const yaml = readFileSync(config, "utf8");
  rmSync(config);
  const newer = file(
    `#!/bin/sh\ncase "$1" in --version) printf '%s' "$YAML" > ${config}; echo '{"ober":"99.0.0","commit":"x"}';; render) echo '{"files":[]}';; *) ${end};; esac\n`,
  );
  const { code, stderr } = await here.ober(["upgrade", "--self", newer], { env: { YAML: yaml } });
  writeFileSync(config, yaml);
  expect([code, stderr]).toEqual([1, expect.stringContaining(says)]);
  expect(statSync(executable).size).toBe(size);
  expect(existsSync(`${executable}.trial`)).toBe(false);
});

test("what a killed upgrade left in place, recover takes back", async () => {
  copyFileSync(executable, `${executable}.previous`);
  writeFileSync(`${executable}.trial`, "4194303\n");
  // It runs, and is another file.
  writeFileSync(executable, Buffer.concat([readFileSync(join(here.directory, "kept")), Buffer.from("\n")]));
  const { code, stdout, stderr } = await here.ober(["recover"]);
  expect([code, stdout], stderr).toEqual([0, expect.stringContaining("bin/ober")]);
  expect(statSync(executable).size).toBe(size);
  expect(existsSync(`${executable}.trial`)).toBe(false);
});
