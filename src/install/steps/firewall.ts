import type { System } from "../../system/system.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

type Firewall = "ufw" | "firewalld" | "none";
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

async function activeFirewall(system: System): Promise<Firewall> {
  const ufw = await run(system, ["ufw", "status"]);
  if (/^Status: active/m.test(ufw)) return "ufw";
  return (await run(system, ["firewall-cmd", "--state"])).trim() === "running" ? "firewalld" : "none";
}

async function openPorts(system: System, firewall: Firewall): Promise<readonly string[]> {
  if (firewall === "firewalld") return (await run(system, ["firewall-cmd", "--list-ports"])).trim().split(/\s+/);
  if (firewall === "none") return PORTS;
  return (await run(system, ["ufw", "status"]))
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

/** What a firewall's tool says; nothing where it is not installed. */
async function run(system: System, argv: readonly string[]): Promise<string> {
  const { code } = await system.run(["/bin/sh", "-c", 'command -v "$0" >/dev/null', argv[0] ?? ""], {
    accept: [0, 1, 127],
  });
  if (code !== 0) return "";
  return (await system.run(argv, { accept: [0, 1, 252] })).stdout;
}
