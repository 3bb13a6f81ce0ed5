/**
 * How long `ober --help` and `ober status` take on a node that serves, with `curl --version` and `true` beside them, in turns:
 * `bun scripts/bench/startup.ts [--rounds N]`. Runs in the lab that `scripts/lab up` has brought up (OBER_LAB_NAME), with the built executable, in
 * both modes. Every command goes through the same door into the node (nsenter and env); `true` shows what that costs.
 */
import { parseArgs } from "node:util";
import { makeServe, measured } from "../../test/e2e/_cluster.ts";
import { attach } from "../../test/lab/lab.ts";
import { ober, oberYaml, vrrpYaml } from "../../test/lab/ober.ts";
import { becomes } from "../../test/lab/process.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "40" }, mode: { type: "string", default: "bgp,keepalived" } },
});
const COMMANDS = [
  ["true"],
  ["curl", "--version"],
  ["/usr/local/bin/ober", "--help"],
  ["/usr/local/bin/ober", "status"],
] as const;

const lab = attach();
const nodes = lab.nodes();
const [node] = nodes;
if (node === undefined) throw new Error("the lab has no node");
for (const mode of values.mode.split(",")) {
  const names = lab.names();
  const yaml = mode === "bgp" ? oberYaml(names) : vrrpYaml(names);
  await Promise.all(nodes.map((each) => makeServe(each, each.release(), yaml)));
  const isServed = async () => (await ober(node, ["why"], { accept: [0, 1] })).code === 0;
  if (!(await becomes(isServed, 60_000, 500))) throw new Error("the node does not serve");
  const times = new Map<string, number[]>();
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const command of COMMANDS) {
      const [program = "", ...rest] = node.enter(command);
      const at = performance.now();
      const child = Bun.spawn([program, ...rest], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
      await Promise.all([child.exited, child.stdout.bytes(), child.stderr.bytes()]);
      const ms = performance.now() - at;
      const name = command.join(" ").replace("/usr/local/bin/", "");
      times.set(name, [...(times.get(name) ?? []), ms]);
      measured(`on a ${mode} node: ${name}`, ms);
    }
  }
  for (const [name, all] of times) {
    const sorted = all.toSorted((a, b) => a - b);
    const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1);
    process.stdout.write(`${mode}  ${name}: median ${at(0.5)} ms (least ${at(0)}, nine of ten below ${at(0.9)})\n`);
  }
}
