/**
 * Certificates in HAProxy's memory, changed over the runtime socket, without a reload and without an effect on connections. Works the same in
 * every version from 2.6 on. See HAProxy's management guide: "set ssl cert", "add ssl crt-list".
 */
import { posix } from "node:path";
import { OberError } from "../errors.ts";
import { haproxyCommand } from "./socket.ts";

/** The certificate that HAProxy has loaded from a file. */
export type Served = { readonly fingerprint: string; readonly notAfter: Date; readonly chain: number };

/** Files that HAProxy has loaded certificates from. */
async function servedFiles(socket: string): Promise<readonly string[]> {
  const lines = (await haproxyCommand(socket, "show ssl cert")).split("\n");
  return lines.filter((line) => line.startsWith("/"));
}

/** Undefined if HAProxy has nothing from this file. */
async function servedFrom(socket: string, file: string): Promise<Served | undefined> {
  return parseServed(await haproxyCommand(socket, `show ssl cert ${file}`));
}

/** Reads the answer to `show ssl cert FILE`; undefined if it does not describe a certificate. Pure. */
export function parseServed(said: string): Served | undefined {
  const value = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(said)?.[1];
  const [fingerprint, notAfter] = [value("SHA1 FingerPrint"), value("notAfter")];
  if (fingerprint === undefined || notAfter === undefined || Number.isNaN(Date.parse(notAfter))) return undefined;
  return {
    fingerprint: fingerprint.slice(0, 64),
    notAfter: new Date(notAfter),
    chain: [...said.matchAll(/^Chain Subject: /gm)].length,
  };
}

/** What HAProxy has loaded from `place`, by file. */
export async function servedCertificates(socket: string, place: string): Promise<ReadonlyMap<string, Served>> {
  const path = place.replace(/\/+$/, "");
  const files = (await servedFiles(socket)).filter((file) => file === path || posix.dirname(file) === path);
  const all = new Map<string, Served>();
  for (const file of files) {
    const served = await servedFrom(socket, file);
    if (served) all.set(file, served);
  }
  return all;
}

/** Replaces the certificate of `file` in one step; present connections keep theirs. Throws an OberError with HAProxy's reason. */
export async function swapCertificate(socket: string, file: string, payload: string): Promise<void> {
  try {
    // An empty line ends the payload.
    await tell(socket, `set ssl cert ${file} <<\n${payload}`, /Transaction (created|updated)/);
    await tell(socket, `commit ssl cert ${file}`, /Success!/);
  } catch (error) {
    await haproxyCommand(socket, `abort ssl cert ${file}`);
    throw error;
  }
}

/** Adds the certificate of `file` to those of the directory that a bind names. Throws an OberError with HAProxy's reason. */
export async function addCertificate(socket: string, directory: string, file: string, payload: string): Promise<void> {
  await tell(socket, `new ssl cert ${file}`, /New empty certificate store/);
  try {
    await swapCertificate(socket, file, payload);
    await tell(socket, `add ssl crt-list ${directory} ${file}`, /Success!/);
  } catch (error) {
    await haproxyCommand(socket, `del ssl cert ${file}`);
    throw error;
  }
}

async function tell(socket: string, command: string, expected: RegExp): Promise<void> {
  const said = await haproxyCommand(socket, command, 10_000);
  if (expected.test(said)) return;
  const [line = ""] = command.split(" <<");
  throw new OberError(`HAProxy refuses \`${line}\`: ${said.trim().replaceAll("\n", "; ") || "no reason given"}`);
}
