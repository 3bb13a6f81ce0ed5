import type { System } from "./system.ts";

/** An SSH session: the client's address, and the address of this machine that it is connected to. */
export type Session = { readonly client: string; readonly server: string };

/**
 * The SSH session in which process `pid` runs; undefined at a console. sshd sets it in the login's environment ("client port server
 * port", sshd(8)). sudo(8) removes it from ober's own, so this reads it from the parent processes.
 */
export async function operatorSession(system: System, pid: number): Promise<Session | undefined> {
  for (let at = pid; at > 1; ) {
    const environment = (await system.read(`/proc/${at}/environ`)) ?? "";
    const session = /(?:^|\0)SSH_CONNECTION=([0-9A-Fa-f.:]+) \d+ ([0-9A-Fa-f.:]+) \d+/.exec(environment);
    if (session?.[1] && session[2]) return { client: session[1], server: session[2] };
    // The command name may contain blanks and parentheses; the parent's pid is the second field after the last ")".
    const stat = (await system.read(`/proc/${at}/stat`)) ?? "";
    at = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
  }
  return undefined;
}
