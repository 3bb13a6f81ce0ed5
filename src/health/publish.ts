import { SERVES_KEY, type Serves, servesText } from "../domain/serves.ts";
import type { Dialog } from "./dialog.ts";
import { type MapPlace, setMapKey } from "./serves.ts";
import type { Watch } from "./watch.ts";

/** Tells the other nodes what this one announces, over HAProxy: at each change, and each second so that it counts. */
export type Publisher = {
  /** Something may have changed: tells it if so. */
  changed(watches: readonly Watch[]): void;
  /** To be called each second. */
  beat(watches: readonly Watch[]): void;
  /** The last word: nothing is served any more. */
  close(): Promise<unknown>;
};

/** `hasSession` says whether any router has a session: without one a route reaches nobody, whatever ExaBGP acknowledged. */
export function createPublisher(place: MapPlace, dialog: Dialog, hasSession: () => boolean): Publisher {
  const since = new Map<string, number>();
  let told = "";
  let telling: Promise<unknown> | undefined;

  const say = (serves: Serves) => {
    // HAProxy is asked one thing at a time: while it hangs, nothing piles up, and the next beat tells what is true then.
    if (telling !== undefined) return;
    told = Object.keys(serves.vips).join(" ");
    telling = setMapKey(place, SERVES_KEY, servesText(serves)).finally(() => {
      telling = undefined;
    });
  };

  return {
    changed(watches) {
      const serves = served(since, { watches, dialog, session: hasSession(), at: seconds() });
      if (Object.keys(serves.vips).join(" ") !== told) say(serves);
    },
    beat(watches) {
      say(served(since, { watches, dialog, session: hasSession(), at: seconds() }));
    },
    async close() {
      await telling;
      await setMapKey(place, SERVES_KEY, "{}");
    },
  };
}

const seconds = () => Math.floor(Date.now() / 1000);

/** What is served now; `since` is kept in step with it: a VIP that was away begins anew. */
function served(
  since: Map<string, number>,
  seen: { readonly watches: readonly Watch[]; readonly dialog: Dialog; readonly session: boolean; readonly at: number },
): Serves {
  for (const { state, vips } of seen.watches) {
    for (const vip of vips) {
      const serves =
        seen.session && (state.phase === "up" || state.phase === "scarce") && seen.dialog.of(vip).acknowledged;
      if (!serves) since.delete(vip.address);
      else if (!since.has(vip.address)) since.set(vip.address, seen.at);
    }
  }
  return { at: seen.at, vips: Object.fromEntries(since) };
}
