/** What a person sees: a program on a node, in a real terminal of a given width (tmux). */

import type { LabNode } from "./lab.ts";
import { end, recordOf, run, until } from "./process.ts";

export type Screen = {
  /** Lines as they were printed: what the terminal had to break because it was too long is one line here. */
  readonly lines: readonly string[];
  /** The same as the terminal shows it, with colours as escape sequences. */
  readonly coloured: string;
};

const DONE = "the program has ended";
/** Nothing scrolls away. */
const ROWS = 400;

/** Runs `ober WORDS` on a node in a terminal of `columns`, to its end. */
export async function screenOf(
  node: LabNode,
  words: readonly string[],
  { columns, env = {} }: { readonly columns: number; readonly env?: Readonly<Record<string, string>> },
): Promise<Screen> {
  const tmux = ["tmux", "-L", `ober-screen-${process.pid}`, "-f", "/dev/null"];
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const argv = node.enter(["env", ...settings, "/usr/local/bin/ober", ...words]);
  const command = `${argv.map((word) => `'${word}'`).join(" ")}; echo '${DONE}'; sleep 600`;
  await run([...tmux, "new-session", "-d", "-x", `${columns}`, "-y", `${ROWS}`, command]);
  const server = recordOf(Number((await run([...tmux, "display-message", "-p", "#{pid}"])).stdout));
  const capture = async (...flags: string[]) => (await run([...tmux, "capture-pane", "-p", ...flags])).stdout;
  try {
    await until(`ober ${words.join(" ")} has ended`, async () => (await capture()).includes(DONE), 30_000, 50);
    const before = (text: string) => text.slice(0, text.indexOf(DONE)).trimEnd();
    return { lines: before(await capture("-J")).split("\n"), coloured: before(await capture("-e")) };
  } finally {
    await end(server);
  }
}
