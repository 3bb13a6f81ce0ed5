import { OberError } from "../errors.ts";
import { quote } from "./quote.ts";

/**
 * Names of network interfaces that ober accepts: 1 to 15 bytes (IFNAMSIZ less one). Of the characters that the kernel allows (dev_valid_name
 * in net/core/dev.c), only those without a meaning to a shell, systemd or keepalived, and no name that reads as an option.
 */
export const INTERFACE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/;

/** Returns `name`, an interface name from the kernel. Throws an OberError if ober does not write such names into files. */
export function requireInterfaceName(name: string): string {
  if (INTERFACE_NAME.test(name)) return name;
  throw new OberError(`ober does not accept the interface name ${quote(name)}`, {
    hint: "rename the interface, or use another: 1 to 15 letters, digits, '_', '.' or '-', a letter, digit or '_' first",
  });
}

/**
 * Names of dummy interfaces that ober creates, as in assets/network/ober-vip.sh. Every other interface is the machine's own and only
 * gets the address.
 */
export const isOwnInterface = (name: string) => /^(lo-|dummy|ober|vip)/.test(name);
