import { endRunning } from "./process.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs `action` to its end even if Ctrl-C, `kill` or a lost SSH session asks the process to end; the process ends afterwards.
 * For the seconds in which a half-made change would be worse than none or all of it.
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

/**
 * Runs `undo` if the process is interrupted, until the returned function is called. The process ends after that, or at once if
 * it is interrupted a second time. Several undos run one after the other, the latest first.
 */
export function onInterrupt(undo: () => Promise<void>): () => void {
  const held = SIGNALS.map((signal) => {
    const listeners = process.listeners(signal);
    const act = () => {
      forget();
      // Otherwise running programs would continue what is being undone.
      endRunning();
      undo().finally(() => process.kill(process.pid, signal));
    };
    process.removeAllListeners(signal);
    process.on(signal, act);
    return { signal, listeners, act };
  });
  const forget = () => {
    for (const { signal, listeners, act } of held) {
      if (!process.listeners(signal).includes(act)) continue;
      process.off(signal, act);
      for (const listener of listeners) process.on(signal, listener as () => void);
    }
  };
  return forget;
}

/**
 * Calls `act` instead of ending the process at the first Ctrl-C (or `kill`, or lost session); the second one ends it. Until the returned function
 * is called. For work whose result so far is worth something.
 */
export function onFirstInterrupt(act: () => void): () => void {
  const held = SIGNALS.map((signal) => {
    const listeners = process.listeners(signal);
    const first = () => {
      forget();
      act();
    };
    process.removeAllListeners(signal);
    process.on(signal, first);
    return { signal, listeners, first };
  });
  const forget = () => {
    for (const { signal, listeners, first } of held) {
      if (!process.listeners(signal).includes(first)) continue;
      process.off(signal, first);
      for (const listener of listeners) process.on(signal, listener as () => void);
    }
  };
  return forget;
}
