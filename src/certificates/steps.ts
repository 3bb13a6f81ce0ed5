/** The steps after which HAProxy serves the certificates on the disk. Pure; `ober certs reload` carries them out. */

/** A file now: `digest` over all that HAProxy would load from it; undefined if it must not be served. */
export type OnDisk = { readonly file: string; readonly digest: string | undefined } & Partial<Leaf>;

/** A certificate by its fingerprint, and the length of its chain. */
type Leaf = { readonly fingerprint: string; readonly chain: number };

/** What the worker `worker` was last given, by file. */
export type Given = { readonly worker: number; readonly digests: Readonly<Record<string, string>> };

/** `reload`: a change that HAProxy cannot make while it runs with the same result as at a start. */
export type Step = { readonly kind: "swap" | "add" | "reload"; readonly file: string };

/**
 * `served` is what HAProxy has, by file. A worker that was given nothing has read the files itself: then the same certificate with a chain
 * of the same length counts as unchanged. Files that must not be served change nothing.
 *
 * The first file of a directory serves clients that name no server, and the first of two files for one name wins: so only a file at the end
 * of the order can be added without a reload.
 */
export function certificateSteps(
  disk: readonly OnDisk[],
  served: ReadonlyMap<string, Leaf>,
  given: Readonly<Record<string, string>> | undefined,
): readonly Step[] {
  const last = [...served.keys()].sort().at(-1) ?? "";
  const changes = disk.flatMap(({ file, digest, fingerprint, chain }): readonly Step[] => {
    if (digest === undefined) return [];
    const now = served.get(file);
    if (now === undefined) return [{ kind: file > last ? "add" : "reload", file }];
    const same =
      given?.[file] === undefined ? now.fingerprint === fingerprint && now.chain === chain : given[file] === digest;
    return same ? [] : [{ kind: "swap", file }];
  });
  const gone = [...served.keys()].filter((file) => !disk.some((one) => one.file === file));
  return [...changes, ...gone.map((file): Step => ({ kind: "reload", file }))];
}
