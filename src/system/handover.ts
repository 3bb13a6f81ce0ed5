import type { System } from "./system.ts";

/** What the table of handed connections says of itself. Packets are counted since it was loaded. */
export type HandoverState = {
  readonly loaded: boolean;
  /** Whether a router's "fragmentation needed" is repeated to the peers: not so with rules of an earlier release. */
  readonly repeats: boolean;
  readonly packets: {
    /** Handed to the peer that has the connection, and shown to all peers because it was not known. */
    readonly sent: number;
    readonly asked: number;
    /** Taken over from peers. */
    readonly served: number;
    /** Of connections that no peer knows: they are reset. */
    readonly lost: number;
    /** Shown by a node that is not among the peers. */
    readonly stranger: number;
    /** "Fragmentation needed" for clients behind a narrow path, repeated to all peers. */
    readonly narrow: number;
  };
  /** Connections whose packets arrive here and go to a peer, by that peer's address. */
  readonly flows: Readonly<Record<string, number>>;
};

/** A set of 250,000 connections has 100 bytes for each. */
const MOST_RULES = 32 << 20;

/** Asks the kernel for the table. Needs root. */
export async function handoverState(system: System): Promise<HandoverState> {
  const { code, stdout } = await system.run(["nft", "list", "table", "ip", "ober"], {
    accept: [0, 1],
    mostBytes: MOST_RULES,
  });
  return parseHandover(code === 0 ? stdout : "");
}

/** Reads what `nft list table` prints. */
export function parseHandover(text: string): HandoverState {
  const packets = (name: string) =>
    Number(new RegExp(`^\\tcounter ${name} \\{\\s+packets (\\d+)`, "m").exec(text)?.[1] ?? 0);
  const flows: Record<string, number> = {};
  for (const [, peer = ""] of text.matchAll(/ expires \w+ : ([0-9.]+)/g)) flows[peer] = (flows[peer] ?? 0) + 1;
  return {
    loaded: text !== "",
    repeats: /\bchain narrow \{/.test(text),
    packets: {
      sent: packets("sent"),
      asked: packets("asked"),
      served: packets("served"),
      lost: packets("lost"),
      stranger: packets("stranger"),
      narrow: packets("narrow"),
    },
    flows,
  };
}

/** Why this kernel or its nft does not take the rules of a file, in their words; undefined when they do. Needs root. */
export async function handoverRefusal(system: System, rulesFile: string): Promise<string | undefined> {
  const { code, stderr } = await system.run(["nft", "-c", "-f", rulesFile], { accept: [0, 1] });
  return code === 0 ? undefined : (stderr.trim().split("\n")[0] ?? "refused");
}
