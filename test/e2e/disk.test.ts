/** A disk that is full, read-only or without a free inode keeps no node in traffic, and leaves nothing half written. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { LabNode } from "../lab/lab.ts";
import { ober } from "../lab/ober.ts";
import { nodeAlone, ROUNDS, switchOff } from "./_cluster.ts";

const VAR = "/opt/ober/var";
const VIP = "10.99.0.100";

/** What makes `var/` unfit, and takes it back. The small file system holds a copy of what was there. */
const small = (options: string, fill: string) => ({
  on: `cp -a ${VAR} /run/var-copy && mount -t tmpfs -o ${options} tmpfs ${VAR} && cp -a /run/var-copy/. ${VAR}/ && ${fill}`,
  off: `umount -l ${VAR}; rm -rf /run/var-copy`,
});
const DISKS = {
  full: small("size=4m", `(cat /dev/zero > ${VAR}/filling 2>/dev/null; true)`),
  "without an inode": small(
    "nr_inodes=512",
    `(i=0; while touch ${VAR}/inode-$i 2>/dev/null; do i=$((i+1)); done; true)`,
  ),
  "read-only": {
    on: `mount --bind ${VAR} ${VAR} && mount -o remount,ro,bind ${VAR}`,
    off: `umount -l ${VAR}`,
  },
} as const;

/** What only looks: the disk is none of its business. */
const LOOKS = [
  ["status"],
  ["status", "--json"],
  ["why", VIP],
  ["names"],
  ["history"],
  ["certs"],
  ["metrics"],
  ["logs", "--lines", "5"],
  ["rollback", "--list"],
  ["router-config", "--vendor", "bird"],
  ["recover"],
] as const;

/** What acts on what runs, and whether the routers have the VIP afterwards. Each goes on from the one before. */
const ACTS = [
  [["drain", "--force"], false],
  [["undrain"], true],
  [["stop", "--force"], false],
  [["start"], true],
] as const;

/** What keeps something there: refused in a sentence, with nothing changed. */
const REFUSED = [
  ["apply", "--dry-run"],
  ["apply", "--yes"],
  ["rollback", "--yes", "1"],
] as const;

let node: LabNode;

beforeAll(async () => {
  node = await nodeAlone();
}, 600_000);

afterAll(() => switchOff(node), 120_000);

const sh = (script: string) => node.exec(["sh", "-c", script], { accept: [0, 1, 2, 32] });
const announced = async () => {
  const { stdout } = await ober(node, ["status", "--json"], { accept: [0, 1] });
  const { vips } = JSON.parse(stdout) as { vips: readonly { readonly announced: boolean }[] };
  return vips.some((vip) => vip.announced);
};
const tree = async () =>
  (await sh(`cd /opt/ober && find etc var -type f ! -name 'history*' | sort | xargs sha256sum`)).stdout;

// A disk without an inode gives the errors of a full one.
const disks = Object.entries(DISKS).filter(([name]) => ROUNDS > 1 || name !== "without an inode");

describe.each(disks)("a var/ that is %s", (_, { on, off }) => {
  let before = "";

  beforeAll(async () => {
    await sh(
      "sed -i 's/^log_retention_days: .*//' /opt/ober/etc/ober.yaml; echo 'log_retention_days: 9' >> /opt/ober/etc/ober.yaml",
    );
    before = await tree();
    expect((await sh(on)).code).toBe(0);
  }, 60_000);

  afterAll(async () => {
    await sh(off);
    // What was not written is as it was; nothing lies about.
    expect(await tree()).toBe(before);
  }, 60_000);

  test("hides nothing", async () => {
    const ends = await Promise.all(
      LOOKS.map(async (words) => [words.join(" "), (await ober(node, [...words], { accept: [0, 1, 2, 70] })).code]),
    );
    expect(ends).toEqual(LOOKS.map((words) => [words.join(" "), 0]));
    expect((await ober(node, ["doctor"], { accept: [0, 1] })).stdout).toContain("disk space");
  }, 120_000);

  test.each(ACTS)(
    "does not keep `ober %p` from its work",
    async (words, comes) => {
      await ober(node, [...words]);
      expect(await announced()).toBe(comes);
    },
    60_000,
  );

  test("has what must be kept refused in a sentence", async () => {
    for (const words of REFUSED) {
      const { code, stderr } = await ober(node, [...words], { accept: [0, 1, 2, 70] });
      expect([words.join(" "), code, stderr]).toEqual([
        words.join(" "),
        1,
        expect.stringMatching(/error: (no space left on the device|the file system is read-only)/),
      ]);
    }
    expect(await announced()).toBe(true);
  }, 120_000);
});
