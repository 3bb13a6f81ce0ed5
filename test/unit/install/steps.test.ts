/** Every step of bootstrap forth and back, on a machine that is a directory: what fails, what was there before, what a kill leaves. */
import { describe, expect, test } from "bun:test";
import { OberError } from "../../../src/errors.ts";
import { mend } from "../../../src/install/mend.ts";
import { removeWhole } from "../../../src/install/remove.ts";
import { runSteps, type StepOutcome, undoSteps } from "../../../src/install/runner.ts";
import type { Step } from "../../../src/install/step.ts";
import { installSteps } from "../../../src/install/steps.ts";
import type { System } from "../../../src/system/system.ts";
import { killedAfter, type Machine, machine } from "../../helpers/bare-machine.ts";
import { PowerCut } from "../../helpers/system.ts";

/** Made with `gpg --quick-generate-key`; its fingerprint begins with 4390. */
const KEY = `-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEaweTwxYJKwYBBAHaRw8BAQdAp0k3gZyJQhkddtVRMvDETcY+Nk11cnibCFX4
ZxRxArC0FFRlc3QgPHRAZXhhbXBsZS5vcmc+iJAEExYIADgWIQRDkCTdyGzpeycX
74d6eaqd/gYJZAUCaweTwwIbAwULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAKCRB6
eaqd/gYJZNfmAQD31VYTKlhpwbAX2FeSVZ9fdYryh/J56hqbl0z8SMkYXAEA/FNI
dy660KqYJIE6HqoqC3Bxwrll3Uq1Q7DkK9EZRQ4=
=oeAv
-----END PGP PUBLIC KEY BLOCK-----
`;

const now = () => new Date("2026-11-23T12:00:00Z");
const quiet = { begin: () => {}, report: () => {} };

async function bootstrap({ system, paths }: Machine, steps: readonly Step[], using: System = system) {
  const outcomes: StepOutcome[] = [];
  await runSteps(using, paths, steps, { begin: () => {}, report: (outcome) => void outcomes.push(outcome), now });
  return outcomes;
}

const uninstall = ({ system, paths }: Machine, steps: readonly Step[], using: System = system) =>
  undoSteps(using, paths, steps, quiet);

/** The steps as a process that is killed after some changes sees the machine. */
const stepsOf = (here: Machine, id: string, system: System) =>
  installSteps({ ...here.context, system }).filter((step) => step.id === id);

const IDS = [
  "directories",
  "executable",
  "link",
  "shell",
  "foreign-units",
  "haproxy-source",
  "packages",
  "sysctl",
  "watchdog",
  "selinux",
  "network",
  "firewall",
  "files",
] as const;

test("the table is of every step", async () => {
  using here = await machine();
  expect(here.steps().map(({ id }) => id)).toEqual([...IDS]);
});

describe("all steps", () => {
  test("make a node, find everything done a second time, and leave the machine as it was", async () => {
    using here = await machine();
    const before = here.snapshot();
    expect((await bootstrap(here, here.steps())).map(({ outcome }) => outcome)).toEqual(IDS.map(() => "done"));
    const node = here.snapshot();
    for (const line of [
      "file /opt/ober/bin/ober 755 an executable",
      "directory /opt/ober/etc/certs 700",
      "link /usr/local/bin/ober /opt/ober/bin/ober",
      "unit haproxy.service masked inactive masked",
      "package keepalived",
      "file /proc/sys/net/core/somaxconn 644 65535\n",
      "file /proc/sys/net/ipv4/ip_local_reserved_ports 644 3784-3785,8404,9100\n",
      "file /sys/fs/selinux/booleans/haproxy_connect_any 644 1 1",
      "rule 443/tcp",
    ])
      expect(node).toContain(line);
    for (const path of ["/etc/systemd/system.conf.d/90-ober.conf", "/etc/NetworkManager/conf.d/90-ober.conf"])
      expect(here.text(path)).toStartWith("# Written by ober");
    expect((await bootstrap(here, here.steps())).map(({ outcome }) => outcome)).toEqual(IDS.map(() => "found"));
    expect(here.snapshot()).toEqual(node);
    expect(await uninstall(here, here.steps())).toEqual([]);
    expect(here.snapshot()).toEqual(before);
  });

  test("say what they would do, and do nothing, in a dry run", async () => {
    using here = await machine();
    const before = here.snapshot();
    for (const step of here.steps()) {
      expect(await step.check()).toBe("needed");
      await step.foresee?.();
    }
    expect(here.snapshot()).toEqual(before);
    expect(await here.step("haproxy-source").foresee?.()).toBe(
      "from Debian 13: its vendor has no packages for this release at https://www.haproxy.com/download/haproxy/performance",
    );
  });
});

