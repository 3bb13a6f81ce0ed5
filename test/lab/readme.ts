/** `scripts/readme`: the screens of README.md, as the executable prints them on a node of the lab. */
import { join } from "node:path";
import { OberError } from "../../src/errors.ts";
import { sayProgress } from "./cli.ts";
import { up } from "./lab.ts";
import { install, ober, oberYaml, prepareClients, waitForNextHops } from "./ober.ts";
import { screenOf } from "./screen.ts";

const README = join(import.meta.dirname, "../../README.md");
const COLUMNS = 130;

/** Of a long screen what a front page needs: its first sections, and the verdict. What is left out is marked. */
const shortened = (lines: readonly string[]): readonly string[] => {
  const rest = lines.findIndex((line) => line.startsWith("backend "));
  return rest < 0 ? lines : [...lines.slice(0, rest), "...", lines.at(-1) ?? ""];
};

/** README's text with what stands between `<!-- name -->` and `<!-- /name -->` replaced. Throws where the marks are missing. */
export function withScreen(text: string, name: string, lines: readonly string[]): string {
  const [begin, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new OberError(`README.md has no place for "${name}"`, { hint: begin.trim() });
  const screen = lines.map((line) => `    ${line}`.trimEnd()).join("\n");
  return `${text.slice(0, from + begin.length)}\n${screen}\n\n${text.slice(to)}`;
}

async function main(): Promise<void> {
  const lab = await up({ progress: sayProgress() });
  try {
    // As many as the descriptors of this machine are enough for: the lab cannot raise them.
    const yaml = `${oberYaml(lab.names())}max_connections: 6000\n`;
    await Promise.all(lab.nodes().map((node) => install(node, yaml)));
    await waitForNextHops(lab.nodes(), 60_000);
    await prepareClients();
    const node = lab.node("n1");
    await ober(node, ["status", "--wait", "30"]);
    const screen = async (word: string) => {
      const { lines } = await screenOf(node, [word], { columns: COLUMNS });
      return [`# ober ${word}`, ...(word === "status" ? shortened(lines) : lines)];
    };
    let text = withScreen(await Bun.file(README).text(), "status", await screen("status"));
    await node.exec(["nft", "-f", "-"], { input: CLOSED });
    const closed = async () => (await ober(node, ["why"], { accept: [0, 1] })).code === 1;
    for (let tries = 0; tries < 300 && !(await closed()); tries++) await Bun.sleep(100);
    text = withScreen(text, "why", await screen("why"));
    await Bun.write(README, text);
  } finally {
    await lab.down();
  }
}

/** The router's port for BGP, closed on the node as a firewall would. */
const CLOSED = `table inet closed {
  chain in { type filter hook input priority 0; tcp sport 179 drop; tcp dport 179 drop; }
  chain out { type filter hook output priority 0; tcp dport 179 drop; tcp sport 179 drop; }
}
`;

if (import.meta.main) await main();
