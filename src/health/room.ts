/**
 * Whether a descriptor takes a write now. A write to a pipe or socket that is full stops this process with all its timers
 * (Bun writes as the descriptor was given, and ours block), so nothing is written without having asked.
 */
export type Room = {
  /** Loads what `has` needs: not before the first decision, which it would delay by a quarter. */
  load(): Promise<void>;
  /** Whether up to 4,096 bytes fit. True before `load` is done. */
  has(file: number): boolean;
};

export function createRoom(): Room {
  let isWritable: ((file: number) => boolean) | undefined;
  let loading: Promise<void> | undefined;
  return {
    load() {
      loading ??= import("./libc.ts").then((libc) => {
        isWritable = libc.isWritable;
      });
      return loading;
    },
    has: (file) => isWritable?.(file) ?? true,
  };
}