describe.each(IDS)("%s", (id) => {
  const prepared = async () => {
    const here = await machine();
    // What the steps before leave.
    const [first] = stepsOf(here, "directories", here.system);
    if (id === "executable" || id === "link") await first?.apply([]);
    return here;
  };

  test("undone is as before, and undone again as well", async () => {
    using here = await prepared();
    const before = here.snapshot();
    const step = here.step(id);
    const record = await step.plan();
    await step.apply(record);
    await step.apply(record);
    await step.undo(record);
    // What is on record as ober's file goes with the step of the files.
    await here.step("files").undo(null);
    await here.system.removeTree(here.paths.var);
    if (id !== "executable" && id !== "link") await here.system.removeEmptyDirectory(here.paths.prefix);
    expect(here.snapshot()).toEqual(before);
    await step.undo(record);
    expect(here.snapshot()).toEqual(before);
  });

  test("comes back from the journal with the record that it left there", async () => {
    using here = await prepared();
    const step = here.step(id);
    const record = JSON.parse(JSON.stringify(await step.plan()));
    expect((await step.record["~standard"].validate(record)) as object).toEqual({
      typed: true,
      value: record,
    } as object);
  });

  test("killed after any change of its first run ends the same when it is run again, and undone is as before", async () => {
    for (let after = 0; ; after++) {
      using here = await prepared();
      const before = here.snapshot();
      let killed = false;
      try {
        const dying = killedAfter(here.system, after);
        await bootstrap(here, stepsOf(here, id, dying), dying);
      } catch (error) {
        if (!(error instanceof PowerCut)) throw error;
        killed = true;
      }
      const steps = [
        ...stepsOf(here, id, here.system),
        ...(id === "sysctl" ? stepsOf(here, "files", here.system) : []),
      ];
      await bootstrap(here, steps);
      // Where HAProxy comes from is decided when its package comes.
      expect(await steps[0]?.check()).toBe(id === "haproxy-source" ? "needed" : "done");
      expect(await uninstall(here, steps)).toEqual([]);
      expect(here.snapshot()).toEqual(before);
      if (!killed) break;
    }
  });

  test("killed after any change of its way back is as before when it is undone again", async () => {
    for (let after = 0; ; after++) {
      using here = await prepared();
      const before = here.snapshot();
      const steps = [
        ...stepsOf(here, id, here.system),
        ...(id === "sysctl" ? stepsOf(here, "files", here.system) : []),
      ];
      await bootstrap(here, steps);
      const dying = killedAfter(here.system, after);
      const dyingSteps = installSteps({ ...here.context, system: dying }).filter((step) =>
        steps.some((each) => each.id === step.id),
      );
      try {
        await uninstall(here, dyingSteps, dying);
        break;
      } catch (error) {
        if (!(error instanceof PowerCut)) throw error;
      }
      // Killed with the last breath, when the journal was gone already: nothing is left but an empty directory.
      if ((await here.system.stat(here.paths.journal)) === undefined) break;
      await uninstall(here, steps);
      expect(here.snapshot()).toEqual(before);
    }
  });
});

