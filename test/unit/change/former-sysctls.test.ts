import { expect, test } from "bun:test";
import { valuesFor } from "../../../src/change/former-sysctls.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import { temporarySystem } from "../../helpers/system.ts";

const paths = pathsOf("/opt/ober");
const file = (...lines: readonly string[]) => ({ content: `${lines.join("\n")}\n`, mode: 0o644 });
const after = (...lines: readonly string[]) => ({ path: paths.sysctl, ...file(...lines) });

test("gives a value that a mode no longer sets back as it was before that mode came", async () => {
  using system = temporarySystem();
  await system.makeDirectory("/proc/sys/net/ipv4");
  await system.makeDirectory(paths.var);
  await system.writeAtomic("/proc/sys/net/ipv4/ip_nonlocal_bind", "0\n");
  const [plain, bound] = ["vm.panic_on_oom = 1", "net.ipv4.ip_nonlocal_bind = 1"];
  const forth = await valuesFor({ system, paths }, { before: file(plain), after: after(plain, bound) });
  expect(forth).toEqual([
    ["vm.panic_on_oom", "1"],
    ["net.ipv4.ip_nonlocal_bind", "1"],
  ]);
  await system.writeAtomic("/proc/sys/net/ipv4/ip_nonlocal_bind", "1\n");
  const back = await valuesFor({ system, paths }, { before: file(plain, bound), after: after(plain) });
  expect(back).toEqual([
    ["vm.panic_on_oom", "1"],
    ["net.ipv4.ip_nonlocal_bind", "0"],
  ]);
});
