import type { System } from "./system.ts";

/** State of the connection handover's table. Packets are counted since it was loaded. */
export type HandoverState = {
  readonly loaded: boolean;
  /** Whether a router's "fragmentation needed" is forwarded to the peers; not so with rules of an earlier release. */
  readonly repeats: boolean;
  readonly packets: {
    /** Packets forwarded to the peer that has the connection, and packets sent to all peers to ask which one has it. */
    readonly sent: number;
    readonly asked: number;
    /** Packets received from peers for connections here. */
    readonly served: number;
    /** Packets of connections that no peer has: they are reset. */
    readonly lost: number;
    /** Packets from a node that is not a peer. */
    readonly stranger: number;
    /** "Fragmentation needed" for clients behind a path with a smaller MTU, forwarded to all peers. */
    readonly narrow: number;
  };
  /** The number of connections whose packets are forwarded to a peer, by the peer's address. */
  readonly flows: Readonly<Record<string, number>>;
};

/** Enough for a set of 250,000 connections at 100 bytes each. */
const MOST_RULES = 32 << 20;

/** Asks the kernel for the table. Needs root. */
export async function handoverState(system: System): Promise<HandoverState> {
  const { code, stdout } = await system.run(["nft", "list", "table", "ip", "ober"], {
    accept: [0, 1],
    mostBytes: MOST_RULES,
  });
  return parseHandover(code === 0 ? stdout : "");
}

/** Reads the output of `nft list table`. */
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

/** Why this kernel or nft refuses the rules of a file, in their words; undefined if they accept them. Needs root. */
export async function handoverRefusal(system: System, rulesFile: string): Promise<string | undefined> {
  const { code, stderr } = await system.run(["nft", "-c", "-f", rulesFile], { accept: [0, 1] });
  return code === 0 ? undefined : (stderr.trim().split("\n")[0] ?? "refused");
}
