/**
 * What `asked` gives, or what `late` gives once `deadlineMs` are over. What is asked goes on behind it, and what it throws then is nobody's;
 * the timer does not.
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
