import { availableParallelism } from "node:os";
import type { System } from "../system/system.ts";
import { pass, skip, type Verdict, warn } from "./check.ts";

/** A physical network card, as the kernel's `/sys/class/net` shows it. */
export type NetworkCard = {
  readonly name: string;
  readonly driver: string;
  /** Receive queues in use. One CPU at a time handles the interrupts and packets of a queue. */
  readonly queues: number;
  /** Whether software spreads the packets of any queue over CPUs (receive packet steering). */
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
 * With fewer queues than CPUs, only some CPUs do the kernel's half of the work, which is most of the cost of a gigabyte. The hypervisor's
 * configuration sets the number of queues of a card; often it is one.
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

/** The mask of all `cpus` CPUs as the kernel reads it: groups of 32 bits, the highest first. */
function cpuMask(cpus: number): string {
  const groups = Math.ceil(cpus / 32);
  const highest = cpus - (groups - 1) * 32;
  return [(2 ** highest - 1).toString(16), ...Array(groups - 1).fill("ffffffff")].join(",");
}
