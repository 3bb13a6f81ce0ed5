/** The VIP script in a network namespace: what was there before is there afterwards, wherever the script is killed. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { renderVipScript } from "../../src/render/network.ts";
import { goldenCases, paths } from "../golden/_cases.ts";

const [{ config }] = goldenCases as [(typeof goldenCases)[number]];
const NAMESPACE = `ober-vip-${process.pid}`;
let directory: string;

/** A process of the namespace; throws where it fails and nothing else is expected. */
async function inside(words: readonly string[], expected: readonly number[] = [0]): Promise<string> {
  const child = Bun.spawn(["ip", "netns", "exec", NAMESPACE, ...words], { stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (!expected.includes(code)) throw new Error(`${words.join(" ")}: ${code} ${stderr}`);
  return stdout;
}

/** Links and addresses, and the routes of every table, without what counts down. */
async function state(): Promise<string> {
  const links = await inside(["ip", "-o", "address", "show"]);
  const routes = await inside(["sh", "-c", "ip -4 route show table all; ip -6 route show table all"]);
  return `${links}\n${await inside(["ip", "-o", "link", "show"])}\n${routes.split("\n").sort().join("\n")}`;
}

type Place = readonly [address: string, link: string];

async function script(places: readonly Place[], mode: "bgp" | "keepalived" = "bgp"): Promise<string> {
  const vips = places.map(([address, link]) => {
    return {
      vrid: 0,
      address,
      interface: link,
      family: address.includes(":") ? (6 as const) : (4 as const),
      backend: "s3",
    };
  });
  const { content } = renderVipScript(
    { ...config, ha_mode: mode, vips },
    { address: "10.77.0.11", resolved: {} },
    { ...paths, vipRecords: join(directory, "records") as typeof paths.vipRecords },
  );
  const file = join(directory, "ober-vip");
  await Bun.write(file, content);
  chmodSync(file, 0o755);
  return file;
}

const addressesOf = async (link: string) => {
  const text = await inside(["ip", "-o", "address", "show", "dev", link]);
  return [...text.matchAll(/ inet6? ([0-9a-f.:]+\/\d+)/g)].map(([, address]) => address);
};

beforeEach(async () => {
  directory = mkdtempSync("/tmp/ober-vip-");
  const add = Bun.spawnSync(["ip", "netns", "add", NAMESPACE]);
  if (add.exitCode !== 0) throw new Error(String(add.stderr));
  for (const words of [
    "link add eth0 type veth peer name far0",
    "link add eth1 type veth peer name far1",
    "link set lo up",
    "link set eth0 up",
    "link set far0 up",
    "link set eth1 up",
    "link set far1 up",
    "address add 192.0.2.11/24 dev eth0",
    "address add 10.99.0.103/24 dev eth1",
    "address add 2001:db8::11/64 dev eth0 nodad",
    "address add 2001:db8:f::1/128 dev lo nodad",
    "address add 198.51.100.1/32 dev lo",
    "route add default via 192.0.2.1",
  ]) {
    await inside(["ip", ...words.split(" ")]);
  }
  // The kernel gives each interface its link-local address a moment after its carrier: without them nothing here changes by itself.
  for (const link of ["eth0", "eth1", "far0", "far1"]) {
    await inside(["sysctl", "-q", "-w", `net.ipv6.conf.${link}.addr_gen_mode=1`]);
    await inside(["ip", "-6", "address", "flush", "dev", link, "scope", "link"]);
  }
});

afterEach(() => {
  Bun.spawnSync(["ip", "netns", "delete", NAMESPACE]);
  rmSync(directory, { recursive: true, force: true });
});

/** Of the commands of the script, and of before and after each, every one is killed with OBER_ROUNDS; else every third moment. */
const STEP = Number(process.env["OBER_ROUNDS"] ?? 1) > 1 ? 1 : 3;

const [A, B] = ["10.99.0.100", "10.99.0.101"];
const SIX = "2001:db8:99::100";
const combinations: readonly (readonly Place[])[] = [
  ...["lo", "lo-vip", "eth0", "eth1", "nosuch"].map((link): readonly Place[] => [[A, link]]),
  ...["lo", "lo-vip", "eth0"].map((link): readonly Place[] => [[SIX, link]]),
  [
    [A, "eth0"],
    [B, "lo-vip"],
    [SIX, "lo"],
  ],
  [
    [A, "lo"],
    [B, "eth1"],
    [SIX, "eth0"],
  ],
  // The machine has this one already.
  [
    ["10.99.0.103", "eth1"],
    [A, "eth1"],
  ],
  [
    ["198.51.100.1", "lo"],
    ["2001:db8:f::1", "lo"],
  ],
];

describe("the VIP script", () => {
  test.each(combinations.map((places) => [places.map((place) => place.join(" on ")).join(", "), places] as const))(
    "leaves the machine as it was with %s",
    async (_, places) => {
      const before = await state();
      const file = await script(places);
      await inside([file, "start"]);
      const up = await state();
      for (const [address] of places) expect(up).toContain(` ${address}/`);
      expect(await addressesOf("eth0")).toContain("192.0.2.11/24");
      await inside([file, "up"]);
      await inside([file, "add"]);
      expect(await state()).toBe(up);
      await inside([file, "down"]);
      expect(await state()).toBe(before);
      await inside([file, "down"]);
      expect(await state()).toBe(before);
    },
    20_000,
  );

  test("puts each VIP on its own interface, and moves one whose interface changes", async () => {
    await inside([
      await script([
        [A, "eth0"],
        [B, "eth1"],
      ]),
      "up",
    ]);
    expect(await addressesOf("eth0")).toContain(`${A}/32`);
    expect(await addressesOf("eth1")).toContain(`${B}/32`);
    await inside([
      await script([
        [A, "eth1"],
        [B, "eth1"],
      ]),
      "up",
    ]);
    expect(await addressesOf("eth0")).not.toContain(`${A}/32`);
    expect(await addressesOf("eth1")).toEqual(["10.99.0.103/24", `${B}/32`, `${A}/32`]);
  }, 20_000);

  test("keeps VIPs off the segment's interface in keepalived mode, where every node has them", async () => {
    await inside([await script([[A, "eth0"]], "keepalived"), "up"]);
    expect(await addressesOf("eth0")).toEqual(["192.0.2.11/24", "2001:db8::11/64"]);
  });

  test("forgets a VIP that another program gave another prefix, and leaves it", async () => {
    const file = await script([[A, "eth1"]]);
    await inside([file, "start"]);
    await inside(["ip", "address", "delete", `${A}/32`, "dev", "eth1"]);
    await inside(["ip", "address", "add", `${A}/24`, "dev", "eth1"]);
    await inside([file, "down"]);
    expect(await addressesOf("eth1")).toEqual(["10.99.0.103/24", `${A}/24`]);
  });

  // A veth stands for the dummy device where the kernel has none: `ip` says of it what the script asks.
  test.each([
    ["start", "leaves a lo-vip that the machine made", true],
    ["up", "takes the lo-vip of an earlier release for ober's", false],
  ])("after `%s`, %s", async (verb, _, stays) => {
    await inside(["ip", "link", "add", "lo-vip", "type", "veth", "peer", "name", "far2"]);
    await inside(["ip", "link", "set", "lo-vip", "up"]);
    await inside(["ip", "address", "add", "192.0.2.53/32", "dev", "lo-vip"]);
    const fake = join(directory, "bin/ip");
    const dummy = '[ "$*" = "-o -d link show dev lo-vip" ] && /sbin/ip "$@" && echo " dummy " && exit';
    await Bun.write(fake, `#!/bin/sh\n${dummy}\nexec /sbin/ip "$@"\n`);
    chmodSync(fake, 0o755);
    const path = `PATH=${join(directory, "bin")}:/usr/sbin:/usr/bin:/sbin:/bin`;
    const file = await script([[A, "lo-vip"]]);
    await inside(["env", path, file, verb]);
    expect(await addressesOf("lo-vip")).toContain(`${A}/32`);
    await inside(["env", path, file, "down"]);
    const links = await inside(["ip", "-o", "link", "show"]);
    expect(/ lo-vip@/.test(links)).toBe(stays);
    if (stays) expect(await addressesOf("lo-vip")).toEqual(["192.0.2.53/32"]);
  });

  test.each([["start"], ["up"], ["down"]])(
    "killed at any command of `%s`, undoes what it did, and only that",
    async (verb) => {
      const before = await state();
      const file = await script([
        [A, "eth0"],
        [B, "lo-vip"],
        [SIX, "lo"],
        ["10.99.0.103", "eth1"],
      ]);
      let killed = 0;
      for (let at = 1; at <= 200; at += STEP) {
        if (verb === "down") await inside([file, "up"]);
        // `ip` that kills the script before, and in every second round after, its n-th command.
        const fake = join(directory, "bin/ip");
        const counter = join(directory, "count");
        await Bun.write(counter, "0");
        const n = Math.ceil(at / 2);
        const end = `if [ $n = ${n} ]; then kill -9 -$(ps -o pgid= -p $$ | tr -d " "); fi`;
        await Bun.write(
          fake,
          `#!/bin/sh\nn=$(($(cat ${counter}) + 1)); echo $n >${counter}\n${at % 2 === 1 ? end : ""}\n/sbin/ip "$@"; code=$?\n${at % 2 === 0 ? end : ""}\nexit $code\n`,
        );
        chmodSync(fake, 0o755);
        const path = `PATH=${join(directory, "bin")}:/usr/sbin:/usr/bin:/sbin:/bin`;
        const interrupted = ["setsid", "--wait", "env", path, file, verb];
        await inside(interrupted, [0, 137, 9, 1]);
        const reached = Number(await Bun.file(counter).text()) >= n;
        if (at % 10 === 7) await inside([file, "up"]);
        await inside([file, "down"]);
        expect(await state()).toBe(before);
        if (!reached) break;
        killed++;
      }
      expect(killed * STEP).toBeGreaterThan(verb === "down" ? 5 : 10);
    },
    120_000,
  );
});
