import { type CanaryWord, SERVES_KEY, type Serves, servesText } from "../domain/serves.ts";
import type { Dialog } from "./dialog.ts";
import { lastChoiceOf } from "./machine.ts";
import { type MapPlace, setMapKey } from "./serves.ts";
import type { Watch } from "./watch.ts";

/** Tells the other nodes through HAProxy what this node announces: at each change, and each second so that it stays valid. */
export type Publisher = {
  /** Publishes changes, if there are any. */
  changed(watches: readonly Watch[]): void;
  /** Call each second. */
  beat(watches: readonly Watch[]): void;
  /** Publishes that nothing is served any longer. */
  close(): Promise<unknown>;
};

/** `hasSession` tells whether any router has a session: without one no router gets a route, even if ExaBGP acknowledged it. */
export function createPublisher(
  place: MapPlace,
  dialog: Dialog,
  { hasSession, canary }: { readonly hasSession: () => boolean; readonly canary: () => CanaryWord | undefined },
): Publisher {
  const since = new Map<string, number>();
  let told = "";
  let telling: Promise<unknown> | undefined;

  const say = (serves: Serves) => {
    // One request to HAProxy at a time: while it hangs nothing piles up, and the next beat publishes the state of that moment.
    if (telling !== undefined) return;
    told = gistOf(serves);
    telling = setMapKey(place, SERVES_KEY, servesText(serves)).finally(() => {
      telling = undefined;
    });
  };

  const now = (watches: readonly Watch[]): Serves => {
    const word = canary();
    const serves = served(since, { watches, dialog, session: hasSession(), at: seconds() });
    return word === undefined ? serves : { ...serves, canary: word };
  };

  return {
    changed(watches) {
      const serves = now(watches);
      if (gistOf(serves) !== told) say(serves);
    },
    beat(watches) {
      say(now(watches));
    },
    async close() {
      await telling;
      await setMapKey(place, SERVES_KEY, "{}");
    },
  };
}

/** What the others must learn at once. */
const gistOf = ({ vips, canary, held }: Serves) =>
  `${Object.keys(vips).join(" ")} ${JSON.stringify(canary ?? {})}${held ? " held" : ""}`;

const seconds = () => Math.floor(Date.now() / 1000);

/** What is served now. Updates `since`: a VIP that was away starts again. */
function served(
  since: Map<string, number>,
  seen: { readonly watches: readonly Watch[]; readonly dialog: Dialog; readonly session: boolean; readonly at: number },
): Serves {
  for (const { state, vips } of seen.watches) {
    for (const vip of vips) {
      const counts = state.phase === "up" || state.phase === "scarce" || state.phase === "damped";
      const serves = seen.session && counts && seen.dialog.of(vip).acknowledged;
      // One that failed again and again serves, and no node leaves on the strength of it.
      if (!serves || state.phase === "damped") since.delete(vip.address);
      if (!serves) continue;
      if (!since.has(vip.address)) since.set(vip.address, seen.at);
    }
  }
  const isLast = seen.watches.some(({ state }) => lastChoiceOf(state.phase) !== undefined);
  const isHeld = seen.watches.some(({ state }) => state.phase === "held");
  return {
    at: seen.at,
    vips: Object.fromEntries(since),
    ...(isLast ? { last: true as const } : {}),
    ...(isHeld ? { held: true as const } : {}),
  };
}
