const BARS = "▁▂▃▄▅▆▇█";

/** `values` as bars, oldest first; the highest value has the highest bar. */
export function sparkline(values: readonly number[]): string {
  const most = Math.max(...values, 0);
  return values.map((value) => BARS[most === 0 ? 0 : Math.round((value / most) * (BARS.length - 1))]).join("");
}

/** "0", "12", "3.4k", "1.2G": three digits at most. */
export function short(value: number): string {
  const units = ["", "k", "M", "G", "T", "P"];
  let [rest, unit] = [value, 0];
  for (; rest >= 999.5 && unit < units.length - 1; unit++) rest /= 1000;
  return `${rest >= 9.95 || unit === 0 ? Math.round(rest) : rest.toFixed(1)}${units[unit]}`;
}
