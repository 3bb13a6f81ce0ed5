import type { System } from "./system.ts";

/** An SSH session: where the person comes from, and which address of this machine it is connected to. */
export type Session = { readonly client: string; readonly server: string };

/**
 * The SSH session of whoever runs process `pid`; undefined at a console. sshd leaves it in the environment of the login
 * ("client port server port", sshd(8)), which sudo(8) takes away from ours; so the processes above this one are asked.
 */
export async function operatorSession(system: System, pid: number): Promise<Session | undefined> {
  for (let at = pid; at > 1; ) {
    const environment = (await system.read(`/proc/${at}/environ`)) ?? "";
    const session = /(?:^|\0)SSH_CONNECTION=([0-9A-Fa-f.:]+) \d+ ([0-9A-Fa-f.:]+) \d+/.exec(environment);
    if (session?.[1] && session[2]) return { client: session[1], server: session[2] };
    // The command name may hold blanks and parentheses; the parent's pid is the second field behind its last ")".
    const stat = (await system.read(`/proc/${at}/stat`)) ?? "";
    at = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
  }
  return undefined;
}
