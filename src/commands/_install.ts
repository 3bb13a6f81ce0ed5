import { resolve } from "node:path";
import { UsageError } from "../errors.ts";

/**
 * An install path as ober accepts it: absolute, without a trailing slash, and of characters that no generated file,
 * unit or shell has to escape. Throws a UsageError.
 */
export function requireInstallPath(given: string): string {
  const path = resolve(given);
  if (given.startsWith("/") && path !== "/" && /^[A-Za-z0-9/._+-]+$/.test(path) && !isForbidden(path)) return path;
  const what = isForbidden(path) ? "belongs to the system" : "is no usable install path";
  throw new UsageError(
    `"${given}" ${what}`,
    "give an absolute path of letters, digits, '.', '_', '+' and '-', such as /opt/ober",
  );
}

const isForbidden = (path: string) =>
  SYSTEM_DIRECTORIES.includes(path) || TRANSIENT.some((directory) => path.startsWith(`${directory}/`));

/** Directories that an uninstall must never come near. */
const SYSTEM_DIRECTORIES =
  `/bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr
  /usr/local /var /usr/bin /usr/sbin /usr/lib /var/lib`.split(/\s+/);

/** Gone after a reboot, or no place for files; the units see a /tmp of their own. */
const TRANSIENT = ["/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp"];
