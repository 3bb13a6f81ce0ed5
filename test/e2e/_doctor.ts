/** What `doctor` says of a node, and what of it is the lab's and not the node's. */
import type { Finding } from "../../src/checks/check.ts";
import { problemsIn } from "../../src/node/conditions.ts";
import type { LabNode } from "../lab/lab.ts";
import { becomes } from "../lab/process.ts";

/** By its own name: its link may be what is broken. */
export const OBER = "/opt/ober/bin/ober";

/** What the lab cannot give to a node: a watchdog device, kernel values outside of `net`, a clock service, many descriptors. */
const OF_THE_LAB = ["clock", "sysctl", "descriptors", "watchdog"];

export async function doctor(node: LabNode): Promise<readonly Finding[]> {
  const { stdout } = await node.exec([OBER, "doctor", "--json"], { accept: [0, 1], timeoutMs: 30_000 });
  return (JSON.parse(stdout) as { findings: readonly Finding[] }).findings;
}

/** Problems and warnings, without those that the lab gives to every node, and consequences of others. */
export const problemsOf = (findings: readonly Finding[]) =>
  problemsIn(findings).filter(({ id }) => !OF_THE_LAB.includes(id));

/** Waits until `doctor` finds these conditions, and no other; returns what it finds beside or instead of them. */
export async function onlyFinds(node: LabNode, ids: readonly string[], withinMs = 30_000): Promise<readonly string[]> {
  let last: ReturnType<typeof problemsOf> = [];
  const isSo = async () => {
    last = problemsOf(await doctor(node));
    return last.map(({ id }) => id).join() === ids.join();
  };
  if (await becomes(isSo, withinMs, 500)) return [];
  return last.length === 0 ? ["nothing"] : last.map(({ id, detail }) => `${id}: ${detail}`);
}
