import type { NodeStatus } from "../node/status.ts";
import type { Output } from "./output.ts";

/** The consequence of a broken file. */
const NO_START = "HAProxy cannot start or reload until this file is repaired or moved away";

/** A line for each certificate, one for each of its problems, and the renewal. */
export function certificateLines(
  { certificates, renewal }: Pick<NodeStatus, "certificates" | "renewal">,
  { style, now }: Pick<Output, "style"> & { readonly now: Date },
): readonly string[] {
  return [
    ...certificates.map((one) => {
      const days = Math.floor((Date.parse(one.notAfter) - now.getTime()) / 86_400_000);
      const left = one.notAfter === "" ? "not readable" : days < 0 ? "expired" : `valid for ${days} days`;
      const worst = one.problems.some(({ severity }) => severity !== "remark") ? style.red : style.yellow;
      const what = one.names.length === 0 ? "" : ` (${one.names.join(", ")}; ${one.key})`;
      const head = `certificate ${one.file}${what} ${one.problems.length === 0 ? style.green(left) : worst(left)}`;
      const kept =
        one.served === false && one.notAfter !== "" ? [style.red("  HAProxy serves another one from this file")] : [];
      const startless = one.problems.some(({ severity }) => severity === "broken") ? [style.red(`  ${NO_START}`)] : [];
      return [head, ...one.problems.map(({ message }) => worst(`  ${message}`)), ...kept, ...startless].join("\n");
    }),
    ...renewalLine(renewal, style),
  ];
}

function renewalLine(renewal: NodeStatus["renewal"], style: Output["style"]): readonly string[] {
  if (!renewal) return [];
  const { failures, error, retryAt, renewAt } = renewal;
  if (failures > 0) {
    const again = retryAt === undefined ? "" : `; again at ${retryAt}`;
    return [style.red(`renewal failed ${failures === 1 ? "once" : `${failures} times in a row`}: ${error}${again}`)];
  }
  return [renewAt === undefined ? "renewal: not yet asked for" : `renewal: at ${renewAt}`];
}
