import { expect, test } from "bun:test";
import { checkQueues, type NetworkCard, queueVerdict } from "../../../src/checks/network-cards.ts";
import { temporarySystem } from "../../helpers/system.ts";

const card = (changes: Partial<NetworkCard> = {}): NetworkCard => ({
  name: "eth0",
  driver: "virtio_net",
  queues: 8,
  steered: false,
  ...changes,
});

test("as many queues as CPUs, or more, are enough, and so is steering by software", () => {
  expect(queueVerdict([card()], 8)).toEqual({ status: "pass", detail: "eth0 has 8, for 8 CPUs" });
  expect(queueVerdict([card({ queues: 16 })], 8).status).toBe("pass");
  expect(queueVerdict([card({ queues: 1, steered: true })], 8).status).toBe("pass");
  expect(queueVerdict([], 8).status).toBe("skip");
});

test("one queue for eight CPUs is named with what to type", () => {
  expect(queueVerdict([card({ queues: 1 })], 8)).toEqual({
    status: "warn",
    detail: "eth0 has 1, for 8 CPUs: a few of them do the network's work for all",
    fix:
      "give the virtual card 8 queues (Proxmox: queues=8 in its netN line; libvirt: <driver queues='8'/>), then " +
      "ethtool -L eth0 combined 8; until then for q in /sys/class/net/eth0/queues/rx-*; do echo ff > $q/rps_cpus; done",
  });
});

test("the mask of more than 32 CPUs has a comma after every 32", () => {
  const verdict = queueVerdict([card({ queues: 1, driver: "mlx5_core" })], 40);
  expect("fix" in verdict && verdict.fix).toContain("echo ff,ffffffff > $q/rps_cpus");
});

test("only cards with a driver and a link are counted", async () => {
  using system = temporarySystem();
  for (const name of ["eth0", "eth1"]) {
    const own = `/sys/class/net/${name}`;
    for (const queue of ["rx-0", "rx-1", "tx-0"]) {
      await system.makeDirectory(`${own}/queues/${queue}`);
      await system.writeAtomic(`${own}/queues/${queue}/rps_cpus`, "00000000,00000000\n");
    }
    await system.makeDirectory(`${own}/device`);
    await system.symlink("../../../bus/virtio/drivers/virtio_net", `${own}/device/driver`);
    await system.writeAtomic(`${own}/operstate`, name === "eth0" ? "up\n" : "down\n");
  }
  await system.makeDirectory("/sys/class/net/lo/queues/rx-0");
  expect((await checkQueues({ system })).detail).toMatch(/^eth0 has 2, for \d+ CPUs/);
});
