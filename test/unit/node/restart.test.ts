/** Starting, restarting and reloading: what is looked at first, in which order units come, and what is true afterwards. */
import { describe, expect, test } from "bun:test";
import { hold, isHeldBack } from "../../../src/certificates/admission.ts";
import { UNIT, unitsOf } from "../../../src/domain/units.ts";
import { lookFirst } from "../../../src/node/look-first.ts";
import { reloadHaproxy, restartNode } from "../../../src/node/restart.ts";
import { bringIntoService } from "../../../src/node/start.ts";
import { drainNode, isDrained } from "../../../src/node/withdraw.ts";
import { type LiveNode, liveNode } from "../../helpers/live-node.ts";
import { heard } from "../../helpers/output.ts";
import { paths } from "../../helpers/serving-node.ts";

const RESTART = { command: "ober restart", timeoutMs: 1000, force: true, waitMs: undefined };
const IN_SERVICE = "in service: 10.9.9.1 announced to 10.0.0.1";

/** The clock's sleep, and `after` it what else happens meanwhile. */
const passing = ({ node: { system } }: LiveNode, after: () => Promise<void>) => {
  const { sleep } = system.clock;
  return async (ms: number) => {
    await sleep(ms);
    await after();
  };
};

const deedsOf = async ({ node: { system } }: LiveNode, action: () => Promise<unknown>) => {
  const before = system.deeds.length;
  await action();
  return system.deeds.slice(before);
};

describe("a restart", () => {
  test("ends in service, every unit stopped and started", async () => {
    using one = await liveNode();
    const { system } = one.node;
    const deeds = await deedsOf(one, async () => {
      const document = await restartNode(one.node, heard(), RESTART);
      expect(document).toEqual({ started: unitsOf(one.config), service: IN_SERVICE, changed: true });
    });
    const stopped = deeds.findLastIndex((deed) => deed.startsWith("systemctl stop"));
    const started = deeds.findIndex((deed) => deed.startsWith("systemctl start"));
    expect(stopped).toBeLessThan(started);
    expect([...system.active].sort()).toEqual([...unitsOf(one.config)].sort());
    expect([...system.enabled].sort()).toEqual([...unitsOf(one.config)].sort());
    expect(one.haproxy.now.turn).toEqual({});
  });

  test.each([
    ["is broken", "vips: ["],
    ["has a wrong value", "stats_port: abc\n"],
    ["is gone", undefined],
  ])("goes by what was applied last where ober.yaml %s, and says so", async (_what, text) => {
    using one = await liveNode();
    const { system } = one.node;
    if (text === undefined) await system.remove(paths.config);
    else await system.writeAtomic(paths.config, text);
    const teller = heard();
    expect(await restartNode(one.node, teller, RESTART)).toMatchObject({ service: IN_SERVICE });
    expect(teller.warnings[0]).toEndWith("going by generation 1, which was applied last");
  });

  test.each<[what: string, spoil: (one: LiveNode) => unknown, message: string]>([
    ["HAProxy refuses its file", (one) => one.refuse("haproxy -c", "[ALERT] bad"), "haproxy rejected"],
    [
      "a file is missing",
      (one) => one.node.system.remove(paths.haproxyConfig),
      `the node could not start again: ${paths.haproxyConfig} is missing`,
    ],
    [
      "the certificate is gone",
      (one) => one.node.system.remove(`${paths.certs}/s3.pem`),
      "there is no certificate at /opt/ober/etc/certs",
    ],
    [
      "a program is missing",
      (one) => one.refuse('/bin/sh -c command -v "$0" exabgp', ""),
      "the node could not start again: exabgp is not installed",
    ],
  ])("stops nothing where %s", async (_what, spoil, message) => {
    using one = await liveNode();
    await spoil(one);
    const deeds = await deedsOf(one, async () => {
      await expect(restartNode(one.node, heard(), RESTART)).rejects.toThrow(message);
    });
    expect(deeds).toEqual([]);
  });

  test("that ends unhealthy is an error, and traffic comes as soon as an RGW answers", async () => {
    using one = await liveNode();
    one.haproxy.now.healthy = false;
    await expect(restartNode(one.node, heard(), RESTART)).rejects.toMatchObject({
      message: expect.stringContaining("the node runs but is not healthy"),
      hint: expect.stringContaining("ober status"),
    });
    expect([...one.node.system.active].sort()).toEqual([...unitsOf(one.config)].sort());
    expect([...one.node.system.enabled].sort()).toEqual([...unitsOf(one.config)].sort());
  });
});

