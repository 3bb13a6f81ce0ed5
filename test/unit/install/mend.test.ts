/** A serving node whose records are lost: what `bootstrap` makes again of them, and what `uninstall` then takes away. */
import { describe, expect, test } from "bun:test";
import { drift, generationNumbers, readGeneration } from "../../../src/change/generations.ts";
import { own, readOwned } from "../../../src/change/owned.ts";
import { hasUnits, recordTroubles } from "../../../src/change/records.ts";
import { UNIT_FILES } from "../../../src/domain/units.ts";
import { readJournal } from "../../../src/install/journal.ts";
import { mend, recordsToMend } from "../../../src/install/mend.ts";
import { runSteps, undoSteps } from "../../../src/install/runner.ts";
import { siteReservedPorts } from "../../../src/system/reserved-ports.ts";
import { killedAfter, type Machine, machine } from "../../helpers/bare-machine.ts";
import { PowerCut } from "../../helpers/system.ts";

const quiet = { begin: () => {}, report: () => {} };
const now = () => new Date("2026-11-23T12:00:00Z");
const by = { by: "ann", now };

/** A node as `config` leaves it; `before` is the machine that it was. */
async function node(): Promise<Machine & { readonly before: readonly string[] }> {
  const here = await machine();
  const before = here.snapshot();
  const { system, paths } = here;
  await runSteps(system, paths, here.steps(), { ...quiet, now });
  const units = UNIT_FILES.map((name) => `${paths.unitDirectory}/${name}`);
  const files = [paths.config, paths.haproxyConfig, paths.routersList, paths.journald, ...units];
  await own(
    system,
    paths,
    files.map((path) => ({ path, before: undefined, after: undefined })),
  );
  for (const path of files) here.put(path, `# Written by ober\nExecStart=${paths.executable} names\n`);
  here.put(
    `${paths.generations}/1.json`,
    JSON.stringify({ number: 1, at: now().toISOString(), by: "ann", command: "config", changed: [], files: [] }),
  );
  return { ...here, before };
}

const lose = ({ system, paths }: Machine) => system.removeTree(paths.var);

async function bootstrapAgain(here: Machine): Promise<readonly string[]> {
  const remarks = await mend(here.system, here.paths, here.steps(), by);
  await runSteps(here.system, here.paths, here.steps(), { ...quiet, now });
  return remarks;
}

describe("a node that has lost var", () => {
  test("still knows itself, and says what is lost", async () => {
    using here = await node();
    expect(await recordTroubles(here.system, here.paths)).toEqual([]);
    await lose(here);
    expect(await hasUnits(here.system, here.paths)).toBe(true);
    expect(await recordTroubles(here.system, here.paths)).toEqual(
      (["journal", "generation", "owned"] as const).map((name) => ({
        name,
        file: name === "generation" ? here.paths.generations : here.paths[name],
        kind: "lost",
        text: "is lost",
        fix: "ober bootstrap /opt/ober",
      })),
    );
  });

  test("another installation's units do not make it one", async () => {
    using here = await machine();
    here.put("/etc/systemd/system/ober-http.service", "ExecStart=/srv/ober/bin/ober names\n");
    expect(await hasUnits(here.system, here.paths)).toBe(false);
    expect(await recordTroubles(here.system, here.paths)).toEqual([]);
  });

  test("gets its records again from bootstrap, which says what nobody knows any more", async () => {
    using here = await node();
    await lose(here);
    const remarks = await bootstrapAgain(here);
    expect(remarks).toEqual([
      "/opt/ober/var/journal.json is lost, and was made again from what is here; no longer known: what bootstrap changed on this machine, and how it was before",
      "/opt/ober/var/generations is lost, and was made again from what is here; no longer known: a configuration that was applied",
      "/opt/ober/var/owned.json is lost, and was made again from what is here; no longer known: which files are ober's, and which files they replaced",
      expect.stringContaining("`ober uninstall` will leave the packages"),
    ]);
    expect(await recordTroubles(here.system, here.paths)).toEqual([]);
    expect(await bootstrapAgain(here)).toEqual([]);
    const journal = await readJournal(here.system, here.paths);
    expect(Object.fromEntries(journal?.steps.map(({ id, state }) => [id, state]) ?? [])).toEqual({
      directories: "applied",
      executable: "applied",
      link: "applied",
      "foreign-units": "applied",
      "haproxy-source": "found",
      packages: "found",
      sysctl: "applied",
      watchdog: "applied",
      selinux: "found",
      shell: "applied",
      network: "applied",
      firewall: "found",
      files: "applied",
    });
    expect(journal?.rebuiltAt).toBe(now().toISOString());
  });

  test("keeps what is live as its first generation, which nothing differs from", async () => {
    using here = await node();
    await lose(here);
    await bootstrapAgain(here);
    expect(await generationNumbers(here.system, here.paths)).toEqual([1]);
    const { by: who, command, files } = await readGeneration(here.system, here.paths, 1);
    expect([who, command]).toEqual(["ann", "bootstrap"]);
    expect(files.map(({ path }) => path)).toContain(here.paths.config);
    expect(files.find(({ path }) => path === here.paths.routersList)?.once).toBe(true);
    expect(await drift(here.system, here.paths)).toEqual([]);
  });

  test("still keeps free the ports that the site keeps free", async () => {
    using here = await node();
    const before = await siteReservedPorts(here.system, here.paths);
    expect(before).toBe("9100");
    await lose(here);
    expect(await siteReservedPorts(here.system, here.paths)).toBe("");
    await bootstrapAgain(here);
    expect(await siteReservedPorts(here.system, here.paths)).toBe("9100");
  });

  test("loses everything that is ober's with uninstall, and keeps what may have been there before", async () => {
    using here = await node();
    await lose(here);
    await bootstrapAgain(here);
    expect(await undoSteps(here.system, here.paths, here.steps(), quiet)).toEqual([]);
    const after = here.snapshot();
    const kept = after.filter((line) => !here.before.includes(line));
    // Packages with their accounts, kernel values until the next boot, SELinux, the firewall, directories for all programs.
    expect(
      kept.filter(
        (line) =>
          !/^(package|file \/(etc\/(passwd|group)|proc\/sys|sys\/fs\/selinux)|rule (80|443)|directory \/usr\/local\/share)/.test(
            line,
          ),
      ),
    ).toEqual([]);
    expect(after.filter((line) => /ober/.test(line))).toEqual(["file /root/ober 755 an executable"]);
    expect(after.filter((line) => line.includes("masked"))).toEqual([]);
    expect(here.text("/proc/sys/net/ipv4/ip_local_reserved_ports")).toBe("9100\n");
  });

  test("ends the same when bootstrap is killed after any change", async () => {
    for (let after = 0; ; after++) {
      using here = await node();
      await lose(here);
      let killed = false;
      try {
        const dying = killedAfter(here.system, after);
        await mend(dying, here.paths, here.steps({ system: dying }), by);
      } catch (error) {
        if (!(error instanceof PowerCut)) throw error;
        killed = true;
      }
      await bootstrapAgain(here);
      expect(await recordTroubles(here.system, here.paths)).toEqual([]);
      await undoSteps(here.system, here.paths, here.steps(), quiet);
      expect(here.snapshot().filter((line) => /ober/.test(line))).toEqual(["file /root/ober 755 an executable"]);
      if (!killed) break;
    }
  });
});

