/** Systems, and where their packages come from. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Lab, LabNode } from "../lab/lab.ts";
import {
  BUCKET,
  configure,
  copyExecutable,
  ober,
  oberYaml,
  PREFIX_ON_NODE,
  prepareClients,
  s3cmd,
  sha256Of,
  vrrpYaml,
} from "../lab/ober.ts";
import { SEGMENT_VIPS, SHARED_DIRECTORY, VIP } from "../lab/places.ts";
import { run, signal, until } from "../lab/process.ts";
import { publish } from "../lab/publish.ts";
import type { Release } from "../lab/trees.ts";
import {
  makeKey,
  offerKey,
  publishForApt,
  publishForDnf,
  removeVendor,
  type SigningKey,
  startProxy,
  startVendor,
  trustVendor,
  VENDOR_URL,
  VENDOR_VERSION,
} from "../lab/vendor.ts";
import { bytes, sharedLab, testByHand } from "./_cluster.ts";
import { onlyFinds } from "./_doctor.ts";
import { killWhen } from "./_interrupt.ts";
import { differences, type Snapshot, snapshot } from "./_snapshot.ts";

const ALL = process.env["OBER_SYSTEMS"] === "all";
const BOOTSTRAP = ["/root/ober", "bootstrap", PREFIX_ON_NODE, "--yes"];
const LIST = "/etc/apt/sources.list.d/ober-haproxy.list";
const KEY = "/usr/share/keyrings/ober-haproxy.asc";

let lab: Lab;
let node: LabNode;
let before: Snapshot;

/** The last node, bare again. */
async function bare(release: Release): Promise<void> {
  await node.reset(release, (line) => process.stderr.write(`${line}\n`));
  await trustVendor(node);
  copyExecutable(node);
  before = await snapshot(node);
}

const bootstrap = (words: readonly string[] = [], accept: readonly number[] = [0]) =>
  node.exec([...BOOTSTRAP, ...words], { accept, timeoutMs: 110_000 });

