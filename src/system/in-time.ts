/**
 * The result of `asked`, or that of `late` after `deadlineMs`. `asked` then continues in the background, and its errors are dropped; the
 * timer is cleared.
 */
export async function inTime<T>(asked: () => T | Promise<T>, deadlineMs: number, late: () => T): Promise<T> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, deadlineMs);
  try {
    return await Promise.race([Promise.resolve().then(asked), over.promise.then(late)]);
  } finally {
    clearTimeout(timer);
  }
}
