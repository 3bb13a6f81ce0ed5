/** Starts a clock of what this process works; the answer gives the milliseconds since. A machine that does something else as well is not counted. */
export function stopwatch(): () => number {
  const [wall, cpu] = [performance.now(), process.cpuUsage()];
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    // The process computes on other threads too, such as for garbage: that is not waited for.
    return Math.min(performance.now() - wall, (user + system) / 1000);
  };
}
