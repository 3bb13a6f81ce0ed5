/** For each node that somebody broke by hand, `doctor` names the cause before its consequences, and `why` concludes from it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Finding } from "../../src/checks/check.ts";
import { CONDITIONS, problemsIn } from "../../src/node/conditions.ts";
import type { NodeStatus } from "../../src/node/status.ts";
import { commandIn } from "../helpers/said.ts";
import type { Lab, LabNode } from "../lab/lab.ts";
import { BUCKET } from "../lab/ober.ts";
import { becomes } from "../lab/process.ts";
import { S3_USER } from "../lab/storage.ts";
import { BROKEN, BROKEN_VRRP, type Broken } from "./_broken.ts";
import { type Cluster, measured, ROUNDS, runningCluster } from "./_cluster.ts";
import { doctor, OBER, problemsOf } from "./_doctor.ts";
import { ownedBy, settled, type VrrpCluster, vrrpCluster } from "./_vrrp.ts";

/** HAProxy's own three checks, the router's hold time, and a busy machine. */
const SEEN_WITHIN_MS = 20_000;
const BACK_WITHIN_MS = 60_000;

type Problem = Finding & { readonly fix: string };

/** The problems that the healthy node does not have, the worst first, as `doctor` and `status` show them. */
function fresh(findings: readonly Finding[], healthy: readonly Finding[]): readonly Problem[] {
  const known = new Set(healthy.map(({ id, detail }) => `${id} ${detail}`));
  return problemsIn(findings.filter(({ id, detail }) => !known.has(`${id} ${detail}`)));
}

type Answer = { readonly served: boolean; readonly conclusion: string; readonly type?: string };

async function why(node: LabNode, vip?: string): Promise<Answer> {
  const { stdout } = await node.exec([OBER, "why", "--json", ...(vip === undefined ? [] : [vip])], { accept: [0, 1] });
  const [answer] = (JSON.parse(stdout) as { vips: readonly Answer[] }).vips;
  return answer ?? { served: false, conclusion: "no answer" };
}

type Status = Pick<NodeStatus, "service" | "findings">;

async function status(node: LabNode): Promise<Status> {
  const { stdout } = await node.exec([OBER, "status", "--json"], { accept: [0, 1] });
  return JSON.parse(stdout) as Status;
}

/** Of the conditions that only `doctor` judges, `status` says nothing. */
const DEEP = new Set(CONDITIONS.filter(({ deep }) => deep).map(({ id }) => id));

type Place = {
  readonly node: LabNode;
  readonly healthy: readonly Finding[];
  readonly lab: Lab;
  /** The one that `why` is asked about, where there are several. */
  readonly vip?: string;
};

/** Breaks, waits until doctor names the cause first, asks why and status, mends as the fix says, and waits until all is well. */
async function tryBroken(broken: Broken, { node, healthy, lab, vip }: Place): Promise<void> {
  const { what, how, first, mend, after, wellWithinMs: withinMs = BACK_WITHIN_MS } = broken;
  const [id, says] = first;
  const carryOut = (it: Broken["how"]) =>
    typeof it === "string" ? node.exec(["sh", "-c", it], { timeoutMs: 120_000 }) : it(node, lab);
  const problems = async () => fresh(await doctor(node), healthy);
  const at = performance.now();
  let found: Problem | undefined;
  const typed: string[] = [];
  const seen = async () => {
    await carryOut(how);
    const isFound = async () => {
      [found] = await problems();
      return found?.id === id && says.test(found.detail);
    };
    if (!(await becomes(isFound, SEEN_WITHIN_MS, 200))) {
      expect({ id: found?.id, detail: found?.detail }).toEqual({ id, detail: says.source });
    }
    measured(`broken node, ${what}: named by doctor`, performance.now() - at);
    await expectTheSame(found as Problem, broken, { node, healthy, lab, ...(vip === undefined ? {} : { vip }) });
  };
  /** What is wrong now; types the command of the first finding, and that of the next one where the same condition has another. */
  const wrongStill = async () => {
    const now = found !== undefined && typed.length === 0 ? [found] : await problems();
    const [next] = now;
    const command = next?.id === (found?.id ?? id) ? commandIn(next.fix) : undefined;
    if (command !== undefined && !typed.includes(command)) {
      typed.push(command);
      await type(node, command);
    }
    return now;
  };
  const mended = async () => {
    if (mend !== undefined) await carryOut(mend);
    const left = mend === undefined ? wrongStill : problems;
    // What the lab has yet to take away may be a fault of its own.
    if (after !== undefined) {
      await expectNone(async () => (await left()).filter((one) => one.id === id), typed, withinMs);
      await carryOut(after);
    }
    await expectNone(after === undefined ? left : problems, typed, withinMs);
  };
  // The next entry needs a node that is well, whatever was seen of this one; what failed first is what is told.
  const [saw] = await Promise.allSettled([seen()]);
  const [did] = await Promise.allSettled([mended()]);
  for (const end of [saw, did]) if (end?.status === "rejected") throw end.reason;
  measured(`broken node, ${what}: well again`, performance.now() - at);
  if (broken.mends !== undefined) expect(withN(typed[0] ?? "")).toBe(withN(broken.mends));
}

