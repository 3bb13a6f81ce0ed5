/** One kind of traffic: the same request on a number of connections, each always busy. */
export type Case = {
  readonly name: string;
  readonly method: "GET" | "PUT";
  /** Bytes of the object. */
  readonly size: number;
  readonly tls: boolean;
  readonly connections: number;
};

const KB = 1000;
const MIB = 2 ** 20;
const SIZES = [
  { name: "1 kB", size: KB },
  { name: "64 kB", size: 64 * 1024 },
  { name: "4 MB", size: 4 * MIB },
  { name: "64 MB", size: 64 * MIB },
];

const of = (method: Case["method"], name: string, connections: number, tls = true): Case => ({
  name: `${method} ${name}${tls ? "" : " plain"}, ${connections}`,
  method,
  size: SIZES.find((known) => known.name === name)?.size ?? 0,
  tls,
  connections,
});

/** Every case, in the order of the tables. */
export const CASES: readonly Case[] = [
  of("GET", "1 kB", 1),
  of("GET", "1 kB", 64),
  of("GET", "1 kB", 512),
  of("GET", "64 kB", 64),
  of("GET", "4 MB", 1),
  of("GET", "4 MB", 16),
  of("GET", "4 MB", 512),
  of("GET", "64 MB", 4),
  of("PUT", "4 MB", 16),
  of("PUT", "64 MB", 4),
  of("GET", "1 kB", 64, false),
  of("GET", "4 MB", 16, false),
  of("PUT", "4 MB", 16, false),
];

/** Small objects are counted in requests, large ones in bytes. */
export const isSmall = ({ size }: Pick<Case, "size">) => size <= 64 * 1024;