/** Commands that a step gives, forth or back. */
test.each<[id: string, failing: RegExp, phase: "apply" | "undo"]>([
  ["executable", /^sha256sum/, "apply"],
  ["shell", /ober man$/, "apply"],
  ["foreign-units", /^systemctl mask/, "apply"],
  ["foreign-units", /^systemctl unmask/, "undo"],
  ["haproxy-source", /^apt-get .*update$/, "apply"],
  ["packages", /^apt-get .*update$/, "apply"],
  ["packages", /^apt-get .* -s install/, "apply"],
  ["packages", /^apt-get (?!.* -s ).* install/, "apply"],
  ["packages", /purge/, "undo"],
  ["packages", /^userdel/, "undo"],
  ["packages", /^groupdel/, "undo"],
  ["watchdog", /daemon-reexec/, "apply"],
  ["watchdog", /daemon-reexec/, "undo"],
  ["selinux", /^setsebool/, "apply"],
  ["selinux", /^setsebool/, "undo"],
  ["network", /^nmcli/, "apply"],
  ["network", /^nmcli/, "undo"],
  ["firewall", /^ufw allow 443/, "apply"],
  ["firewall", /^ufw delete allow 443/, "undo"],
  ["files", /daemon-reload/, "undo"],
])("%s whose %p fails in %s says so, and ends well when it is typed again", async (id, failing, phase) => {
  using here = await machine();
  // Something to compare with, and to take over.
  if (id === "executable") here.put(here.paths.executable, "an older executable", 0o755);
  const before = here.snapshot();
  const steps = stepsOf(here, id, here.system);
  if (phase === "undo") await bootstrap(here, steps);
  here.refuse(failing, "the disk is full");
  const failed = phase === "apply" ? bootstrap(here, steps) : uninstall(here, steps);
  await expect(failed).rejects.toBeInstanceOf(OberError);
  await expect(failed).rejects.toThrow("the disk is full");
  here.refuse();
  if (phase === "apply") await bootstrap(here, steps);
  await uninstall(here, steps);
  expect(here.snapshot()).toEqual(before.filter((line) => !line.startsWith("file /opt/ober/bin/ober ")));
});

test("a program that stands there is not one brought by hand when the installation that brings it was cut off", async () => {
  using here = await machine();
  const steps = stepsOf(here, "packages", here.system);
  here.refuse(/^apt-get .*force-confdef install haproxy/, "killed");
  await expect(bootstrap(here, steps)).rejects.toThrow("killed");
  here.refuse();
  here.programs.add("exabgp");
  await bootstrap(here, steps);
  expect([...here.packages]).toContain("exabgp");
});

