/** Port lists as the kernel writes them in net.ipv4.ip_local_reserved_ports: "3784-3785,8404". */

/**
 * The ports of all `lists` in the kernel's notation: sorted, neighbors joined, so that a written value can be compared with the one read
 * back (proc_do_large_bitmap in kernel/sysctl.c). Skips what is not a port or a range.
 */
export function mergePorts(...lists: readonly string[]): string {
  const ranges = lists.flatMap(rangesIn).sort(([a], [b]) => a - b);
  const merged: [number, number][] = [];
  for (const [from, to] of ranges) {
    const before = merged.at(-1);
    if (before && from <= before[1] + 1) before[1] = Math.max(before[1], to);
    else merged.push([from, to]);
  }
  return merged.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}

/** The ports of `list` that are not in `others`, in the same notation. */
export function withoutPorts(list: string, others: string): string {
  const ports = (text: string) =>
    rangesIn(text).flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, index) => from + index));
  const taken = new Set(ports(others));
  return mergePorts(...ports(list).flatMap((port) => (taken.has(port) ? [] : [`${port}`])));
}

function rangesIn(list: string): readonly [number, number][] {
  return list.split(",").flatMap((text): [number, number][] => {
    const [, first, last] = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(text) ?? [];
    if (first === undefined) return [];
    const [from, to] = [Number(first), Number(last ?? first)];
    return from <= to && to <= 65_535 ? [[from, to]] : [];
  });
}