/** A mode of a file is a number as well. */
const withN = (text: string) => text.replaceAll(/(?<=[ ./])\d+(?=[ ./]|$)/g, "N");

/** What `why` and `status` say of a fault that `doctor` has found: the same cause with the same fix. */
async function expectTheSame(found: Problem, broken: Broken, { node, healthy, vip }: Place): Promise<void> {
  const {
    first: [id],
    why: reason,
    fix,
  } = broken;
  if (fix !== undefined) expect(found.fix).toMatch(fix);
  const { service, findings } = await status(node);
  const served = service.find((one) => vip === undefined || one.vip === vip);
  if (!DEEP.has(id)) {
    const [worst] = fresh(findings, healthy);
    expect({ of: "status", id: worst?.id, fix: worst?.fix }).toEqual({ of: "status", id, fix: found.fix });
  }
  if (reason === undefined) return expect(served?.served).toBe(true);
  // What hangs keeps what it would say, too.
  expect(served).toMatchObject({ served: false, reason: served?.unknown ? null : id, fix: found.fix });
  const { conclusion, ...answer } = await why(node, vip);
  expect(answer).toMatchObject({ served: false, type: found.fix });
  expect(conclusion).toMatch(reason);
}

/** What `doctor` says of a node that nobody has broken; a machine that is busy at first answers some questions late. */
async function healthyDoctor(node: LabNode): Promise<readonly Finding[]> {
  let findings = await doctor(node);
  const isWell = async () => {
    if (problemsOf(findings).length > 0) findings = await doctor(node);
    return problemsOf(findings).length === 0;
  };
  await becomes(isWell, SEEN_WITHIN_MS, 500);
  return findings;
}

/** Types a command as it stands. Whether the node is well afterwards is what counts, and not its exit code: the lab refuses some kernel values. */
async function type(node: LabNode, command: string): Promise<void> {
  // Nobody is there to answer bootstrap's question, and ober's link may be what is broken.
  const answered = command.replace(/^ober bootstrap \S+$/, "$& --yes").replaceAll(/(?<=^|&& )ober /g, `${OBER} `);
  await node.exec(["sh", "-c", `${answered}; exit 0`], { timeoutMs: 180_000 });
}

/** Waits until nothing is wrong any more. */
async function expectNone(
  wrong: () => Promise<readonly Problem[]>,
  typed: readonly string[],
  ms: number,
): Promise<void> {
  let left: readonly Problem[] = [];
  const isWell = async () => {
    left = await wrong();
    return left.length === 0;
  };
  if (await becomes(isWell, ms, 200)) return;
  const rest = left.map((one) => `${one.id}: ${one.detail} (${one.fix})`);
  expect({ typed, left: rest }).toEqual({ typed, left: [] });
}

