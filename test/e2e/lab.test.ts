/** The lab itself: what everything else here is measured with. */
import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { bodyChunks, bodyDigest } from "../lab/backend.ts";
import { down, type Lab, up } from "../lab/lab.ts";
import { measuredPage } from "../lab/measured.ts";
import { existingNamespaces, inNamespace, inTools } from "../lab/network.ts";
import { endpointAddress, RUN_DIRECTORY, SHARED_DIRECTORY } from "../lab/places.ts";
import { isAlive, recordOf, run, signal, until } from "../lab/process.ts";
import { parseMonitorLine } from "../lab/route-watch.ts";
import { readState } from "../lab/state.ts";
import { BACKEND_PORT } from "../lab/storage.ts";
import { ownsLab, sharedLab } from "./_cluster.ts";

describe("a lab that crashed", () => {
  test("is cleaned up by the next one, and one that is in use is left alone", async () => {
    if (ownsLab()) await down();
    const program = `import { up } from "./test/lab/lab.ts"; await up({ nodes: 2 }); console.log("up"); await new Promise(() => setInterval(() => {}, 1000));`;
    const owner = Bun.spawn([process.execPath, "-e", program], {
      cwd: join(import.meta.dirname, "../.."),
      stdout: "pipe",
      stderr: "inherit",
    });
    const record = recordOf(owner.pid);
    await until(
      "the other process has its lab",
      async () => (readState()?.services["rgw3"] ? true : undefined),
      300_000,
    );
    await expect(up({ nodes: 1 })).rejects.toThrow(`in use by process ${owner.pid}`);

    const inits = Object.values(readState()?.nodes ?? {}).flatMap(({ processes }) =>
      processes ? [processes.init] : [],
    );
    expect(inits.filter(isAlive).length).toBe(2);
    signal(record, "SIGKILL");
    await owner.exited;
    const lab = await sharedLab();
    expect(inits.filter(isAlive)).toEqual([]);
    expect(lab.names()).toEqual(["n1", "n2", "n3", "n4"]);
  }, 600_000);

  test("leaves nothing behind once it is down", async () => {
    await sharedLab();
    await down();
    expect(existingNamespaces()).toEqual([]);
    // Another lab's directory begins with the same letters.
    const mounts = await Bun.file("/proc/self/mounts").text();
    expect(mounts.includes(`${RUN_DIRECTORY}/`) || mounts.includes(`${RUN_DIRECTORY} `)).toBe(false);
    expect(existsSync(RUN_DIRECTORY)).toBe(false);
  }, 120_000);
});

describe("a node of the lab", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await sharedLab();
    await Promise.all(lab.nodes().map((node) => (node.isOn() ? undefined : node.boot())));
  }, 300_000);

  test("keeps its disk through a power loss, and loses it with a reset", async () => {
    const node = lab.node("n4");
    await node.exec(["touch", "/root/kept"]);
    await node.powerOff();
    await node.boot();
    expect((await node.exec(["ls", "/root"])).stdout).toContain("kept");
    await node.reset();
    expect((await node.exec(["ls", "/root"])).stdout).not.toContain("kept");
  }, 120_000);

  test("has control groups of its own: ending a unit on one leaves its namesake on another alone", async () => {
    const [a, b] = [lab.node("n1"), lab.node("n2")];
    const sleeper = ["systemd-run", "--quiet", "--unit=lab-sleeper", "sleep", "1000"];
    await Promise.all([a.exec(sleeper), b.exec(sleeper)]);
    await a.exec(["systemctl", "stop", "lab-sleeper"]);
    expect((await b.exec(["systemctl", "is-active", "lab-sleeper"])).stdout.trim()).toBe("active");
    await b.exec(["systemctl", "stop", "lab-sleeper"]);
  }, 60_000);

  test("has no way out of the lab", async () => {
    // Everything else has the router as its only way.
    const route = await run(inNamespace("router", ["ip", "route", "get", "192.0.2.1"]), { accept: [2] });
    expect(route.stderr).toContain("unreachable");
    const { stdout } = await run(inNamespace("router", ["ip", "-o", "link"]));
    const links = stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => line.split(": ")[1]?.split("@")[0]);
    expect(links.sort()).toEqual(["clients0", "lo", "nodes0", "storage0"]);
  }, 30_000);
});

