import { OberError } from "../errors.ts";
import type { System } from "../system/system.ts";
import { apt } from "./apt.ts";
import { dnf } from "./dnf.ts";
import type { PackageManager, PackageOptions } from "./packages.ts";

/** The distribution, from os-release(5). */
export type Os = {
  readonly id: string;
  readonly version: string;
  /** Debian's and Ubuntu's codename of the release, as in their repositories; empty elsewhere. */
  readonly codename: string;
  readonly name: string;
  readonly family: "debian" | "rhel";
};

const SUPPORTED: readonly {
  readonly id: string;
  readonly from: number;
  readonly family: Os["family"];
  readonly name: string;
}[] = [
  { id: "debian", from: 12, family: "debian", name: "Debian 12 and later" },
  { id: "ubuntu", from: 22.04, family: "debian", name: "Ubuntu 22.04 and later" },
  { id: "rhel", from: 10, family: "rhel", name: "RHEL 10 and later" },
  { id: "rocky", from: 10, family: "rhel", name: "Rocky Linux 10 and later" },
  { id: "almalinux", from: 10, family: "rhel", name: "AlmaLinux 10 and later" },
];

/** Throws an OberError with the list of supported systems if this is not one of them. Debian's testing and sid have no number. */
export async function requireSupportedOs(system: System): Promise<Os> {
  const os = parseOsRelease((await system.read("/etc/os-release")) ?? "");
  const known = SUPPORTED.find(({ id }) => id === os.id);
  if (known && (os.version === "" ? os.id === "debian" : Number(os.version) >= known.from)) {
    return { ...os, family: known.family };
  }
  throw new OberError(`${os.name === "" ? "this system" : os.name} is not supported`, {
    hint: `ober runs on ${SUPPORTED.map(({ name }) => name).join(", ")}`,
  });
}

export function parseOsRelease(text: string): Omit<Os, "family"> {
  const value = (key: string) => new RegExp(`^${key}=["']?([^"'\\n]*)`, "m").exec(text)?.[1] ?? "";
  return {
    id: value("ID"),
    version: value("VERSION_ID"),
    codename: value("VERSION_CODENAME"),
    name: value("PRETTY_NAME"),
  };
}

export function packageManager(system: System, os: Os, options: PackageOptions = {}): PackageManager {
  return os.family === "debian" ? apt(system, options) : dnf(system, options);
}

/** HAProxy's package: its vendor's, with AWS-LC, or the distribution's. They exclude each other. */
export const HAPROXY_PACKAGES = ["haproxy-awslc", "haproxy"] as const;

/** Packages that make a node, besides HAProxy. */
export function nodePackages(os: Os): readonly string[] {
  return ["exabgp", "keepalived", os.family === "debian" ? "bird2" : "bird", "nftables"];
}
