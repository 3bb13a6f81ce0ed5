import { expect, test } from "bun:test";
import { findPrograms } from "../../../src/system/programs.ts";
import { temporarySystem } from "../../helpers/system.ts";

/** A machine with ExaBGP alone, in a version that may change. */
function withExabgp(version: { text: string }) {
  const system = temporarySystem((argv) => {
    if (argv[0] !== "/bin/sh") return `ExaBGP : ${version.text}\n`;
    if (argv.at(-1) !== "exabgp") return { code: 127, stdout: "", stderr: "" };
    return "/usr/sbin/exabgp\n";
  });
  const asked = () => system.calls.filter(([program]) => program === "exabgp").length;
  return { system, asked };
}

test("ExaBGP is asked once for each file that is installed", async () => {
  const version = { text: "4.2.25" };
  const { system, asked } = withExabgp(version);
  using _ = system;
  for (const directory of ["/run/ober", "/usr/sbin"]) await system.makeDirectory(directory);
  await system.writeAtomic("/usr/sbin/exabgp", "#!/usr/bin/python3\n");
  for (let time = 0; time < 3; time++) expect((await findPrograms(system)).exabgp?.text).toBe("4.2.25");
  expect(asked()).toBe(1);
  version.text = "5.0.15";
  // The same size: what a package manager puts there is another file all the same.
  await system.writeAtomic("/usr/sbin/exabgp", "#!/usr/bin/python4\n");
  expect((await findPrograms(system)).exabgp?.text).toBe("5.0.15");
  expect(asked()).toBe(2);
});

test.each(["", "{", '{"file": "x", "said": "ExaBGP : 9.9.9"}', '{"file": 1}'])(
  "what is remembered as '%s' is of no use",
  async (text) => {
    const { system, asked } = withExabgp({ text: "4.2.25" });
    using _ = system;
    await system.makeDirectory("/run/ober");
    await system.writeAtomic("/run/ober/exabgp-version.json", text);
    expect((await findPrograms(system)).exabgp?.text).toBe("4.2.25");
    expect(asked()).toBe(1);
  },
);

test("where ober does not run, nothing is remembered", async () => {
  const { system, asked } = withExabgp({ text: "4.2.25" });
  using _ = system;
  for (let time = 0; time < 2; time++) await findPrograms(system);
  expect([asked(), await system.stat("/run/ober")]).toEqual([2, undefined]);
});

test("several that ask at once do not hinder each other", async () => {
  const { system } = withExabgp({ text: "4.2.25" });
  using _ = system;
  await system.makeDirectory("/run/ober");
  const found = await Promise.all(Array.from({ length: 20 }, () => findPrograms(system)));
  expect(found.map(({ exabgp }) => exabgp?.text)).toEqual(Array(20).fill("4.2.25"));
  expect(await system.list("/run/ober")).toEqual(["exabgp-version.json"]);
});
