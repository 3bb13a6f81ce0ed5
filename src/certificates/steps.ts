/** What HAProxy's certificates need so that it serves what lies on the disk. Pure; `ober certs reload` carries it out. */

/** A file as it is now: `digest` over all that HAProxy would load from it; undefined where it must not be served. */
export type OnDisk = { readonly file: string; readonly digest: string | undefined } & Partial<Leaf>;

/** A certificate by its fingerprint, and how many of its chain stand behind it. */
type Leaf = { readonly fingerprint: string; readonly chain: number };

/** What the worker `worker` was given last, by file. */
export type Given = { readonly worker: number; readonly digests: Readonly<Record<string, string>> };

/** `reload`: what HAProxy cannot do while it runs so that it would do the same when it starts. */
export type Step = { readonly kind: "swap" | "add" | "reload"; readonly file: string };

/**
 * `served` is by file what HAProxy has. A worker that was given nothing has read the files itself: the same certificate with as long a
 * chain is the same. Files that must not be served change nothing.
 *
 * Of a directory the first file is for clients that name no server, and the first of two files for one name is served: a new file may be
 * added at the end only.
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
