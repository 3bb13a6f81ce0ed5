import type { Paths } from "../domain/paths.ts";
import type { Wish } from "../domain/rgw-wishes.ts";
import { OberError, orUndefined } from "../errors.ts";
import { type Flaw, flawOf, parseOwn, writeOwn } from "./own-files.ts";
import { readBounded } from "./resolve.ts";
import type { System } from "./system.ts";

/** What operators have asked of single RGWs. `flaw` says why the file cannot be read: HAProxy must start whatever it is, so nothing is thrown. */
export async function readWishes(
  system: System,
  { rgwWishes }: Pick<Paths, "rgwWishes">,
): Promise<{ readonly wishes: readonly Wish[]; readonly flaw?: Flaw }> {
  const text = await readBounded(system, rgwWishes);
  if (text === undefined) {
    const isThere = (await orUndefined(() => system.stat(rgwWishes))) !== undefined;
    return isThere ? { wishes: [], flaw: { kind: "damaged", text: "is no file that ober wrote" } } : { wishes: [] };
  }
  const flaw = flawOf("rgws", text);
  return { wishes: parseOwn("rgws", text)?.wishes ?? [], ...(flaw === undefined ? {} : { flaw }) };
}

/** Keeps the wishes, over reloads and reboots. Returns why that failed; undefined if it did not. */
export async function keepWishes(system: System, paths: Paths, wishes: readonly Wish[]): Promise<string | undefined> {
  try {
    if (wishes.length === 0) await system.remove(paths.rgwWishes);
    else await writeOwn(system, paths, "rgws", { wishes });
    return undefined;
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    return error.message;
  }
}