describe("what was there before", () => {
  test("a completion of the site's own stays, and is left where it is", async () => {
    using here = await machine();
    here.put(here.paths.bashCompletion, "complete -W mine ober\n");
    const before = here.snapshot();
    const steps = stepsOf(here, "shell", here.system);
    await bootstrap(here, steps);
    expect(here.text(here.paths.bashCompletion)).toBe("complete -W mine ober\n");
    expect(here.text(here.paths.manual)).toContain(".TH OBER 8");
    await uninstall(here, steps);
    expect(here.snapshot()).toEqual(before);
  });

  test("and is as wanted is found, and stays", async () => {
    using here = await machine();
    const { apply: watch } = here.step("watchdog");
    await watch(null);
    here.install(["haproxy", "exabgp", "keepalived", "bird2", "nftables"]);
    here.rules.add("80/tcp").add("443/tcp");
    for (const name of ["haproxy_connect_any", "keepalived_connect_any"])
      here.put(`/sys/fs/selinux/booleans/${name}`, "1 1");
    const before = here.snapshot();
    const outcomes = await bootstrap(here, here.steps());
    expect(outcomes.filter(({ outcome }) => outcome === "found").map(({ id }) => id)).toEqual([
      "haproxy-source",
      "packages",
      "watchdog",
      "selinux",
      "firewall",
    ]);
    await uninstall(here, here.steps());
    expect(here.snapshot()).toEqual(before);
  });

  test("of a service runs again, and starts again with the next boot", async () => {
    using here = await machine();
    here.install(["haproxy"]);
    here.units.set("haproxy.service", { load: "loaded", active: "active", enabled: "enabled" });
    const step = here.step("foreign-units");
    const record = await step.plan();
    expect(await step.apply(record)).toEqual(["haproxy.service was running and is stopped now"]);
    expect(here.units.get("haproxy.service")).toEqual({ load: "masked", active: "inactive", enabled: "masked" });
    await step.undo(record);
    expect(here.units.get("haproxy.service")).toMatchObject({ active: "active", enabled: "enabled" });
  });

  test("of accounts stays, and only those that the packages made go", async () => {
    using here = await machine();
    here.put("/etc/passwd", `${here.text("/etc/passwd")}haproxy:x:999:\nhaproxy2:x:998:\n`);
    const before = here.text("/etc/passwd");
    const step = here.step("packages");
    const record = await step.plan();
    await step.apply(record);
    expect(here.text("/etc/passwd")).toContain("exabgp:");
    await step.undo(record);
    expect(here.text("/etc/passwd")).toBe(before);
  });

  test("under the name of ober's kernel tuning comes back", async () => {
    using here = await machine();
    here.put(here.paths.sysctl, "net.core.somaxconn = 1000\n", 0o600);
    const before = here.snapshot();
    const steps = here.steps().filter(({ id }) => id === "sysctl" || id === "files");
    await bootstrap(here, steps);
    // `config` writes it; bootstrap alone leaves the site's own.
    await here.system.writeAtomic(here.paths.sysctl, "# Written by ober\n");
    await uninstall(here, steps);
    expect(here.snapshot()).toEqual(before);
  });

  test.each([
    ["a file", async (here: Machine) => here.put("/usr/local/bin/ober", "the site's own")],
    ["another link", async (here: Machine) => here.system.symlink("/srv/ober/bin/ober", "/usr/local/bin/ober")],
  ])("in the place of the link, %s, is refused with what to type, and stays", async (_, prepare) => {
    using here = await machine();
    await prepare(here);
    const before = here.snapshot();
    const step = here.step("link");
    await expect(step.check()).rejects.toMatchObject({
      message: "/usr/local/bin/ober exists and is not a link to /opt/ober/bin/ober",
      hint: expect.stringContaining("ls -l /usr/local/bin/ober"),
    });
    await step.undo(null);
    expect(here.snapshot()).toEqual(before);
  });

  test("of directories stays, and what an operator put into ober's is named", async () => {
    using here = await machine();
    await here.system.makeDirectory("/opt/ober/etc", 0o700);
    const step = here.step("directories");
    const record = await step.plan();
    await step.apply(record);
    here.put("/opt/ober/etc/certs/site.pem", "a certificate");
    expect(await step.undo(record)).toEqual(["/opt/ober/etc/certs holds files that are not ober's and stays"]);
    expect(here.text("/opt/ober/etc/certs/site.pem")).toBe("a certificate");
    expect(await here.system.list("/opt/ober/etc")).toEqual(["certs"]);
    expect((await here.system.stat("/opt/ober/etc"))?.mode).toBe(0o700);
  });
});

