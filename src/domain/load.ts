/**
 * What a node has carried in the last week, in five-minute means, and what it can carry: measured on the node itself, kept in its files, and told to
 * the other nodes on its statistics port, for `ober whatif`. Pure. Reasons are in docs/decisions/redundancy.md.
 */

/** Where a node's statistics port shows it. Not a part of IDENTITY_PATH, which every health loop reads every two seconds. */
export const LOAD_PATH = "/ober/load";
/** The key of the map; see domain/serves.ts. */
export const LOAD_KEY = "load";

/** The means of SLOT_S seconds. Sums over all nodes stay right when traffic moves between them, which sums of peaks do not. */
export type Slot = {
  /** Whole multiples of SLOT_S since the epoch. */
  readonly slot: number;
  /** Bytes a second from and to clients. The network carries them once in each direction: from the RGW and to the client, or the other way. */
  readonly bytes: number;
  /** Connections of clients at once. */
  readonly connections: number;
  /** Thousandths of a CPU that HAProxy's unit used; 0 where the kernel does not count it. */
  readonly cpu: number;
  /** Requests at once that HAProxy had for each group: at RGWs, and waiting for one. */
  readonly groups: Readonly<Record<string, number>>;
};

/** What limits the node. A value that nobody can know is absent. */
export type Capacity = {
  /** Connections of clients that HAProxy accepts. */
  readonly clients: number;
  /** Thousandths of a CPU that HAProxy's unit may use: all of the machine's, or its CPUQuota. */
  readonly cpu?: number | undefined;
  /** Mbit/s of the network in each direction, and who says so: the kernel of the interface, or `capacity_gbit`. */
  readonly mbit?: number | undefined;
  readonly said?: "kernel" | "capacity_gbit" | undefined;
  /** Bytes of the interface's largest packet. */
  readonly mtu: number;
};

export type Load = {
  /** When it was last measured, in seconds since the epoch by the node's clock. */
  readonly at: number;
  readonly capacity: Capacity;
  /** The last week, oldest first; times without a measurement are absent. */
  readonly slots: readonly Slot[];
};

/** The counters and values of one reading. Counters start again with HAProxy. */
export type LoadReading = {
  /** Seconds since boot. */
  readonly uptime: number;
  readonly bytes: number;
  readonly connections: number;
  /** Microseconds of CPU of HAProxy's unit; undefined where the kernel does not count it. */
  readonly cpuUs?: number | undefined;
  readonly groups: Readonly<Record<string, number>>;
};

/** The slot under way: sums of what its intervals had, each times its length. */
type Sums = Slot & { readonly seconds: number };

/** What is kept between two readings. */
export type Kept = {
  readonly slots: readonly Slot[];
  readonly sums?: Sums | undefined;
  readonly last?: Pick<LoadReading, "uptime" | "bytes" | "cpuUs"> | undefined;
};

/** Five minutes, as in the field's habit of 95th percentiles: a burst of one object is no load. */
export const SLOT_S = 300;
/** A longer gap has an unknown course. A shorter one is mostly noise. */
const LONGEST_S = 90;
const SHORTEST_S = 1;
/** A slot counts with a minute of measurements. */
const ENOUGH_S = 60;
const WEEK = (7 * 24 * 3600) / SLOT_S;
/** More groups are not told one by one. */
const MOST_GROUPS = 16;

/** What is kept after one more reading, at `at` (seconds since the epoch). Pure. */
export function withReading(kept: Kept, now: LoadReading, at: number): Kept {
  const slot = Math.floor(at / SLOT_S);
  const { last, sums } = kept;
  const slots = sums === undefined || sums.slot === slot ? kept.slots : withSlot(kept.slots, sums, slot);
  const before = sums?.slot === slot ? sums : nothing(slot);
  const seconds = last === undefined ? 0 : now.uptime - last.uptime;
  const present = { uptime: now.uptime, bytes: now.bytes, cpuUs: now.cpuUs };
  if (last === undefined || seconds < SHORTEST_S || seconds > LONGEST_S) return { slots, sums: before, last: present };
  const cpu = last.cpuUs === undefined || now.cpuUs === undefined ? 0 : since(now.cpuUs, last.cpuUs) / 1000;
  const groups = Object.entries(now.groups)
    .slice(0, MOST_GROUPS)
    .map(([name, value]) => [name, (before.groups[name] ?? 0) + value * seconds] as const);
  return {
    slots,
    last: present,
    sums: {
      slot,
      seconds: before.seconds + seconds,
      bytes: before.bytes + since(now.bytes, last.bytes),
      connections: before.connections + now.connections * seconds,
      cpu: before.cpu + cpu,
      groups: Object.fromEntries(groups),
    },
  };
}

