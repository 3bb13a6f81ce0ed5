/**
 * A machine for the steps of bootstrap: files in a temporary directory, and programs that keep what they are told (systemd's units, packages and
 * their accounts, a firewall, SELinux, the kernel's values). Everything that a step may touch is in its snapshot.
 */

import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathsOf } from "../../src/domain/paths.ts";
import { OberError } from "../../src/errors.ts";
import type { Step } from "../../src/install/step.ts";
import { type InstallContext, installSteps } from "../../src/install/steps.ts";
import { NO_CHOICE } from "../../src/packages/choice.ts";
import type { RunOptions, RunResult, System } from "../../src/system/system.ts";
import { MANUAL_MARK } from "../../src/ui/man.ts";
import { cutAfter, FILE_CHANGES, temporarySystem } from "./system.ts";
import { systemctlOn, type Unit, type Units } from "./systemctl.ts";
import { treeBelow } from "./tree.ts";

/** What the distribution's repository has: version, the account that it makes, the unit that it brings. */
const REPOSITORY: Readonly<Record<string, { version: string; account?: string; unit?: string }>> = {
  haproxy: { version: "3.0.11-1", account: "haproxy", unit: "haproxy.service" },
  // Only its vendor has it, in a repository of its own.
  "haproxy-awslc": { version: "3.4.1-1", account: "haproxy", unit: "haproxy.service" },
  exabgp: { version: "4.2.25-3", account: "exabgp", unit: "exabgp.service" },
  keepalived: { version: "1:2.3.3-1", account: "keepalived_script", unit: "keepalived.service" },
  bird2: { version: "2.17.1-1", account: "bird", unit: "bird.service" },
  nftables: { version: "1.1.3-1" },
  libnftables1: { version: "1.1.3-1" },
};
/** Comes with nftables. */
const DEPENDENCY = "libnftables1";

const SYSCTLS: Readonly<Record<string, string>> = {
  "net.core.somaxconn": "4096",
  "net.core.rmem_max": "212992",
  "net.ipv4.ip_local_reserved_ports": "9100",
  "net.ipv4.ip_nonlocal_bind": "0",
  "vm.panic_on_oom": "0",
};

export type Machine = Awaited<ReturnType<typeof machine>>;

