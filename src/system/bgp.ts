import type { System } from "./system.ts";

/** Remote addresses of the TCP sessions on port 179 that are established, from ss(8). */
export async function bgpPeersConnected(system: System): Promise<readonly string[]> {
  const { stdout } = await system.run(["ss", "-Htn", "state", "established", "( sport = :179 or dport = :179 )"]);
  return stdout.split("\n").flatMap((line) => {
    const peer = line.trim().split(/\s+/)[3];
    return peer === undefined ? [] : [peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1")];
  });
}

/** State of the BFD session to each neighbor, by address, as BIRD names it ("Up", "Down", "Init"). */
export async function bfdSessions(system: System, socket: string): Promise<Readonly<Record<string, string>>> {
  const { code, stdout } = await system.run(["birdc", "-s", socket, "show", "bfd", "sessions"], { accept: [0, 1] });
  if (code !== 0) return {};
  const rows = stdout.split("\n").map((line) => line.trim().split(/\s+/));
  return Object.fromEntries(
    rows.flatMap(([address, , state]) =>
      address && state && /^[0-9a-f.:]+$/i.test(address) ? [[address, state]] : [],
    ),
  );
}
