import type { Dialog } from "./dialog.ts";
import type { Notify } from "./notify.ts";
import type { Watch } from "./watch.ts";

/**
 * What systemd is told. The unit has `Type=notify`, `NotifyAccess=all` and `WatchdogSec=`: it is ready when ExaBGP confirmed
 * the first decision, and it is killed when the chain from check to ExaBGP no longer completes, because ExaBGP itself keeps
 * the routes of a process that hangs.
 */
export type Watchdog = {
  /** To be called when ExaBGP answered. Feeds what the last beat could not. */
  answered(): void;
  /** To be called each second. Feeds systemd when since its last meal every group was checked and ExaBGP confirmed something. */
  beat(): void;
};

/** A watchdog that talks to the socket at `path`. `complain` gets what goes wrong with that, or undefined. */
export async function createWatchdog(
  path: string,
  {
    dialog,
    watches,
    complain,
  }: { dialog: Dialog; watches: readonly Watch[]; complain: (trouble: string | undefined) => void },
): Promise<Watchdog> {
  const { openNotify } = await import("./notify.ts");
  return watchdogOver(openNotify(path), { dialog, watches, complain });
}

export function watchdogOver(
  notify: Notify,
  {
    dialog,
    watches,
    complain,
  }: { dialog: Dialog; watches: readonly Pick<Watch, "checks">[]; complain: (trouble: string | undefined) => void },
): Watchdog {
  let ready = false;
  let hungry = false;
  let fedAcks = 0;
  let fedChecks = watches.map(() => 0);
  /** Returns whether there was anything to feed on. */
  const feed = (): boolean => {
    const { acks } = dialog.counters;
    const checked = watches.every(({ checks }, i) => checks > (fedChecks[i] ?? 0));
    if (!ready || !checked || acks === fedAcks || !dialog.sound()) return false;
    fedAcks = acks;
    fedChecks = watches.map(({ checks }) => checks);
    complain(notify("WATCHDOG=1"));
    return true;
  };
  return {
    answered() {
      if (!ready && dialog.proven()) {
        ready = true;
        complain(notify("READY=1\nWATCHDOG=1"));
      }
      // An answer that came after the beat that missed it: the next one would be late, the watchdog has little patience.
      if (hungry) hungry = !feed();
    },
    beat() {
      hungry = !feed();
    },
  };
}