describe("where it cannot be done", () => {
  test("a kernel that lacks a key is told, and is no failure", async () => {
    using here = await machine();
    const step = here.step("sysctl");
    const remarks = await step.apply(await step.plan());
    expect(remarks).toContain("this kernel refuses kernel.panic = 10: No such file or directory");
  });

  test("a firewall that was switched off since keeps its rules, and they are named", async () => {
    using here = await machine();
    const step = here.step("firewall");
    const record = await step.plan();
    await step.apply(record);
    here.programs.delete("ufw");
    expect(await step.undo(record)).toEqual(["ufw is not active; its rules for 80/tcp, 443/tcp stay"]);
  });

  test("no firewall is ever switched on", async () => {
    using here = await machine();
    here.programs.delete("ufw");
    expect(await here.step("firewall").check()).toBe("done");
  });

  test("a machine without a watchdog device is told what to give it", async () => {
    using here = await machine();
    const step = here.step("watchdog");
    expect(await step.apply(await step.plan())).toEqual([
      "there is no watchdog device; give the virtual machine an i6300esb",
    ]);
    here.put("/dev/watchdog", "");
    expect(await step.apply(await step.plan())).toEqual([]);
  });

  test("--no-install names the programs that are not here", async () => {
    using here = await machine();
    const step = here.step("packages", { packages: { ...here.context.packages, noInstall: true } });
    await expect(step.check()).rejects.toThrow("--no-install, but haproxy, exabgp, keepalived, bird are not here");
    here.install(["haproxy", "exabgp", "keepalived", "bird2"]);
    for (const program of ["haproxy", "exabgp", "keepalived", "bird"]) here.programs.add(program);
    expect(await step.check()).toBe("done");
  });

  test("an installed HAProxy of another branch than the one that was asked for is refused", async () => {
    using here = await machine();
    here.install(["haproxy"]);
    const step = here.step("haproxy-source", { packages: { ...here.context.packages, haproxy: "3.4" } });
    await expect(step.check()).rejects.toMatchObject({
      message: "the package haproxy is installed already, and is not HAProxy 3.4",
      hint: "remove it (`apt-get remove haproxy`) and run bootstrap again",
    });
  });

  test("a vendor that has no packages for this release is a must only where its branch was asked for", async () => {
    using here = await machine();
    const step = here.step("haproxy-source", { packages: { ...here.context.packages, haproxy: "3.4" } });
    await expect(step.apply(null)).rejects.toThrow("has no HAProxy 3.4 for Debian 13");
    await here.step("haproxy-source").apply(null);
    expect(here.told.at(-1)).toStartWith("HAProxy comes from Debian 13: its vendor has no packages");
    expect(await here.system.list("/run")).toEqual([]);
  });

  test("packages that another one needs by now stay, and are named", async () => {
    using here = await machine();
    const step = here.step("packages");
    const record = await step.plan();
    await step.apply(record);
    here.needed.add("nftables");
    expect(await step.undo(record)).toEqual(["nftables stay: other packages need them by now"]);
    expect([...here.packages]).toEqual(["nftables"]);
  });

  test("a second run that was to bring other packages than the first has all of them on record", async () => {
    using here = await machine();
    const step = here.step("packages");
    const former = { packages: ["haproxy"], users: ["root"], groups: ["root"] };
    here.install(["haproxy"]);
    const record = (await step.amend?.(former)) as {
      packages: readonly ({ name: string } | string)[];
      users: string[];
    };
    expect(record.packages.map((each) => (typeof each === "string" ? each : each.name))).toEqual([
      "haproxy",
      "exabgp",
      "keepalived",
      "bird2",
      "nftables",
      "libnftables1",
    ]);
    expect(record.users).toEqual(["root"]);
  });
});