describe("a record alone that is", () => {
  test("damaged is set aside and made again; the journal keeps what it knew", async () => {
    using here = await node();
    here.put(here.paths.owned, "");
    expect(await mend(here.system, here.paths, here.steps(), by)).toEqual([
      "/opt/ober/var/owned.json is damaged, and was made again from what is here; no longer known: which files are ober's, and which files they replaced",
    ]);
    expect(Object.keys(await readOwned(here.system, here.paths))).toContain(here.paths.haproxyConfig);
    expect(await here.system.list(here.paths.var)).toContain("owned.json.damaged");
    expect(await undoSteps(here.system, here.paths, here.steps(), quiet)).toEqual([]);
    expect(here.snapshot()).toEqual(here.before);
  });

  test("of kernel values comes from the journal", async () => {
    using here = await node();
    here.put(here.paths.formerSysctls, "{");
    await mend(here.system, here.paths, here.steps(), by);
    expect(JSON.parse(here.text(here.paths.formerSysctls))).toMatchObject({ "net.ipv4.ip_nonlocal_bind": "0" });
  });

  test("of firewall rules is set aside: which of them are ober's is not known", async () => {
    using here = await node();
    here.put(here.paths.firewallRules, "\u0000\u0001");
    const remarks = await mend(here.system, here.paths, here.steps(), by);
    expect(remarks).toEqual([
      "/opt/ober/var/firewall-rules.json is damaged, and was set aside; no longer known: which firewall rules ober added for peers and routers",
    ]);
    expect(await recordTroubles(here.system, here.paths)).toEqual([]);
  });

  test("of a newer ober is left alone, with the way to that ober", async () => {
    using here = await node();
    here.put(here.paths.owned, '{"version":2,"files":[]}');
    await expect(recordsToMend(here.system, here.paths, here.steps())).rejects.toMatchObject({
      message: "/opt/ober/var/owned.json was written by a newer ober: its version is 2, this ober reads 1",
      hint: expect.stringContaining("ober upgrade --rollback"),
    });
    expect(here.text(here.paths.owned)).toBe('{"version":2,"files":[]}');
  });
});

test("of a machine that never was a node nothing is made", async () => {
  using here = await machine();
  const before = here.snapshot();
  expect(await mend(here.system, here.paths, here.steps(), by)).toEqual([]);
  expect(here.snapshot()).toEqual(before);
});