/** Debian with ufw, an enforcing SELinux and NetworkManager: more than one machine ever has, so that every step has work. */
export async function machine(given: Partial<InstallContext> = {}) {
  const packages = new Set<string>();
  const units = new Map<string, Unit>([
    ["NetworkManager.service", { load: "loaded", active: "active", enabled: "enabled" }],
  ]);
  const rules = new Set<string>(["22/tcp"]);
  const programs = new Set(["ufw", "setsebool", "nmcli"]);
  const needed = new Set<string>();
  const vendor: Record<string, string> = {};
  const told: string[] = [];
  let refused: (line: string) => string | undefined = () => undefined;
  const base = temporarySystem(() => "");
  const at = (path: string) => join(base.root, path);
  const put = (path: string, text: string, mode = 0o644) => {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), text);
    chmodSync(at(path), mode);
  };
  const text = (path: string) => (existsSync(at(path)) ? readFileSync(at(path), "utf8") : "");
  const hasVendor = () => existsSync(at("/etc/apt/sources.list.d/ober-haproxy.list")) && "/haproxy-awslc" in vendor;
  const said = (stdout: string, code = 0, stderr = ""): RunResult => ({ code, stdout, stderr });

  const unitOf = (name: string): Unit => {
    const brought = [...packages].some((each) => REPOSITORY[each]?.unit === name);
    const file = existsSync(at(`/etc/systemd/system/${name}`));
    const known = units.get(name);
    if (known !== undefined) return known;
    const unit = {
      load: brought || file ? "loaded" : "not-found",
      active: "inactive",
      enabled: brought ? "disabled" : "",
    };
    units.set(name, unit);
    return unit;
  };
  const forget = (name: string) => {
    const unit = units.get(name);
    if (unit && unit.load !== "masked" && unit.active === "inactive" && unit.enabled !== "enabled") units.delete(name);
  };

  const systemd: Units = {
    look(name) {
      const unit = unitOf(name);
      forget(name);
      return unit;
    },
    keep(name, unit) {
      units.set(name, unit);
      forget(name);
    },
    unmask(name) {
      units.delete(name);
      forget(name);
    },
  };

  const lines = (path: string) => text(path).split("\n").filter(Boolean);
  function install(names: readonly string[]): void {
    for (const spec of names) {
      const name = spec.split("=")[0] ?? "";
      packages.add(name);
      if (name === "nftables") packages.add(DEPENDENCY);
      const account = REPOSITORY[name]?.account;
      for (const file of ["/etc/passwd", "/etc/group"]) {
        if (account !== undefined && !lines(file).some((line) => line.startsWith(`${account}:`))) {
          put(file, `${text(file)}${account}:x:101:\n`);
        }
      }
    }
  }
  const without = (file: string, name: string) =>
    put(
      file,
      lines(file)
        .filter((line) => !line.startsWith(`${name}:`))
        .map((line) => `${line}\n`)
        .join(""),
    );

  function apt(words: readonly string[]): RunResult {
    const names = words.filter((word) => (word.split("=")[0] ?? "") in REPOSITORY);
    if (words.includes("-s")) {
      const all = names.flatMap((spec) => (spec === "nftables" ? [spec, DEPENDENCY] : [spec.split("=")[0] ?? ""]));
      return said(
        all
          .filter((name) => !packages.has(name))
          .map((name) => `Inst ${name} (${REPOSITORY[name]?.version} x)\n`)
          .join(""),
      );
    }
    if (words.includes("install")) install(names);
    if (words.includes("purge")) for (const name of names) packages.delete(name);
    return said("");
  }

  function answer(argv: readonly string[], input: string | undefined): RunResult {
    const [program = "", ...words] = argv;
    switch (program) {
      case "/bin/sh":
        return said("", [programs, packages].some((all) => all.has(words.at(-1) ?? "")) ? 0 : 1);
      case "systemctl":
        return said(systemctlOn(systemd, words));
      case "sha256sum":
        return said(
          `${createHash("sha256")
            .update(text(words[1] ?? ""))
            .digest("hex")}  ${words[1]}\n`,
        );
      case "tee":
        // A kernel without the key.
        if (!existsSync(at(words[0] ?? ""))) return said("", 1, `tee: ${words[0]}: No such file or directory`);
        put(words[0] ?? "", input ?? "");
        return said("");
      case "dpkg-query": {
        const wanted = words.filter((word) => packages.has(word));
        return said(wanted.map((name) => (words.includes("${Package}\\n") ? `${name}\n` : `ii  ${name}\n`)).join(""));
      }
      case "apt-cache":
        return said(
          words
            .filter((word) => word in REPOSITORY && (word !== "haproxy-awslc" || hasVendor()))
            .map(
              (name) =>
                `${name}:\n  Installed: (none)\n  Candidate: x\n  Version table:\n     ${REPOSITORY[name]?.version} 500\n`,
            )
            .join(""),
        );
      case "apt-get":
        return apt(words);
      case "/usr/lib/apt/apt-helper": {
        const [url = "", file = ""] = words.slice(-2);
        const served = Object.entries(vendor).find(([end]) => url.endsWith(end))?.[1];
        if (served === undefined) return said("", 100, `E: Failed to fetch ${url}  404  Not Found`);
        put(file, served);
        return said("");
      }
      case "dpkg": {
        const prevented = words.filter((word) => needed.has(word));
        return said("", 0, prevented.map((name) => `dependency problems prevent removal of ${name}:\n`).join(""));
      }
      case "nmcli":
        return said("");
      case "userdel":
        without("/etc/passwd", words[0] ?? "");
        return said("");
      case "groupdel":
        without("/etc/group", words[0] ?? "");
        return said("");
      case "haproxy":
        return said("HAProxy version 3.0.11-1 2025/11/18\n");
      case "keepalived":
        return said("", 0, "Keepalived v2.3.3\n");
      case "exabgp":
        return said("ExaBGP : 4.2.25\n");
      case "bird":
        return said("", 0, "BIRD version 2.17.1\n");
      case "ufw":
        if (words[0] === "status")
          return said(`Status: active\n${[...rules].map((rule) => `${rule}   ALLOW   Anywhere\n`).join("")}`);
        if (words[0] === "allow") rules.add(words[1] ?? "");
        if (words[0] === "delete") rules.delete(words[2] ?? "");
        return said("");
      case "setsebool":
        put(`/sys/fs/selinux/booleans/${words[1]}`, words[2] === "on" ? "1 1" : "0 0");
        return said("");
      case "/root/ober":
        return said(`${MANUAL_MARK}\n.TH OBER 8\n`);
      default:
        throw new Error(`a test runs ${argv.join(" ")}, which its machine does not know`);
    }
  }

  const system: System = {
    ...base,
    /** As a real one: a code that is not accepted is an OberError. */
    async run(argv, { accept = [0], input }: RunOptions = {}) {
      const line = argv.join(" ");
      const why = refused(line);
      const result = why === undefined ? answer(argv, input) : said("", 77, why);
      if (accept.includes(result.code)) return result;
      throw new OberError(`\`${line}\` failed with code ${result.code}: ${result.stderr}`);
    },
  };

  put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
  put("/etc/group", "root:x:0:\n");
  put("/root/ober", "an executable", 0o755);
  put("/sys/fs/selinux/enforce", "1\n");
  for (const name of ["haproxy_connect_any", "keepalived_connect_any"]) put(`/sys/fs/selinux/booleans/${name}`, "0 0");
  for (const [key, value] of Object.entries(SYSCTLS)) put(`/proc/sys/${key.replaceAll(".", "/")}`, `${value}\n`);
  for (const directory of [
    "/opt",
    "/run",
    "/usr/local/bin",
    "/etc/sysctl.d",
    "/etc/systemd/system",
    "/etc/NetworkManager/conf.d",
  ]) {
    mkdirSync(at(directory), { recursive: true });
  }
  const paths = pathsOf("/opt/ober");
  const context: InstallContext = {
    system,
    paths,
    os: { id: "debian", version: "13", codename: "trixie", name: "Debian 13", family: "debian" },
    executable: "/root/ober",
    keepConfig: false,
    packages: NO_CHOICE,
    progress: () => {},
    tell: (line) => void told.push(line),
    ...given,
  };

  return {
    system,
    paths,
    context,
    packages,
    units,
    rules,
    programs,
    /** Packages that another one needs. */
    needed,
    /** What HAProxy's vendor serves, by the end of its URL; nothing at first. */
    vendor,
    /** What the steps told the operator. */
    told,
    put,
    text,
    install,
    step: (id: string, changed: Partial<InstallContext> = {}): Step => {
      const found = installSteps({ ...context, ...changed }).find((each) => each.id === id);
      if (found === undefined) throw new Error(`there is no step ${id}`);
      return found;
    },
    steps: (changed: Partial<InstallContext> = {}) => installSteps({ ...context, ...changed }),
    /** From now on commands whose line matches fail with this reason; none without. */
    refuse(pattern?: RegExp, why = "no") {
      refused = (line) => (pattern?.test(line) ? why : undefined);
    },
    /** Everything that a step may touch, a line each. */
    snapshot(): readonly string[] {
      return [
        ...treeBelow(base.root).map(lineOf),
        ...[...units].map(([name, { load, active, enabled }]) => `unit ${name} ${load} ${active} ${enabled}`),
        ...[...packages].map((name) => `package ${name}`),
        ...[...rules].map((rule) => `rule ${rule}`),
      ].sort();
    },
    [Symbol.dispose]: () => base[Symbol.dispose](),
  };
}

function lineOf(entry: ReturnType<typeof treeBelow>[number]): string {
  if (entry.kind === "link") return `link ${entry.path} ${entry.target}`;
  const line = `${entry.kind} ${entry.path} ${entry.mode.toString(8)}`;
  return entry.kind === "directory" ? line : `${line} ${entry.content}`;
}

/** The system until its `after`th change (of a file, or a command), which still happens and is the last. */
export const killedAfter = (system: System, after: number): System => cutAfter(system, after, [...FILE_CHANGES, "run"]);
