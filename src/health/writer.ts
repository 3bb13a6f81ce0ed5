import type { BunFile } from "bun";

/** Writes to one descriptor, in order, and knows when it is done. `Bun.write` uses a thread for anything but a pipe. */
export type Writer = {
  write(text: string): void;
  /** Resolves when everything written so far has left the process. */
  drained(): Promise<void>;
};

/** `onError` gets the error of each failed `write`, once. */
export function createWriter(file: BunFile, onError: (error: Error & { code?: string }) => void): Writer {
  let tail: Promise<unknown> = Promise.resolve();
  return {
    write(text) {
      tail = tail.then(() => Bun.write(file, text)).catch(onError);
    },
    async drained() {
      await tail;
    },
  };
}
