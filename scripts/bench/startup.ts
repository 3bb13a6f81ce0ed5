/**
 * How long `ober --help` and `ober status` take on a node that serves, with `curl --version` and `true` beside them, in turns:
 * `bun scripts/bench/startup.ts [--rounds N]`. Runs in the lab that `scripts/lab up` has brought up (OBER_LAB_NAME), with the built executable, in
 * both modes. What runs on a node goes through the same door into it (nsenter and env); `true` shows what that costs.
 */
import { parseArgs } from "node:util";
import { makeServe, measured } from "../../test/e2e/_cluster.ts";
import { attach } from "../../test/lab/lab.ts";
import { EXECUTABLE, ober, oberYaml, vrrpYaml } from "../../test/lab/ober.ts";
import { becomes } from "../../test/lab/process.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "40" }, mode: { type: "string", default: "bgp,keepalived" } },
});
const OBER = "/usr/local/bin/ober";
const ROUNDS = Number(values.rounds);

type Timed = { readonly name: string; readonly argv: readonly string[] };

/** Runs the commands in turns; throws where one fails. */
async function time(where: string, commands: readonly Timed[]): Promise<void> {
  const times = new Map<string, number[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, argv } of commands) {
      const at = performance.now();
      const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
      const [code] = await Promise.all([child.exited, child.stdout.bytes(), child.stderr.bytes()]);
      const ms = performance.now() - at;
      if (code !== 0) throw new Error(`${name} ${where} ended with ${code}`);
      times.set(name, [...(times.get(name) ?? []), ms]);
      measured(`${name}, ${where}`, ms);
    }
  }
  for (const [name, all] of times) {
    const sorted = all.toSorted((a, b) => a - b);
    const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1);
    process.stdout.write(`${name}, ${where}: median ${at(0.5)} ms (least ${at(0)}, nine of ten below ${at(0.9)})\n`);
  }
}

const lab = attach();
const nodes = lab.nodes();
const [node] = nodes;
if (node === undefined) throw new Error("the lab has no node");
await time("on this machine", [
  { name: "curl --version", argv: ["curl", "--version"] },
  { name: "ober --help", argv: [EXECUTABLE, "--help"] },
]);
const inNode = (name: string, ...argv: readonly string[]) => ({ name, argv: node.enter(argv) });
for (const mode of values.mode.split(",")) {
  const yaml = (mode === "bgp" ? oberYaml : vrrpYaml)(lab.names());
  await Promise.all(nodes.map((each) => makeServe(each, each.release(), yaml)));
  // A node that has just started is the master of VIPs until it hears the others.
  let good = 0;
  const isSettled = async () => {
    good = (await ober(node, ["status"], { accept: [0, 1] })).code === 0 ? good + 1 : 0;
    return good >= 10;
  };
  if (!(await becomes(isSettled, 60_000, 500))) throw new Error("the node is not healthy");
  await time(`on a healthy node in ${mode} mode`, [inNode("true", "true"), inNode("ober status", OBER, "status")]);
}
