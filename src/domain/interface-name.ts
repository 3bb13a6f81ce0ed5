import { OberError } from "../errors.ts";
import { quote } from "./quote.ts";

/**
 * Names of network interfaces that ober takes: 1 to 15 bytes (IFNAMSIZ less one), and of what the kernel allows (dev_valid_name in
 * net/core/dev.c) only what means nothing to a shell, to systemd or to keepalived, and is not read as an option.
 */
export const INTERFACE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/;

/** Returns `name`, an interface's name as a kernel tells it. Throws an OberError for one that ober does not write into files. */
export function requireInterfaceName(name: string): string {
  if (INTERFACE_NAME.test(name)) return name;
  throw new OberError(`the interface name ${quote(name)} is not one that ober takes`, {
    hint: "1 to 15 letters, digits, '_', '.' or '-', a letter, digit or '_' first: rename the interface, or name another",
  });
}

/**
 * Names of dummy interfaces that ober makes by itself, as assets/network/ober-vip.sh says too; every other interface is the machine's
 * own, and only gets the address.
 */
export const isOwnInterface = (name: string) => /^(lo-|dummy|ober|vip)/.test(name);