describe("a node that somebody broke", () => {
  let cluster: Cluster;
  let node: LabNode;
  let healthy: readonly Finding[];
  beforeAll(async () => {
    cluster = await runningCluster();
    node = cluster.nodes[0] as LabNode;
    // Sessions and routes of a node that has just been started.
    await becomes(async () => (await why(node)).served, BACK_WITHIN_MS);
    healthy = await healthyDoctor(node);
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  test("has no trouble before but what the lab cannot give it", () => {
    expect(problemsOf(healthy)).toEqual([]);
  });

  for (const one of BROKEN.filter(({ always }) => always || ROUNDS > 1)) {
    test(one.what, () => tryBroken(one, { node, healthy, lab: cluster.lab }), 180_000);
  }

  // Its doctor is where it was moved to.
  test.each(ROUNDS > 1 ? ["/opt/away"] : [])("that was moved to %s says where it belongs", async (away) => {
    await node.exec(["mv", "/opt/ober", away]);
    const { stdout } = await node.exec([`${away}/bin/ober`, "doctor", "--json"], { accept: [0, 1] });
    const [first] = fresh((JSON.parse(stdout) as { findings: readonly Finding[] }).findings, healthy);
    try {
      expect(first).toMatchObject({ id: "executable", fix: `mv ${away} /opt/ober` });
    } finally {
      await node.exec(["mv", away, "/opt/ober"]);
    }
    await expectNone(async () => fresh(await doctor(node), healthy), [], BACK_WITHIN_MS);
  });

  if (ROUNDS > 1)
    test("with an ober.yaml that cannot be read, leaves traffic, stops, starts and comes back all the same", async () => {
      const ober = (words: readonly string[]) => node.exec([OBER, ...words, "-q"], { timeoutMs: 120_000 });
      const state = async () => {
        const { service, findings } = await status(node);
        expect(findings.find(({ id }) => id === "configuration")?.status).toBe("fail");
        return service[0]?.served ? "served" : (service[0]?.reason ?? "not known");
      };
      const becomesState = async (wanted: string) => {
        await becomes(async () => (await state()) === wanted, BACK_WITHIN_MS, 200);
        expect(await state()).toBe(wanted);
      };
      await node.exec(["sh", "-c", "echo 'vips: [' >> /opt/ober/etc/ober.yaml"]);
      await ober(["drain", "--reason", "disks"]);
      await becomesState("drained");
      await ober(["undrain"]);
      await becomesState("served");
      await ober(["stop"]);
      await becomesState("units");
      const { stderr } = await ober(["start"]);
      expect(stderr).toMatch(/going by generation \d+, which was applied last/);
      await becomesState("served");
      const said = problemsIn(await doctor(node)).find(({ id }) => id === "configuration");
      await type(node, commandIn(said?.fix ?? "") ?? "");
      await expectNone(async () => fresh(await doctor(node), healthy), [said?.fix ?? ""], BACK_WITHIN_MS);
    }, 240_000);

  test("carries an object through its VIP, and says which key is wrong", async () => {
    await cluster.lab.client(["sh", "-c", `s3cmd mb s3://${BUCKET} || true`]);
    const withSecret = (secret: string) => {
      const login = `mkdir -p /root/.ober && umask 077 && echo s3_secret_key=${secret} > /root/.ober/login`;
      const ask = `${OBER} test --s3 --json --access-key ${S3_USER.accessKey} --bucket ${BUCKET}`;
      return node.exec(["sh", "-c", `${login} && ${ask}`], { accept: [0, 1] });
    };
    try {
      const good = JSON.parse((await withSecret(S3_USER.secretKey)).stdout) as { findings: readonly Finding[] };
      expect(good.findings.map(({ id, status }) => `${id} ${status}`)).toEqual([
        "s3-put pass",
        "s3-get pass",
        "s3-compare pass",
        "s3-delete pass",
        "s3-sse-c pass",
        "s3-trust skip",
      ]);
      const bad = JSON.parse((await withSecret("not-the-secret")).stdout) as { findings: readonly Finding[] };
      expect(bad.findings).toMatchObject([
        { id: "s3-put", status: "fail", detail: expect.stringContaining("SignatureDoesNotMatch") },
      ]);
    } finally {
      await node.exec(["rm", "-r", "/root/.ober"]);
    }
  }, 60_000);

  test("packs what explains it, and no secret", async () => {
    const secret = "Tango7Tango7";
    const plant = [
      "mkdir -p /root/.ober && umask 077",
      `printf 'bgp_password=${secret}a\ns3_secret_key=${secret}b\n' > /root/.ober/login`,
      `cp /opt/ober/etc/ober.yaml /root/kept.yaml && echo '# password: ${secret}c, https://u:${secret}d@host/' >> /opt/ober/etc/ober.yaml`,
      `cp /opt/ober/etc/bgp/config.ini /root/kept.ini && echo '# md5-password "${secret}e"; ${secret}a' >> /opt/ober/etc/bgp/config.ini`,
      `echo 'Authorization: AWS4 ${secret}f' | systemd-cat --namespace=ober -t ober-test 2>/dev/null || true`,
      `${OBER} drain -q --reason 'token=${secret}g' && ${OBER} undrain -q`,
      `cat /opt/ober/etc/certs/vip.pem >> /opt/ober/etc/haproxy/haproxy.cfg`,
    ];
    const unpack = `cd /root && ${OBER} support -q --out /root/s.tar.gz >/dev/null && mkdir s && tar -xzf s.tar.gz -C s`;
    const key = "grep -A1 'BEGIN.*PRIVATE KEY' /opt/ober/etc/certs/vip.pem | tail -1";
    try {
      await node.exec(["sh", "-c", plant.join(" && ")]);
      await node.exec(["sh", "-c", unpack], { timeoutMs: 60_000 });
      const { stdout } = await node.exec(
        [
          "sh",
          "-c",
          `cd /root/s && { grep -rlE '${secret}' .; grep -rlF "$(${key})" .; find . -type f | wc -l; }; stat -c %a /root/s.tar.gz`,
        ],
        { accept: [0, 1] },
      );
      const [count, mode] = stdout.trim().split("\n");
      expect(mode).toBe("600");
      expect(Number(count)).toBeGreaterThan(25);
    } finally {
      await node.exec([
        "sh",
        "-c",
        "rm -rf /root/s /root/s.tar.gz /root/.ober; mv /root/kept.yaml /opt/ober/etc/ober.yaml; mv /root/kept.ini /opt/ober/etc/bgp/config.ini; ober apply --yes -q",
      ]);
      await becomes(async () => (await why(node)).served, BACK_WITHIN_MS, 200);
    }
  }, 120_000);

  test("has no trouble after, and remembers what was done", async () => {
    const isWell = async () => fresh(await doctor(node), healthy).length === 0;
    expect(await becomes(isWell, SEEN_WITHIN_MS, 500)).toBe(true);
    const { stdout } = await node.exec([OBER, "history", "--since", "1h", "--json"]);
    const { entries } = JSON.parse(stdout) as { entries: readonly { to: string; cause: string }[] };
    expect(entries.some(({ to, cause }) => to === "drained" && cause.includes("disks"))).toBe(true);
    expect(entries.some(({ to }) => to.startsWith("ober doctor --fix: "))).toBe(true);
  });
});

// Another mode costs a minute: with OBER_ROUNDS only.
if (ROUNDS > 1) {
  describe("a node in keepalived mode that somebody broke", () => {
    let cluster: VrrpCluster;
    let node: LabNode;
    let healthy: readonly Finding[];
    let vip: string;
    beforeAll(async () => {
      cluster = await vrrpCluster();
      node = cluster.nodes[0] as LabNode;
      [vip = ""] = ownedBy(cluster.owners, node.name);
      healthy = await healthyDoctor(node);
    }, 300_000);
    afterAll(() => cluster?.watch.stop());

    test("has no trouble before but what the lab cannot give it", () => {
      expect(problemsOf(healthy)).toEqual([]);
    });

    for (const one of BROKEN_VRRP) {
      const broken = async () => {
        await tryBroken(one, { node, healthy, lab: cluster.lab, vip });
        await settled(cluster.nodes, cluster.owners, BACK_WITHIN_MS);
      };
      test(one.what, broken, 240_000);
    }
  });
}
