import { isAddress } from "../domain/address.ts";
import type { System } from "./system.ts";

/** Remote addresses of the TCP sessions on port 179 that are established, from ss(8). */
export async function bgpPeersConnected(system: System): Promise<readonly string[]> {
  const { stdout } = await system.run(["ss", "-Htn", "state", "established", "( sport = :179 or dport = :179 )"]);
  return parseSessions(stdout);
}

/** The remote addresses in the output of `ss -Htn`. Pure. */
export function parseSessions(ss: string): readonly string[] {
  return ss.split("\n").flatMap((line) => {
    const peer = line.trim().split(/\s+/, 4)[3];
    return peer === undefined ? [] : [peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1")];
  });
}

/** State of the BFD session to each neighbor, by address, as BIRD names it ("Up", "Down", "Init"). */
export async function bfdSessions(system: System, socket: string): Promise<Readonly<Record<string, string>>> {
  const { code, stdout } = await system.run(["birdc", "-s", socket, "show", "bfd", "sessions"], { accept: [0, 1] });
  return code === 0 ? parseBfdSessions(stdout) : {};
}

/** Reads birdc's `show bfd sessions`: address, interface, state and times. Pure. */
export function parseBfdSessions(text: string): Readonly<Record<string, string>> {
  const rows = text.split("\n").map((line) => line.trim().split(/\s+/, 3));
  return Object.fromEntries(
    rows.flatMap(([address, , state]) => (address && state && isAddress(address) ? [[address, state]] : [])),
  );
}
