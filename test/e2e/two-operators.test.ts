/** Two operators at one node at the same moment: each of their changes is made whole, and none is lost. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { LabNode } from "../lab/lab.ts";
import { ober, PREFIX_ON_NODE } from "../lab/ober.ts";
import { clusterYaml, makeServe, measured, RELEASE, ROUNDS, SPARE_NODE, sharedLab, switchOff } from "./_cluster.ts";

/** With a VIP of its own, so that the node joins in nobody's traffic. */
const YAML = clusterYaml().replace("vips: [", "vips: [10.99.0.120] # [");
const CONFIG = join(PREFIX_ON_NODE, "etc/ober.yaml");
const HAPROXY = join(PREFIX_ON_NODE, "etc/haproxy/haproxy.cfg");
const TIMES = ROUNDS > 1 ? 200 : 1;

let node: LabNode;

beforeAll(async () => {
  node = (await sharedLab()).node(SPARE_NODE);
  await makeServe(node, RELEASE, YAML);
}, 300_000);
afterAll(() => switchOff(node));

test("`apply` and `sync` at once both come to pass, and who has to wait is told for whom", async () => {
  let refusals = 0;
  for (let round = 0; round < TIMES; round++) {
    const [interval, network] = [1001 + round, `10.200.${round % 256}.0/24`];
    await Bun.write(join(node.root, CONFIG), `${YAML}    health_check_interval: ${interval}\n`);
    // Now the one is ahead, now the other.
    const wait = (of: number) => Bun.sleep(Math.max(0, of * ((round % 7) - 3) * 60));
    const both = await Promise.all([
      wait(1).then(() => insist(["apply", "--yes"], "sync")),
      wait(-1).then(() => insist(["sync", "--frontend-http", network], "apply")),
    ]);
    refusals += both[0] + both[1];
    expect(await Bun.file(join(node.root, HAPROXY)).text()).toContain(`inter ${interval}ms`);
    expect(await Bun.file(join(node.root, CONFIG)).text()).toContain(`${interval}`);
    const { stdout } = await ober(node, ["sync", "--test", `10.200.${round % 256}.7`, "--json"]);
    expect(stdout).toContain(network);
  }
  measured("two operators: `apply` and `sync` at once", refusals, { unit: "refusals", rounds: TIMES });
}, 3_000_000);

test("an edit of ober.yaml while another's change is made is not overwritten", async () => {
  const file = Bun.file(join(node.root, CONFIG));
  for (let round = 0; round < TIMES; round++) {
    const [mine, theirs] = [2001 + 2 * round, 2002 + 2 * round];
    await Bun.write(file, `${YAML}    health_check_interval: ${mine}\n`);
    const applying = ober(node, ["apply", "--yes"], { accept: [0, 1] });
    await Bun.sleep((round % 20) * 50);
    await Bun.write(file, `${YAML}    health_check_interval: ${theirs}\n`);
    const { code, stderr } = await applying;
    if (code === 1) expect(stderr).toContain("was edited in the meantime");
    expect(await file.text()).toContain(`${theirs}`);
    await ober(node, ["apply", "--yes"]);
    expect(await Bun.file(join(node.root, HAPROXY)).text()).toContain(`inter ${theirs}ms`);
  }
}, 3_000_000);

/** Runs a command until it is let in, as an operator does; returns how often it was refused. */
async function insist(words: readonly string[], other: string): Promise<number> {
  for (let refused = 0; ; refused++) {
    const { code, stderr } = await ober(node, words, { accept: [0, 1] });
    if (code === 0) return refused;
    expect(stderr).toMatch(new RegExp(`another ober is changing this machine: (\`ober ${other}\`|it has just ended)`));
  }
}
