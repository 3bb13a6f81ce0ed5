import { homedir } from "node:os";
import { join } from "node:path";
import { OberError } from "../errors.ts";
import type { System } from "../system/system.ts";

export type Secrets = { bgpPassword(neighbor: string): string | undefined };

/** Secrets of this node from `~/.ober/login`. */
export async function readSecrets(system: System): Promise<Secrets> {
  const path = join(homedir(), ".ober/login");
  const text = (await system.read(path)) ?? "";
  const stat = await system.stat(path);
  if (stat && (stat.mode & 0o077) !== 0) {
    throw new OberError(`${path} can be read by others`, { hint: `chmod 600 ${path}` });
  }
  const values = new Map(
    text.split("\n").flatMap((line) => {
      const at = line.indexOf("=");
      return at > 0 && !line.startsWith("#") ? [[line.slice(0, at).trim(), line.slice(at + 1).trim()] as const] : [];
    }),
  );
  return { bgpPassword: (neighbor) => values.get(`bgp_password_${neighbor}`) ?? values.get("bgp_password") };
}
