import type { BunFile } from "bun";

/** Writes to one descriptor: in order, and known to be written. `Bun.write` hands what is no pipe to a thread. */
export type Writer = {
  write(text: string): void;
  /** Resolves when everything written so far has left the process. */
  drained(): Promise<void>;
};

/** `onError` gets what cannot be written, once for each `write`. */
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