describe("HAProxy's vendor", () => {
  const LIST = "/etc/apt/sources.list.d/ober-haproxy.list";
  const KEY_FILE = "/usr/share/keyrings/ober-haproxy.asc";
  const serving = async () => {
    const here = await machine();
    for (const directory of ["/etc/apt/sources.list.d", "/usr/share/keyrings"])
      await here.system.makeDirectory(directory);
    Object.assign(here.vendor, {
      "/dists/trixie/Release": "Architectures: amd64 arm64\n",
      "/HAPROXY-key-community.asc": KEY,
      "/haproxy-awslc": "the package",
    });
    return here;
  };

  test("has the packages: they come from it, with its key, and both go again", async () => {
    using here = await serving();
    const before = here.snapshot();
    const step = here.step("haproxy-source");
    expect(await step.foresee?.()).toMatch(/^3\.4 with AWS-LC from https:/);
    expect(here.snapshot()).toEqual(before);
    await step.apply(null);
    expect(here.told.at(-1)).toMatch(/^HAProxy 3\.4 with AWS-LC comes from https:\S+, signed by 4390/);
    expect(here.text(LIST)).toMatch(/^deb \[signed-by=\S+ober-haproxy\.asc\] https:\S+\/ha34 trixie main\n$/);
    expect(here.text(KEY_FILE)).toBe(KEY);
    const packages = here.step("packages");
    const record = await packages.plan();
    await packages.apply(record);
    expect([...here.packages]).toContain("haproxy-awslc");
    expect([...here.packages]).not.toContain("haproxy");
    await packages.undo(record);
    await step.undo(null);
    expect(here.snapshot()).toEqual(before);
  });

  test.each<[what: string, prepare: (here: Machine) => void, said: RegExp, kept: boolean]>([
    ["whose key is not the pinned one", () => {}, /is not the one that --haproxy-key names/, false],
    [
      "whose repository cannot be read",
      (here) => here.refuse(/APT::Update::Error-Mode=any/, "signature is wrong"),
      /cannot be used with the key/,
      false,
    ],
    [
      "whose key is no key",
      (here) => Object.assign(here.vendor, { "/HAPROXY-key-community.asc": "<html>" }),
      /does not hold an OpenPGP key/,
      false,
    ],
  ])("%s is refused, and nothing of it is kept", async (what, prepare, said) => {
    using here = await serving();
    prepare(here);
    const before = here.snapshot();
    const pinned = what.includes("pinned") ? { key: { fingerprints: ["0".repeat(40)] } } : {};
    const step = here.step("haproxy-source", { packages: { ...here.context.packages, ...pinned } });
    await expect(step.apply(null)).rejects.toThrow(said);
    expect(here.snapshot()).toEqual(before);
  });

  test("that has no package for this machine is passed over, and its repository goes again", async () => {
    using here = await serving();
    delete here.vendor["/haproxy-awslc"];
    const before = here.snapshot();
    await here.step("haproxy-source").apply(null);
    expect(here.told.at(-1)).toMatch(/^HAProxy comes from Debian 13: \S+ is there, and has no package haproxy-awslc/);
    expect(here.snapshot()).toEqual(before);
  });

  test("comes to be claimed again by its list, where the journal is lost", async () => {
    using here = await serving();
    const step = here.step("haproxy-source");
    expect(await step.claim?.()).toBeUndefined();
    await step.apply(null);
    expect(await step.claim?.()).toBeNull();
  });
});

describe("packages of a directory", () => {
  const offline = ({ system, context, step }: Machine) =>
    step("packages", {
      // The link leads to the directory on this machine, which is a directory of another.
      system: { ...system, symlink: (target, path) => system.symlink(system.root + target, path) },
      packages: { ...context.packages, offline: { place: "/srv/packages" } },
    });

  test("come from there alone, and the directory stays the operator's", async () => {
    using here = await machine();
    here.put("/srv/packages/Packages", "an index");
    await here.system.makeDirectory(here.paths.var);
    const before = here.snapshot();
    const step = offline(here);
    const record = await step.plan();
    expect(here.text(`${here.paths.offlineRun}/sources.list`)).toBe(
      `deb [trusted=yes] file:${here.paths.offline} ./\n`,
    );
    await step.apply(record);
    expect(await here.system.list(here.paths.var)).toEqual([]);
    await step.undo(record);
    expect(here.snapshot()).toEqual(before);
    expect(here.text("/srv/packages/Packages")).toBe("an index");
  });

  test("without an index are refused, with how it is made", async () => {
    using here = await machine();
    await here.system.makeDirectory("/srv/packages");
    await here.system.makeDirectory(here.paths.var);
    await expect(offline(here).plan()).rejects.toMatchObject({
      message: "/srv/packages has no Packages",
      hint: expect.stringContaining("apt-ftparchive packages . > Packages"),
    });
  });

  test("left there by a killed run are not followed when the link goes", async () => {
    using here = await machine();
    here.put("/srv/packages/Packages", "an index");
    await here.system.makeDirectory(here.paths.var);
    await offline(here).plan();
    await removeWhole(here.system, here.paths.offline);
    expect(await here.system.list(here.paths.var)).toEqual([]);
    expect(here.text("/srv/packages/Packages")).toBe("an index");
  });
});

