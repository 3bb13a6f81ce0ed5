import * as v from "valibot";
import { activeFirewall, type Firewall, firewallSays } from "../../system/firewall.ts";
import type { System } from "../../system/system.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

type Rules = { readonly firewall: Firewall; readonly ports: readonly string[] };

const PORTS = ["80/tcp", "443/tcp"];

/** Opens the S3 ports in a firewall that is active already. None is ever switched on. */
export function firewallStep({ system }: InstallContext): Step<Rules> {
  const missing = async (firewall: Firewall) => {
    const open = await openPorts(system, firewall);
    return PORTS.filter((port) => !open.includes(port));
  };
  return {
    id: "firewall",
    title: "firewall rules for ports 80 and 443",
    record: v.object({ firewall: v.picklist(["ufw", "firewalld", "none"]), ports: v.array(v.string()) }),
    async check() {
      const firewall = await activeFirewall(system);
      return firewall === "none" || (await missing(firewall)).length === 0 ? "done" : "needed";
    },
    async plan() {
      const firewall = await activeFirewall(system);
      return { firewall, ports: await missing(firewall) };
    },
    async apply({ firewall, ports }) {
      for (const port of ports) await change(system, firewall, "add", port);
      return [];
    },
    async undo({ firewall, ports }) {
      if ((await activeFirewall(system)) !== firewall)
        return [`${firewall} is not active; its rules for ${ports.join(", ")} stay`];
      for (const port of ports) await change(system, firewall, "remove", port);
      return [];
    },
  };
}

async function openPorts(system: System, firewall: Firewall): Promise<readonly string[]> {
  if (firewall === "firewalld")
    return (await firewallSays(system, ["firewall-cmd", "--list-ports"])).trim().split(/\s+/);
  if (firewall === "none") return PORTS;
  return (await firewallSays(system, ["ufw", "status"]))
    .split("\n")
    .flatMap((line) => (/\sALLOW\s/.test(line) ? [line.split(/\s/)[0] ?? ""] : []));
}

async function change(system: System, firewall: Firewall, verb: "add" | "remove", port: string): Promise<void> {
  if (firewall === "ufw") {
    await system.run(verb === "add" ? ["ufw", "allow", port] : ["ufw", "delete", "allow", port]);
    return;
  }
  for (const scope of [["--permanent"], []]) await system.run(["firewall-cmd", ...scope, `--${verb}-port=${port}`]);
}
