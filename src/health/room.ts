/**
 * Whether a descriptor can be written to now. A write to a full pipe or socket stops this process with all its timers (Bun uses
 * descriptors as they are, and ours block), so every write asks first.
 */
export type Room = {
  /** Loads what `has` needs. Call it after the first decision, which it would delay by a quarter. */
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
