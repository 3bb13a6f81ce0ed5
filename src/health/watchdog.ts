import type { Dialog } from "./dialog.ts";
import type { Notify } from "./notify.ts";
import type { Watch } from "./watch.ts";

/**
 * Notifications to systemd. The unit has `Type=notify`, `NotifyAccess=all` and `WatchdogSec=`: it is ready once ExaBGP has
 * confirmed the first decision, and is killed if the chain from check to ExaBGP no longer completes, because ExaBGP would keep
 * the routes of a process that hangs.
 */
export type Watchdog = {
  /** Call when ExaBGP has answered: feeds the watchdog if the last beat could not. */
  answered(): void;
  /** Call each second: feeds the watchdog if every group was checked and ExaBGP confirmed something since the last feeding. */
  beat(): void;
};

/** What shows that the chain works: ExaBGP's answers (dialog.ts), or the files that keepalived watches (tracks.ts). */
type Provable = Pick<Dialog, "counters" | "proven" | "sound">;

/** A watchdog that uses the socket at `path`. `complain` gets problems with it, or undefined. */
export async function createWatchdog(
  path: string,
  {
    dialog,
    watches,
    complain,
  }: { dialog: Provable; watches: readonly Watch[]; complain: (trouble: string | undefined) => void },
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
  }: { dialog: Provable; watches: readonly Pick<Watch, "checks">[]; complain: (trouble: string | undefined) => void },
): Watchdog {
  let ready = false;
  let hungry = false;
  let fedAcks = 0;
  let fedChecks = watches.map(() => 0);
  /** Feeds the watchdog if it may; returns whether it did. */
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
      // An answer that just missed a beat: do not wait for the next one, because the watchdog's time is short.
      if (hungry) hungry = !feed();
    },
    beat() {
      hungry = !feed();
    },
  };
}
