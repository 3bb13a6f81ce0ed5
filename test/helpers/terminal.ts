import { stripVTControlCharacters } from "node:util";

export const KEY = {
  enter: "\r",
  down: "\u001b[B",
  escape: "\u001b",
  interrupt: "\u0003",
  back: "\u001b[Z",
  clear: "\u0015",
} as const;

/** A program on a terminal of its own, with someone who waits for a text before he types. */
export class Terminal implements Disposable {
  private shown = "";
  private seen = 0;
  private readonly child: Bun.Subprocess;

  constructor(argv: readonly string[]) {
    const decoder = new TextDecoder();
    this.child = Bun.spawn([...argv], {
      env: { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", TERM: "xterm-256color" },
      terminal: {
        cols: 120,
        rows: 50,
        data: (_terminal, bytes) => {
          this.shown += decoder.decode(bytes, { stream: true });
        },
      },
    });
  }

  /** Everything that was ever on the screen, without colours and cursor movements. */
  get screen(): string {
    return stripVTControlCharacters(this.shown);
  }

  /** Waits until `text` appears after what the last call saw, then types `keys`. */
  async answer(text: string, keys: string): Promise<void> {
    await this.until(() => this.screen.indexOf(text, this.seen) >= 0, `"${text}"`);
    this.seen = this.screen.indexOf(text, this.seen) + text.length;
    this.child.terminal?.write(keys);
  }

  /** Waits until every one of `texts` has appeared after what the last call saw. */
  async shows(texts: readonly string[]): Promise<void> {
    await this.until(() => texts.every((text) => this.screen.indexOf(text, this.seen) >= 0), texts.join(", "));
  }

  async exitCode(): Promise<number> {
    await this.until(() => this.child.exitCode !== null, "the end of the program");
    return this.child.exitCode ?? -1;
  }

  [Symbol.dispose](): void {
    if (this.child.exitCode === null) this.child.kill("SIGKILL");
    this.child.terminal?.close();
  }

  private async until(reached: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + 20_000;
    while (!reached()) {
      if (Date.now() > deadline)
        throw new Error(`waited 20 s for ${what}; on the screen:\n${this.screen.slice(-2000)}`);
      await Bun.sleep(5);
    }
  }
}