const journal = (): readonly {
  id: string;
  state: string;
  record?: { packages: { name: string; version: string }[] };
}[] => {
  const file = join(node.root, PREFIX_ON_NODE, "var/journal.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).steps : [];
};

const digestOf = async (file: string) => (await node.exec(["sha256sum", file])).stdout.slice(0, 64);
const isThere = (file: string) => existsSync(join(node.root, file));
const grouped = (fingerprint: string) => fingerprint.replaceAll(/(.{4})(?=.)/g, "$1 ");

beforeAll(async () => {
  lab = await sharedLab();
  node = lab.node(lab.names().at(-1) ?? "");
  // A cluster of another test may still serve the VIPs: what the clients reach must be this node.
  const others = lab.names().map((name) => lab.node(name));
  await Promise.all(
    others.filter((other) => other.name !== node.name && other.isOn()).map((other) => other.powerOff()),
  );
  await startVendor(lab);
}, 300_000);
afterAll(async () => {
  await removeVendor();
  await node?.reset("trixie");
}, 180_000);

describe("HAProxy of its vendor, on what says it is Ubuntu", () => {
  let key: SigningKey;
  let other: SigningKey;
  beforeAll(async () => {
    [key, other] = [await makeKey("vendor"), await makeKey("other")];
    await bare("ubuntu");
    await publishForApt(node, key, { id: "ubuntu", codename: "noble" });
    await offerKey(key);
  }, 180_000);

  const fromVendor = ["--haproxy-repository", VENDOR_URL];

  test("is refused with another key than was pinned, and nothing of it is written", async () => {
    const { stderr } = await bootstrap([...fromVendor, "--haproxy-key", other.fingerprint], [1]);
    expect(stderr).toContain(`${grouped(key.fingerprint)}, not ${grouped(other.fingerprint)}`);
    expect([isThere(LIST), isThere(KEY)]).toEqual([false, false]);
  }, 180_000);

  test("is refused when the key that is offered has not signed it", async () => {
    await offerKey(other);
    const { stderr } = await bootstrap(fromVendor, [1]);
    expect(stderr).toContain(`cannot be used with the key ${grouped(other.fingerprint)}`);
    expect([isThere(LIST), isThere(KEY)]).toEqual([false, false]);
    await offerKey(key);
  }, 180_000);

  test("is refused when its key has changed since", async () => {
    expect(
      await killWhen(node, [...BOOTSTRAP, ...fromVendor], () => journal().some(({ id }) => id === "packages")),
    ).toBe(true);
    expect(readFileSync(join(node.root, KEY), "utf8")).toBe(key.armoured);
    await offerKey(other);
    const { stderr } = await bootstrap([...fromVendor, "--haproxy", "3.4"], [1]);
    expect(stderr).toContain(`${grouped(other.fingerprint)}, not ${grouped(key.fingerprint)}`);
    expect(readFileSync(join(node.root, KEY), "utf8")).toBe(key.armoured);
    await offerKey(key);
  }, 180_000);

  test("comes with its key fetched and shown, is on record, and goes with uninstall", async () => {
    await ober(node, ["uninstall", "--yes"]);
    expect(differences(before, await snapshot(node))).toEqual([]);
    copyExecutable(node);
    const { stdout } = await bootstrap([...fromVendor, "--dry-run"]);
    expect(stdout).toContain(
      `would do  where HAProxy comes from: 3.4 with AWS-LC from ${VENDOR_URL}/ubuntu/ha34, if it has the package`,
    );
    expect(differences(before, await snapshot(node))).toEqual([]);
    const { stderr } = await bootstrap(fromVendor);
    expect(stderr).toContain(`trusted from now on: ${grouped(key.fingerprint)}`);
    expect(stderr).toContain(`HAProxy 3.4 with AWS-LC comes from ${VENDOR_URL}/ubuntu/ha34`);
    expect(readFileSync(join(node.root, LIST), "utf8")).toBe(
      `deb [signed-by=${KEY}] ${VENDOR_URL}/ubuntu/ha34 noble main\n`,
    );
    const brought = journal().find(({ id }) => id === "packages")?.record?.packages ?? [];
    expect(brought).toContainEqual({ name: "haproxy-awslc", version: `${VENDOR_VERSION}-0+ha34` });
    expect(brought.map(({ name }) => name)).not.toContain("haproxy");
    await ober(node, ["uninstall", "--yes"]);
    expect(differences(before, await snapshot(node))).toEqual([]);
  }, 180_000);
});

/** What goes with uninstall leaves the operator's certificate, and where it lies. */
const KEPT = ["", "/etc", "/etc/certs", "/etc/certs/vip.pem"].map((path) => `new: file ${PREFIX_ON_NODE}${path}`);
const names = (lines: readonly string[]) => lines.map((line) => line.split(" ").slice(0, 3).join(" "));

/** A healthy node has no problem and no warning; one that is out of traffic on purpose, or has lost an RGW, has that one. */
async function findsNoMore(): Promise<void> {
  const states: readonly (readonly [before: () => Promise<unknown>, ids: readonly string[]])[] = [
    [async () => {}, []],
    [() => ober(node, ["drain", "--force", "-q"]), ["drained"]],
    [() => ober(node, ["undrain", "-q"]), []],
    [() => ober(node, ["stop", "--force", "-q"]), ["units"]],
    [() => ober(node, ["start", "-q"]), []],
    [() => lab.stopEndpoint(1), ["backends"]],
    [() => lab.startEndpoint(1), []],
  ];
  // Of the systems in every run one goes through all of them.
  const some = ALL || node.release() === "experimental" ? states : states.slice(0, 1);
  for (const [index, [before, ids]] of some.entries()) {
    await before();
    expect({ index, beside: await onlyFinds(node, ids) }).toEqual({ index, beside: [] });
  }
}

/** The whole life of a node: bare, installed, serving, without its HAProxy for a moment, serving, gone. */
async function life(
  mode: "bgp" | "keepalived",
  words: readonly string[],
  whileServing: () => Promise<void> = async () => {},
): Promise<void> {
  await bootstrap(words);
  const vip = mode === "bgp" ? VIP : SEGMENT_VIPS[0];
  const yaml = mode === "bgp" ? oberYaml([node.name]) : vrrpYaml([node.name], { vips: [vip] });
  await configure(node, yaml);
  await ober(node, ["start"]);
  await prepareClients(vip);
  const file = join(SHARED_DIRECTORY, "object");
  await Bun.write(file, bytes(1_000_000));
  const through = (what: readonly string[]) => s3cmd(lab, what).then(() => true);
  await until(`the bucket is made through ${vip}`, () => through(["mb", `s3://${BUCKET}`]), 30_000, 500);
  const moved = async (name: string) => {
    await s3cmd(lab, ["put", "/lab/object", `s3://${BUCKET}/${name}`]);
    await s3cmd(lab, ["get", "--force", `s3://${BUCKET}/${name}`, "/lab/object.back"]);
    expect(await sha256Of(`${file}.back`)).toBe(await sha256Of(file));
    return true;
  };
  await moved("before");
  const killed = await node.mainProcessOf("ober-http.service");
  signal(killed, "SIGKILL");
  await until(
    "HAProxy is back",
    async () => (await node.mainProcessOf("ober-http.service")).pid !== killed.pid,
    20_000,
    200,
  );
  await until(`an object moves through ${vip} again`, () => moved("after"), 30_000, 500);
  await findsNoMore();
  await whileServing();
  await ober(node, ["uninstall", "--yes"]);
  expect(names(differences(before, await snapshot(node)))).toEqual(KEPT);
}

/** In the suite the systems that no other file has; all of them, in both modes, with OBER_SYSTEMS=all. */
const LIVES: readonly (readonly [Release, "bgp" | "keepalived"])[] = ALL
  ? (["bookworm", "trixie", "sid", "experimental", "ubuntu"] as const).flatMap((release) => [
      [release, "bgp"] as const,
      [release, "keepalived"] as const,
    ])
  : // sid itself, with a newer HAProxy.
    [["experimental", "bgp"]];

describe("from a bare machine to one as before, with an object through the VIP,", () => {
  test.each(LIVES)(
    "%s in %s mode",
    async (release, mode) => {
      await bare(release);
      await life(mode, ["--haproxy", "distro"], async () => {
        // Where networkd manages the machine, as netplan has it do: the snapshots show that netplan's file is untouched.
        if (release !== "ubuntu") return;
        expect(readFileSync(join(node.root, "etc/systemd/network/05-ober.network"), "utf8")).toContain("Name=lo-vip");
      });
    },
    360_000,
  );

  test("what says it is RHEL, with dnf, firewalld, NetworkManager, and HAProxy of its vendor", async () => {
    await bare("rhel");
    const key = await makeKey("rpm");
    await publishForDnf(node, key);
    await offerKey(key);
    const vendor = ["--haproxy-repository", VENDOR_URL, "--haproxy-key", key.fingerprint];
    await life(ALL ? "keepalived" : "bgp", vendor, async () => {
      const { stdout } = await node.exec(["NetworkManager", "--print-config"]);
      expect(stdout).toContain("interface-name:lo-vip");
      const brought = journal().find(({ id }) => id === "packages")?.record?.packages ?? [];
      expect(brought).toContainEqual({ name: "haproxy-awslc", version: `${VENDOR_VERSION}-1.el10` });
    });
  }, 360_000);

  // The same refusal by apt is above.
  testByHand(
    "what says it is RHEL is given no package that another key has signed",
    async () => {
      await bare("rhel");
      const [offered, signing] = [await makeKey("offered"), await makeKey("signing")];
      await publishForDnf(node, signing);
      await offerKey(offered);
      const { stderr } = await bootstrap(["--haproxy-repository", VENDOR_URL], [1]);
      expect(stderr).toContain(`trusted from now on: ${grouped(offered.fingerprint)}`);
      expect(stderr).toContain("GPG check FAILED");
      expect((await node.exec(["rpm", "-q", "haproxy-awslc"], { accept: [0, 1] })).code).toBe(1);
      await ober(node, ["uninstall", "--yes"]);
      expect(differences(before, await snapshot(node))).toEqual([]);
    },
    240_000,
  );
});

test.each(ALL ? ["rhel" as const] : [])(
  "what says it is %s bootstraps from a bundle of another such machine, without any source of packages",
  async (release) => {
    await bare(release);
    await node.exec(["/root/ober", "bundle", "--for", "rhel-10", "--out", "/root/bundle.tar"], { timeoutMs: 110_000 });
    await node.exec(["sh", "-c", "mkdir /root/away && mv /etc/yum.repos.d/* /root/away/"]);
    await bootstrap(["--offline", "/root/bundle.tar", "--digest", await digestOf("/root/bundle.tar")]);
    expect((await ober(node, ["--version"])).stdout).toMatch(/HAProxy 3\.0.*\nExaBGP 4\.2/);
    await ober(node, ["uninstall", "--yes"]);
    await node.exec(["sh", "-c", "mv /root/away/* /etc/yum.repos.d/ && rm -r /root/away /root/bundle.tar"]);
    expect(differences(before, await snapshot(node))).toEqual([]);
  },
  240_000,
);

describe("a site that has its own way with packages", () => {
  beforeAll(() => bare("trixie"), 60_000);

  test("is told what is not there with --no-install, before anything is written", async () => {
    const { stderr } = await bootstrap(["--no-install"], [1]);
    expect(stderr).toContain("--no-install, but haproxy, exabgp, keepalived, bird are not here");
    expect(differences(before, await snapshot(node))).toEqual([]);
  }, 180_000);

  test("bootstraps from a bundle that a connected machine made, without any source of packages", async () => {
    copyExecutable(node);
    const mirror = process.env["OBER_LAB_MIRROR"];
    const bundle = join(node.root, "root/bundle.tar");
    const words = ["bundle", "--for", "debian-13", "--haproxy", "distro", "--out", bundle];
    await run([join(node.root, "root/ober"), ...words, ...(mirror ? ["--mirror", mirror] : [])], {
      timeoutMs: 110_000,
    });
    await node.exec(["mv", "/etc/apt/sources.list", "/root/sources.list"]);
    const { stderr } = await bootstrap(["--offline", "/root/bundle.tar"], [2]);
    expect(stderr).toContain("--offline with a file needs --digest");
    await bootstrap(["--offline", "/root/bundle.tar", "--digest", await digestOf("/root/bundle.tar")]);
    expect(journal().find(({ id }) => id === "packages")).toMatchObject({ state: "applied" });
    expect((await ober(node, ["--version"])).stdout).toMatch(/HAProxy 3\.0/);
    expect(isThere(join(PREFIX_ON_NODE, "var/offline"))).toBe(false);
    await node.exec(["mv", "/root/sources.list", "/etc/apt/sources.list"]);
    await ober(node, ["uninstall", "--yes"]);
    await node.exec(["rm", "/root/bundle.tar"]);
    expect(differences(before, await snapshot(node))).toEqual([]);
  }, 180_000);

  test("has what another package needs by now left to it by uninstall", async () => {
    copyExecutable(node);
    await bootstrap(["--offline", "/srv/repo"]);
    const build = `mkdir -p /tmp/site/DEBIAN && printf 'Package: site\\nVersion: 1\\nArchitecture: all\\nMaintainer: site\\nDepends: python3\\nDescription: ours\\n' > /tmp/site/DEBIAN/control &&
      dpkg-deb -b /tmp/site /tmp/site.deb && dpkg -i /tmp/site.deb`;
    await node.exec(["sh", "-c", build]);
    const { stderr } = await ober(node, ["uninstall", "--yes"]);
    expect(stderr).toMatch(/python3.* stay: other packages need them by now/);
    const left = differences(before, await snapshot(node)).filter((line) => line.includes(": package "));
    expect(left.filter((line) => /haproxy|exabgp|keepalived|bird2|nftables/.test(line))).toEqual([]);
    await node.exec(["dpkg", "--status", "site"]);
  }, 180_000);

  test("has its proxy used, and written nowhere", async () => {
    await bare("trixie");
    const repository = join(lab.node(node.name).root, "srv/repo");
    const proxy = await startProxy(lab, repository);
    await node.exec(["sh", "-c", "echo 'deb [trusted=yes] http://packages.example ./' > /etc/apt/sources.list"]);
    await node.exec(["env", `http_proxy=${proxy.url}`, ...BOOTSTRAP, "--haproxy", "distro"], { timeoutMs: 110_000 });
    expect(proxy.requests()).toContainEqual(expect.stringMatching(/^GET http:\/\/packages\.example\/.*haproxy_.*deb$/));
    const { stdout } = await node.exec(["grep", "-rlF", proxy.url, "/etc", "/opt", "/var/lib", "/root"], {
      accept: [0, 1],
    });
    expect(stdout).toBe("");
  }, 60_000);
});

describe("a package manager that", () => {
  /** Holds apt's lock under the name of a program that does so on real machines. */
  const HOLD = `use Fcntl; $0 = "unattended-upgr"; open(F, ">>", "/var/lib/dpkg/lock-frontend") or die;
    my $lock = pack("s s l! l! i", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $lock) or die; $| = 1; print "$$\\n"; sleep 100;`;

  test("is busy for somebody else is waited for, by name, and given up", async () => {
    await bare("trixie");
    const holder = Bun.spawn(node.enter(["perl", "-e", HOLD]), { stdout: "pipe" });
    const { value } = await holder.stdout.getReader().read();
    const pid = new TextDecoder().decode(value).trim();
    const { stderr } = await bootstrap(["--package-timeout", "2"], [1]);
    expect(stderr).toMatch(/waiting for unattended-upgr \(pid \d+\), which holds \/var\/lib\/dpkg\/lock-frontend/);
    expect(stderr).toMatch(/error: unattended-upgr \(pid \d+\) has held .* for 2 s; nothing was installed/);
    expect((await node.exec(["dpkg-query", "-W", "haproxy"], { accept: [0, 1] })).code).toBe(1);
    await node.exec(["kill", pid]);
    await holder.exited;
  }, 180_000);

  const breakHaproxy = (postinst: string) =>
    publish(node, "9.0.1", `printf '#!/bin/sh\\n${postinst}\\n' > DEBIAN/postinst`);

  test("fails is told of, and the next bootstrap goes on where it ended", async () => {
    await bare("trixie");
    await breakHaproxy("exit 1");
    const { stderr } = await bootstrap(["--haproxy", "distro"], [1]);
    expect(stderr).toContain("Errors were encountered while processing:\n   haproxy");
    await publish(node, "9.0.2");
    await bootstrap(["--haproxy", "distro"]);
    await ober(node, ["uninstall", "--yes"]);
    expect(differences(before, await snapshot(node))).toEqual([]);
  }, 180_000);

  test("hangs is ended with all that it started, and taken back", async () => {
    await bare("trixie");
    await breakHaproxy("sleep 300");
    const { stderr } = await bootstrap(["--haproxy", "distro", "--package-timeout", "15"], [1]);
    expect(stderr).toContain("was ended after 15 s without a result");
    expect((await node.exec(["ps", "-e", "-o", "comm="])).stdout).not.toMatch(/^(apt-get|dpkg|sleep)$/m);
    await ober(node, ["uninstall", "--yes"]);
    expect(differences(before, await snapshot(node))).toEqual([]);
  }, 180_000);
});
