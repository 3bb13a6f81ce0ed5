import * as v from "valibot";
import { systemctl } from "../../system/systemd.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

const DIRECTORY = "/etc/systemd/system.conf.d";
const FILE = `${DIRECTORY}/90-ober.conf`;

const CONTENT = `# Written by ober. A machine that is frozen for 10 s is reset by its watchdog device, and its traffic moves.
[Manager]
RuntimeWatchdogSec=10s
RebootWatchdogSec=2min
`;

/** A drop-in for systemd's own watchdog; the record lists the directories that were made for it. */
export function watchdogStep({ system }: InstallContext): Step<readonly string[]> {
  return {
    id: "watchdog",
    title: FILE,
    record: v.array(v.string()),
    check: async () => ((await system.read(FILE)) === CONTENT ? "done" : "needed"),
    plan: async () => ((await system.stat(DIRECTORY)) === undefined ? [DIRECTORY] : []),
    async apply() {
      await system.makeDirectory(DIRECTORY);
      await system.writeAtomic(FILE, CONTENT);
      await systemctl(system, "daemon-reexec");
      const device = await system.stat("/dev/watchdog");
      return device ? [] : ["there is no watchdog device; give the virtual machine an i6300esb"];
    },
    claim: async () => ((await system.read(FILE)) === CONTENT ? [DIRECTORY] : undefined),
    async undo(made) {
      await system.remove(FILE);
      for (const directory of made) await system.removeEmptyDirectory(directory);
      await systemctl(system, "daemon-reexec");
      return [];
    },
  };
}