describe("a start", () => {
  const stopped = async () => {
    const one = await liveNode();
    one.node.system.active.clear();
    one.node.system.enabled.clear();
    return one;
  };

  test("brings what carries traffic only when HAProxy is healthy", async () => {
    using one = await stopped();
    const teller = heard();
    expect(await bringIntoService(one.node, teller, one.config)).toBe(IN_SERVICE);
    const healthy = teller.stages.indexOf("waiting until HAProxy is healthy");
    const starting = (name: string) =>
      teller.stages.findIndex((stage) => stage.startsWith("starting") && stage.includes(name));
    expect(starting(UNIT.http)).toBeLessThan(healthy);
    expect(starting(UNIT.bgp)).toBeGreaterThan(healthy);
  });

  test("of a drained node says what brings traffic", async () => {
    using one = await liveNode();
    await drainNode(one.node, heard(), one.config, { reason: "", soft: false });
    expect(await bringIntoService(one.node, heard(), one.config)).toBe(
      "started, and drained: traffic comes with `ober undrain`",
    );
    expect(await isDrained(one.node, one.config)).toBe(true);
  });

  test("is held back without a real certificate, unless the operator accepts that", async () => {
    using one = await liveNode({ withCertificate: false });
    const teller = heard();
    expect(await bringIntoService(one.node, teller, one.config)).toStartWith(
      "started, and held back: put a certificate",
    );
    expect(teller.warnings[0]).toContain("ober's self-signed placeholder");
    expect(await bringIntoService(one.node, heard(), one.config, { selfSigned: true })).toBe(IN_SERVICE);
    expect(await isHeldBack(one.node.system, paths)).toBe(false);
  });

  test("lets a node in that was held back and has a real certificate now", async () => {
    using one = await stopped();
    await hold(one.node.system, paths);
    expect(await bringIntoService(one.node, heard(), one.config)).toBe(IN_SERVICE);
  });

  test("goes on where a disk does not let a unit be enabled, and says what that means", async () => {
    using one = await stopped();
    one.refuse("systemctl enable ober-bfd.service ober-bgp.service", "Read-only file system");
    const teller = heard();
    expect(await bringIntoService(one.node, teller, one.config)).toBe(IN_SERVICE);
    expect(teller.warnings[0]).toStartWith(`${UNIT.bfd}, ${UNIT.bgp}: not started by the next boot`);
  });

  test("whose router has no session says what is missing", async () => {
    using one = await liveNode();
    one.node.system.clock.sleep = passing(one, async () => {
      const health = JSON.parse((await one.node.system.read(paths.healthState)) ?? "");
      health.sessions = [
        { neighbor: "10.0.0.1", state: "down", since: "2026-01-01T00:00:00Z", reason: "no route to host" },
      ];
      await one.node.system.writeAtomic(paths.healthState, JSON.stringify(health));
    });
    await one.node.system.clock.sleep(0);
    const teller = heard();
    await expect(bringIntoService(one.node, teller, one.config)).rejects.toMatchObject({
      message: expect.stringContaining("no BGP session with 10.0.0.1 (no route to host)"),
      hint: expect.stringContaining("ober why"),
    });
    expect(teller.stages.at(-1)).toBe("waiting: no BGP session with 10.0.0.1 (no route to host)");
  });
});

describe("before a start", () => {
  test.each([
    ["masked", "is masked", "systemctl unmask ober-bgp.service"],
    ["not-found", "is not there", "ober apply"],
    ["bad-setting", "systemd cannot read", "ober apply --yes"],
  ])("a unit that is %s is named", async (load, message, hint) => {
    using one = await liveNode();
    const { run } = one.node.system;
    const system = {
      ...one.node.system,
      run: (async (argv, options) => {
        const result = await run(argv, options);
        const stdout = result.stdout.replace(/(Id=ober-bgp\.service\nLoadState=)loaded/, `$1${load}`);
        return { ...result, stdout };
      }) satisfies typeof run,
    };
    await expect(lookFirst({ ...one.node, system }, one.config)).rejects.toMatchObject({
      message: expect.stringContaining(message),
      hint,
    });
  });
});

describe("a reload", () => {
  test("has HAProxy read its file", async () => {
    using one = await liveNode();
    const deeds = await deedsOf(one, async () => {
      expect(await reloadHaproxy(one.node, heard())).toEqual({ reloaded: true, changed: true });
    });
    expect(deeds).toEqual([`systemctl reload ${UNIT.http}`]);
  });

  test("does not happen where HAProxy would refuse its file", async () => {
    using one = await liveNode();
    one.refuse("haproxy -c", "[ALERT] bad");
    const deeds = await deedsOf(one, async () => {
      await expect(reloadHaproxy(one.node, heard())).rejects.toThrow("haproxy rejected");
    });
    expect(deeds).toEqual([]);
  });

  test("goes by what was applied last where ober.yaml is broken", async () => {
    using one = await liveNode();
    await one.node.system.writeAtomic(paths.config, "vips: [");
    const teller = heard();
    expect(await reloadHaproxy(one.node, teller)).toMatchObject({ reloaded: true });
    expect(teller.warnings).toHaveLength(1);
  });
});