describe("the way back", () => {
  test("keeps ober itself while something else could not be undone", async () => {
    using here = await machine();
    await bootstrap(here, here.steps());
    here.refuse(/purge/, "dpkg was interrupted");
    await expect(uninstall(here, here.steps())).rejects.toThrow("1 of the steps could not be undone");
    expect(await here.system.readLink("/usr/local/bin/ober")).toBe("/opt/ober/bin/ober");
    expect(here.text("/opt/ober/bin/ober")).toBe("an executable");
    here.refuse();
    expect(await uninstall(here, here.steps())).toEqual([]);
    expect(await here.system.list("/opt")).toEqual([]);
  });

  test.each(IDS)(
    "with a record of %s that makes no sense is an error that names the journal and what to type",
    async (id) => {
      using here = await machine();
      await bootstrap(here, here.steps());
      const journal = JSON.parse(here.text(here.paths.journal)) as { steps: { id: string; record: unknown }[] };
      for (const entry of journal.steps) if (entry.id === id) entry.record = { what: 7 };
      here.put(here.paths.journal, JSON.stringify(journal));
      const node = here.snapshot();
      await expect(uninstall(here, here.steps())).rejects.toMatchObject({
        message: `/opt/ober/var/journal.json is damaged: its record of "${id}" makes no sense`,
        hint: "ober bootstrap /opt/ober",
      });
      expect(here.snapshot()).toEqual(node);
      const remarks = await mend(here.system, here.paths, here.steps(), { by: "ann", now });
      expect(remarks[0]).toStartWith("/opt/ober/var/journal.json is damaged, and was made again from what is here");
      expect(await uninstall(here, here.steps())).toEqual([]);
      expect(await here.system.list("/opt")).toEqual([]);
    },
  );

  test("reads a journal that the first ober wrote", async () => {
    using here = await machine();
    const at = "2026-11-23T12:00:00.000Z";
    const applied = (id: string, record: unknown) => ({ id, state: "applied", at, record });
    const first = {
      version: 1,
      directories: ["/opt/ober", "/opt/ober/var"],
      steps: [
        applied("directories", ["/opt/ober/etc"]),
        applied("executable", null),
        { id: "link", state: "found", at },
        applied("foreign-units", [{ name: "haproxy.service", enabled: true, active: false }]),
        applied("packages", { packages: ["haproxy", "exabgp"], users: ["root"], groups: ["root"] }),
        applied("sysctl", [["net.core.somaxconn", "4096"]]),
        applied("watchdog", []),
        applied("firewall", { firewall: "none", ports: [] }),
        applied("files", null),
      ],
    };
    here.put(here.paths.journal, JSON.stringify(first));
    expect(await uninstall(here, here.steps())).toEqual([]);
    expect(await here.system.list("/opt")).toEqual([]);
  });

  test("with a step of a newer ober in the journal says how that one comes back", async () => {
    using here = await machine();
    await bootstrap(here, here.steps());
    const journal = JSON.parse(here.text(here.paths.journal)) as { steps: object[] };
    journal.steps.push({ id: "completion", state: "applied", at: "2026-11-23T12:00:00Z", record: null });
    here.put(here.paths.journal, JSON.stringify(journal));
    await expect(uninstall(here, here.steps())).rejects.toMatchObject({
      message: expect.stringContaining('was written by a newer ober: it names a step "completion"'),
      hint: expect.stringContaining("ober upgrade --rollback"),
    });
  });
});
