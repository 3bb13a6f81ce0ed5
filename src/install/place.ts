import { resolve } from "node:path";
import { UsageError } from "../errors.ts";

/**
 * An install path as the generated files can carry it: absolute, without a trailing slash, and of characters that no
 * unit, shell or daemon has to have escaped. Throws a UsageError.
 */
export function requireInstallPath(given: string): string {
  const path = resolve("/", given);
  if (!given.startsWith("/")) throw unusable(given, "is not an absolute path");
  if (path === "/" || !/^[A-Za-z0-9/._+-]+$/.test(path)) throw unusable(given, "is no usable install path");
  return path;
}

/** The same, of a place where an installation can live: not the system's own, and there after a reboot. */
export function requireLastingPath(given: string): string {
  const path = requireInstallPath(given);
  if (SYSTEM_DIRECTORIES.includes(path)) throw unusable(given, "belongs to the system");
  if (TRANSIENT.some((directory) => path.startsWith(`${directory}/`)))
    throw unusable(given, "does not outlive a reboot");
  return path;
}

function unusable(given: string, why: string): UsageError {
  const hint = "give an absolute path of letters, digits, '.', '_', '+' and '-', such as /opt/ober";
  return new UsageError(`"${given}" ${why}`, hint);
}

/** Directories that an uninstall must never come near. */
const SYSTEM_DIRECTORIES =
  `/bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr
  /usr/local /var /usr/bin /usr/sbin /usr/lib /var/lib`.split(/\s+/);

/** Gone after a reboot, or no place for files; the units see a /tmp of their own. */
const TRANSIENT = ["/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp"];