const nothing = (slot: number): Sums => ({ slot, seconds: 0, bytes: 0, connections: 0, cpu: 0, groups: {} });

/** A counter that is lower than before has begun anew. */
const since = (value: number, before: number) => (value >= before ? value - before : value);

/** The slots of the last week, the one of `sums` included if enough of it was measured. The clock may have been set back meanwhile. */
function withSlot(slots: readonly Slot[], sums: Sums, present: number): readonly Slot[] {
  const all = sums.seconds < ENOUGH_S ? slots : [...slots.filter(({ slot }) => slot !== sums.slot), meanOf(sums)];
  return all
    .filter(({ slot }) => slot <= present && slot > present - WEEK)
    .sort((a, b) => a.slot - b.slot)
    .slice(-WEEK);
}

function meanOf({ slot, seconds, bytes, connections, cpu, groups }: Sums): Slot {
  const mean = (value: number) => Math.round(value / seconds);
  return {
    slot,
    bytes: mean(bytes),
    connections: mean(connections),
    cpu: mean(cpu),
    groups: Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, mean(value)])),
  };
}

/** What was measured so far, the slot under way included. Pure. */
export const slotsOf = ({ slots, sums }: Kept): readonly Slot[] =>
  sums === undefined ? slots : withSlot(slots, sums, sums.slot);

/**
 * Bytes of a packet that are not payload: Ethernet's preamble, header, checksum and gap (38), IPv4's header (20), and TCP's with time stamps (32;
 * RFC 7323). TLS adds one and a half in a thousand, which is left out.
 */
const FRAME = 38;
const HEADERS = 52;

/** Bytes of payload a second that the network carries in each direction; undefined where its speed is unknown. Pure. */
export const payloadOf = ({ mbit, mtu }: Capacity): number | undefined =>
  mbit === undefined ? undefined : Math.round((mbit * 125_000 * (mtu - HEADERS)) / (mtu + FRAME));

/** A load as it is told. A slot is its numbers in base 36 with dots between (kB/s, connections, CPU, each group); one that is missing is empty. */
export type ToldLoad = {
  readonly at: number;
  readonly capacity: Capacity;
  readonly groups: readonly string[];
  /** The number of the last slot. */
  readonly last: number;
  readonly slots: string;
};

/** HAProxy's buffers, which hold the value, have 64 KiB or more: the oldest slots are left out beyond this. */
const LONGEST_SLOTS = 40_000;

/** The value for HAProxy's map: JSON without blanks, because a blank would end it. */
export function loadText({ at, capacity, slots }: Load): string {
  const groups = [...new Set(slots.flatMap((slot) => Object.keys(slot.groups)))].slice(0, MOST_GROUPS);
  const last = slots.at(-1)?.slot ?? 0;
  const first = slots[0]?.slot ?? last;
  const bySlot = new Map(slots.map((slot) => [slot.slot, slot]));
  const words: string[] = [];
  let length = 0;
  for (let slot = last; slot >= first && slots.length > 0; slot--) {
    const word = wordOf(bySlot.get(slot), groups);
    length += word.length + 1;
    if (length > LONGEST_SLOTS) break;
    words.push(word);
  }
  return JSON.stringify({ at, capacity, groups, last, slots: words.reverse().join(",") } satisfies ToldLoad);
}

function wordOf(slot: Slot | undefined, groups: readonly string[]): string {
  if (slot === undefined) return "";
  const numbers = [
    Math.round(slot.bytes / 1000),
    slot.connections,
    slot.cpu,
    ...groups.map((name) => slot.groups[name] ?? 0),
  ];
  return numbers.map((number) => number.toString(36)).join(".");
}

/** The load that another node tells. A word that is none counts as missing. Pure. */
export function loadOf({ at, capacity, groups, last, slots }: ToldLoad): Load {
  const words = slots === "" ? [] : slots.split(",");
  const first = last - words.length + 1;
  return {
    at,
    capacity,
    slots: words.flatMap((word, i): readonly Slot[] => {
      if (!/^[0-9a-z]{1,10}(\.[0-9a-z]{1,10}){2,}$/.test(word)) return [];
      const [kilobytes = 0, connections = 0, cpu = 0, ...rest] = word
        .split(".")
        .map((digits) => Number.parseInt(digits, 36));
      const each = groups.map((name, place) => [name, rest[place] ?? 0] as const);
      return [{ slot: first + i, bytes: kilobytes * 1000, connections, cpu, groups: Object.fromEntries(each) }];
    }),
  };
}
