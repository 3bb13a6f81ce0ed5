import { expect, test } from "bun:test";
import { operatorSession } from "../../../src/system/operator.ts";
import { temporarySystem } from "../../helpers/system.ts";

/** Processes as /proc shows them: pid, parent, and environment. */
async function machine(processes: readonly [pid: number, parent: number, environment: string][]) {
  const system = temporarySystem();
  for (const [pid, parent, environment] of processes) {
    await system.makeDirectory(`/proc/${pid}`);
    await system.writeAtomic(`/proc/${pid}/stat`, `${pid} (a (b) c) S ${parent} ${pid} ${pid}`);
    await system.writeAtomic(`/proc/${pid}/environ`, environment);
  }
  return system;
}

test("the operator's address is found above sudo, which takes it out of the environment", async () => {
  using system = await machine([
    [90, 80, "PATH=/bin\0SUDO_USER=eve\0"],
    [80, 70, "PATH=/bin\0"],
    [70, 1, "HOME=/home/eve\0SSH_CONNECTION=10.5.0.9 50022 10.0.0.1 22\0"],
  ]);
  expect(await operatorSession(system, 90)).toEqual({ client: "10.5.0.9", server: "10.0.0.1" });
});

test("nobody is found at a console, and in a variable that only looks like it", async () => {
  using system = await machine([
    [90, 80, "PATH=/bin\0MY_SSH_CONNECTION=10.5.0.9 1 2 3\0"],
    [80, 1, "HOME=/root\0"],
  ]);
  expect(await operatorSession(system, 90)).toBeUndefined();
});
