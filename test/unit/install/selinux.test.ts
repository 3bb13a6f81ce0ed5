import { describe, expect, test } from "bun:test";
import { pathsOf } from "../../../src/domain/paths.ts";
import { selinuxStep } from "../../../src/install/steps/selinux.ts";
import { NO_CHOICE } from "../../../src/packages/choice.ts";
import { temporarySystem } from "../../helpers/system.ts";

/** A kernel with SELinux: what is enforced, and booleans as selinuxfs shows them ("CURRENT PENDING"). */
async function machine(enforce: string, booleans: Readonly<Record<string, string>>, tools: boolean) {
  const system = temporarySystem(([program]) => {
    return { code: program === "/bin/sh" && !tools ? 1 : 0, stdout: "", stderr: "" };
  });
  await system.makeDirectory("/sys/fs/selinux/booleans");
  await system.writeAtomic("/sys/fs/selinux/enforce", enforce);
  for (const [name, value] of Object.entries(booleans))
    await system.writeAtomic(`/sys/fs/selinux/booleans/${name}`, value);
  const step = selinuxStep({
    system,
    paths: pathsOf("/opt/ober"),
    os: { id: "rhel", version: "10.1", codename: "", name: "RHEL", family: "rhel" },
    executable: "",
    keepConfig: false,
    packages: NO_CHOICE,
    progress: () => {},
    tell: () => {},
  });
  return { system, step };
}

describe("SELinux", () => {
  test.each([
    ["is permissive", "0", { haproxy_connect_any: "0 0" }],
    ["allows it already", "1", { haproxy_connect_any: "1 1", keepalived_connect_any: "1 1" }],
    ["has a policy without the booleans", "1", {}],
  ] as const)("that %s is left alone", async (_, enforce, booleans) => {
    const { system, step } = await machine(enforce, booleans, true);
    using _system = system;
    expect(await step.check()).toBe("done");
  });

  test("that enforces gets what is off, and gets it back", async () => {
    const { system, step } = await machine("1", { haproxy_connect_any: "0 0", keepalived_connect_any: "1 1" }, true);
    using _ = system;
    expect(await step.check()).toBe("needed");
    const record = await step.plan();
    expect(record).toEqual(["haproxy_connect_any"]);
    await step.apply(record);
    await step.undo(record);
    expect(system.calls.filter(([program]) => program === "setsebool")).toEqual([
      ["setsebool", "-P", "haproxy_connect_any", "on"],
      ["setsebool", "-P", "haproxy_connect_any", "off"],
    ]);
  });

  test("that enforces where nothing can set a boolean is left to the operator, who is told what to type", async () => {
    const { system, step } = await machine("1", { haproxy_connect_any: "0 0" }, false);
    using _ = system;
    expect(await step.apply(await step.plan())).toEqual([
      expect.stringContaining("type: setsebool -P haproxy_connect_any on"),
    ]);
  });
});