describe("the hashing backend", () => {
  test("sends the body that was foretold, and hashes the one that it gets", async () => {
    const lab = await sharedLab();
    await lab.startBackend(1);
    const url = `http://${endpointAddress(1)}:${BACKEND_PORT}`;
    const size = 3 * 65_536 + 17;
    const curl = async (words: readonly string[]) => (await run(inTools("rgw", ["curl", "-sf", ...words]))).stdout;
    const hashed = await run(inTools("rgw", ["sh", "-c", `curl -sf '${url}/body/${size}?seed=7' | sha256sum`]));
    expect(hashed.stdout).toStartWith(bodyDigest(size, 7));

    await Bun.write(join(SHARED_DIRECTORY, "body"), Buffer.concat([...bodyChunks(size, 9)]));
    expect(JSON.parse(await curl(["-T", "/lab/body", `${url}/any`]))).toEqual({
      bytes: size,
      sha256: bodyDigest(size, 9),
    });
    expect(bodyDigest(size, 7)).not.toBe(bodyDigest(size, 9));

    await curl(["-X", "POST", `${url}/mode/unavailable`]);
    const status = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", `${url}/swift/healthcheck`];
    expect((await run(inTools("rgw", status))).stdout).toBe("503");
  }, 120_000);
});

describe("a line of the router's monitor", () => {
  const stamp = "[2026-11-23T13:11:16.949289]";
  test.each([
    [
      `${stamp} 10.99.0.100 proto bird \\\tnexthop via 10.77.0.12 dev nodes0 weight 1 \\\tnexthop via 10.77.0.11 dev nodes0 weight 1 `,
      ["10.77.0.11", "10.77.0.12"],
    ],
    [`${stamp} 10.99.0.100 via 10.77.0.11 dev nodes0 proto bird `, ["10.77.0.11"]],
    [`${stamp} Deleted 10.99.0.100 via 10.77.0.12 dev nodes0 proto bird `, []],
  ])("tells the next hops: %s", (line, hops) => {
    expect(parseMonitorLine(line, "10.99.0.100")).toEqual({
      at: Date.UTC(2026, 10, 23, 13, 11, 16) + 949.289,
      nextHops: hops,
    });
  });

  test("about another address tells nothing", () => {
    expect(
      parseMonitorLine(`${stamp} 10.99.0.101 via 10.77.0.11 dev nodes0 proto bird `, "10.99.0.100"),
    ).toBeUndefined();
  });
});

describe("the page of what was measured", () => {
  test("has a row for each thing and release, with the least, the median and the most", () => {
    const at = "2026-11-23T10:00:00.000Z";
    const times = [30, 10, 20].map((value) => ({ what: "cut: gone", value, unit: "ms", release: "trixie", at }));
    const page = measuredPage([...times, { what: "failed", value: 0, at }], "A machine");
    const day = "2026-11-23";
    expect(page).toContain(
      `| cut: gone | trixie | 3 | 10 ms | 20 ms | 30 ms | ${day} |\n| failed |  | 1 | 0 | 0 | 0 | ${day} |\n`,
    );
  });

  test("keeps the rows of what was not measured again", () => {
    const one = (what: string, value: number, at: string) => ({ what, value, unit: "ms", release: "trixie", at });
    const former = measuredPage([one("old", 1, "2026-11-01"), one("again", 2, "2026-11-01")], "A machine");
    const page = measuredPage([one("again", 3, "2026-11-02")], "A machine", former);
    expect(page.split("\n").filter((line) => line.includes("trixie"))).toEqual([
      "| old | trixie | 1 | 1 ms | 1 ms | 1 ms | 2026-11-01 |",
      "| again | trixie | 1 | 3 ms | 3 ms | 3 ms | 2026-11-02 |",
    ]);
  });
});
