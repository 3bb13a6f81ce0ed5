/** The health loop's counters for the metrics. Separate from the state file, whose writer is loaded after the first decision. */
/** HAProxy answers in a fraction of a millisecond; a check fails at 150 ms. */
export const LATENCY_BOUNDS_MS = [0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 150] as const;

/** The cause of a transition as one of a few words, for counting: its text contains times and names. */
export function causeKind({ to, cause }: { readonly to: string; readonly cause: string }): string {
  if (to === "up") return "recovered";
  if (to === "scarce" || to === "starved" || to === "damped" || to === "drained" || to === "held" || to === "stopped")
    return to;
  if (cause.startsWith("no RGW")) return "starved";
  if (cause.startsWith("no answer")) return "timeout";
  if (cause.startsWith("nothing listens")) return "refused";
  return /answers \d/.test(cause) ? "status" : "other";
}
