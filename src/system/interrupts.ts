const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs `action` to its end although Ctrl-C, `kill` or a lost SSH session ask the process to go; what was asked for happens
 * afterwards. For the seconds in which half of a change would be worse than either side of it.
 */
export async function withoutInterrupts<T>(action: () => Promise<T>): Promise<T> {
  const held = SIGNALS.map((signal) => {
    const listeners = process.listeners(signal);
    const asked = { signal, listeners, count: 0, note: () => void asked.count++ };
    process.removeAllListeners(signal);
    process.on(signal, asked.note);
    return asked;
  });
  try {
    return await action();
  } finally {
    for (const { signal, listeners, note } of held) {
      process.off(signal, note);
      for (const listener of listeners) process.on(signal, listener as () => void);
    }
    const asked = held.find(({ count }) => count > 0);
    if (asked) process.kill(process.pid, asked.signal);
  }
}

/** Has `undo` run, before the process ends, when it is interrupted until the returned function is called. `undo` must be synchronous. */
export function onInterrupt(undo: () => void): () => void {
  for (const signal of SIGNALS) process.prependListener(signal, undo);
  return () => {
    for (const signal of SIGNALS) process.off(signal, undo);
  };
}
