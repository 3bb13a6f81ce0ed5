/** What people see on terminals of 80 and 120 columns: no line is broken by the terminal, and colours are only where they are wanted. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import type { LabNode } from "../lab/lab.ts";
import { ober } from "../lab/ober.ts";
import { becomes } from "../lab/process.ts";
import { screenOf } from "../lab/screen.ts";
import { type Cluster, runningCluster } from "./_cluster.ts";

const SCREENS = ["status", "status --all", "why", "doctor", "history", "--help", "bootstrap --help"];
/** Whoever wants to look at them. */
const KEPT = process.env["OBER_SCREENS"];

describe("on a terminal", () => {
  let cluster: Cluster;
  let node: LabNode;
  beforeAll(async () => {
    cluster = await runningCluster();
    node = cluster.nodes[0] as LabNode;
    const served = async () => (await ober(node, ["why"], { accept: [0, 1] })).code === 0;
    expect(await becomes(served, 30_000)).toBe(true);
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  async function look(line: string, columns: number, state: string): Promise<void> {
    const words = line.split(" ");
    const { lines, coloured } = await screenOf(node, words, { columns });
    if (KEPT) {
      mkdirSync(KEPT, { recursive: true });
      await Bun.write(`${KEPT}/${state}-${words.join("")}-${columns}.ansi`, coloured);
    }
    expect(lines.length).toBeGreaterThan(2);
    expect(lines.filter((text) => Bun.stringWidth(text) > columns)).toEqual([]);
    if (line !== "history") expect(coloured).toContain("\u001b[");
  }

  const widths = [80, 120].flatMap((columns) => SCREENS.map((line) => [line, columns] as const));
  test.each(widths)("ober %s fits into %d columns", (line, columns) => look(line, columns, "well"), 60_000);

  test.each(SCREENS)(
    "ober %s has no colours with NO_COLOR, nor in a pipe",
    async (line) => {
      const { coloured } = await screenOf(node, line.split(" "), { columns: 80, env: { NO_COLOR: "1" } });
      expect(coloured).not.toContain("\u001b");
      expect((await ober(node, line.split(" "), { accept: [0, 1] })).stdout).not.toContain("\u001b");
    },
    60_000,
  );

  test("an ordinary user sees what is no secret, and that there is more", async () => {
    const nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "/usr/local/bin/ober"];
    const status = (await node.exec([...nobody, "status"])).stdout;
    expect(status).toMatch(/10\.99\.0\.100 +s3 +present +announced/);
    expect(status).toMatch(/s3 +rgw1:7480 +UP/);
    expect(status).toContain("shown to root only");
    expect((await node.exec([...nobody, "why"])).stdout).toMatch(/10\.99\.0\.100 is served from this node\n$/);
  }, 60_000);

  test("they fit on a node that is broken too, where sentences are long", async () => {
    await node.exec(["systemctl", "stop", "ober-http"]);
    try {
      for (const line of ["status", "status --all", "why", "doctor"]) await look(line, 80, "broken");
    } finally {
      await ober(node, ["start", "-q"]);
    }
  }, 120_000);
});
