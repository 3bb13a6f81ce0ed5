import { availableParallelism } from "node:os";
import type { System } from "../system/system.ts";
import { pass, skip, type Verdict, warn } from "./check.ts";

/** A network card that is not only software: what the kernel's `/sys/class/net` says of it. */
export type NetworkCard = {
  readonly name: string;
  readonly driver: string;
  /** Receive queues in use; each one's interrupts and packets are the work of one CPU at a time. */
  readonly queues: number;
  /** Whether packets of any queue are spread over CPUs by software (receive packet steering). */
  readonly steered: boolean;
};

export async function checkQueues({ system }: { readonly system: System }): Promise<Verdict> {
  return queueVerdict(await networkCards(system), availableParallelism());
}

async function networkCards(system: System): Promise<readonly NetworkCard[]> {
  const names = await system.list("/sys/class/net");
  const cards = await Promise.all(
    names.map(async (name) => {
      const own = `/sys/class/net/${name}`;
      const driver = await system.readLink(`${own}/device/driver`);
      if (driver === undefined || (await system.read(`${own}/operstate`))?.trim() !== "up") return [];
      const queues = (await system.list(`${own}/queues`)).filter((queue) => queue.startsWith("rx-"));
      const masks = await Promise.all(queues.map((queue) => system.read(`${own}/queues/${queue}/rps_cpus`)));
      const steered = masks.some((mask) => /[1-9a-f]/.test(mask ?? ""));
      return [{ name, driver: driver.split("/").at(-1) ?? "", queues: queues.length, steered }];
    }),
  );
  return cards.flat();
}

/**
 * Fewer queues than CPUs leave the kernel's half of the work, most of what a gigabyte costs, to some of the CPUs.
 * A hypervisor gives a card as many as its configuration says; often that is one.
 */
export function queueVerdict(cards: readonly NetworkCard[], cpus: number): Verdict {
  if (cards.length === 0) return skip("no network card with a link");
  const few = cards.filter(({ queues, steered }) => queues < cpus && !steered);
  const said = cards.map(({ name, queues }) => `${name} has ${queues}`).join(", ");
  const [first] = few;
  if (first === undefined) return pass(`${said}, for ${cpus} CPUs`);
  const more = `ethtool -L ${first.name} combined ${cpus}`;
  const mask = cpuMask(cpus);
  const steer = `for q in /sys/class/net/${first.name}/queues/rx-*; do echo ${mask} > $q/rps_cpus; done`;
  const fix =
    first.driver === "virtio_net"
      ? `give the virtual card ${cpus} queues (Proxmox: queues=${cpus} in its netN line; libvirt: <driver queues='${cpus}'/>), then ${more}; until then ${steer}`
      : `${more}; where the card has not that many, ${steer}`;
  return warn(`${said}, for ${cpus} CPUs: a few of them do the network's work for all`, fix);
}

/** All of `cpus` CPUs as the kernel reads a mask: 32 bits a group, the highest first. */
function cpuMask(cpus: number): string {
  const groups = Math.ceil(cpus / 32);
  const highest = cpus - (groups - 1) * 32;
  return [(2 ** highest - 1).toString(16), ...Array(groups - 1).fill("ffffffff")].join(",");
}
