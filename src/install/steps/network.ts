import * as v from "valibot";
import { isInstalled } from "../../system/programs.ts";
import { unitState } from "../../system/systemd.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

/** The interface of the VIPs, unless `ober.yaml` names another. */
const INTERFACE = "lo-vip";
const HEAD = "# Written by ober: its own unit looks after the addresses there.\n";

/** The services that would configure an interface that they find, what tells them not to, and how they are told to read it. */
const MANAGERS = [
  {
    unit: "NetworkManager.service",
    file: "/etc/NetworkManager/conf.d/90-ober.conf",
    content: `${HEAD}[keyfile]\nunmanaged-devices+=interface-name:${INTERFACE}\n`,
    reload: ["nmcli", "general", "reload", "conf"],
  },
  {
    unit: "systemd-networkd.service",
    // Before netplan's, which begin with 10.
    file: "/etc/systemd/network/05-ober.network",
    content: `${HEAD}[Match]\nName=${INTERFACE}\n\n[Link]\nUnmanaged=yes\n`,
    reload: ["networkctl", "reload"],
  },
] as const;

/** Directories that were made for the files. */
type Made = readonly string[];

/** Has NetworkManager and systemd-networkd, where they manage this machine, leave the VIP interface alone. netplan's files stay as they are. */
export function networkStep({ system }: InstallContext): Step<Made> {
  const enabled = async () => {
    const found = [];
    for (const manager of MANAGERS) {
      const { load, enabled, active } = await unitState(system, manager.unit);
      if (load === "loaded" && (enabled === "enabled" || active === "active")) found.push({ ...manager, active });
    }
    return found;
  };
  const missing = async () => {
    const found = [];
    for (const each of await enabled()) if ((await system.read(each.file)) !== each.content) found.push(each);
    return found;
  };
  const reload = async ({ active, reload: argv }: { active: string; reload: readonly string[] }) => {
    if (active === "active" && (await isInstalled(system, argv[0] ?? ""))) await system.run(argv);
  };
  return {
    id: "network",
    title: `NetworkManager and systemd-networkd leave ${INTERFACE} alone`,
    record: v.array(v.string()),
    check: async () => ((await missing()).length === 0 ? "done" : "needed"),
    async plan() {
      const absent = [];
      for (const { file } of await missing()) {
        const directory = file.slice(0, file.lastIndexOf("/"));
        if ((await system.stat(directory)) === undefined) absent.push(directory);
      }
      return absent;
    },
    async apply() {
      for (const each of await missing()) {
        await system.makeDirectory(each.file.slice(0, each.file.lastIndexOf("/")));
        await system.writeAtomic(each.file, each.content);
        await reload(each);
      }
      return [];
    },
    // Their directories may be the packages'.
    async claim() {
      for (const { file, content } of MANAGERS) if ((await system.read(file)) === content) return [];
      return undefined;
    },
    async undo(made) {
      for (const { file, content, unit, reload: argv } of MANAGERS) {
        if ((await system.read(file)) !== content) continue;
        await system.remove(file);
        await reload({ active: (await unitState(system, unit)).active, reload: argv });
      }
      for (const directory of made) await system.removeEmptyDirectory(directory);
      return [];
    },
  };
}
