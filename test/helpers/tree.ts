/** A directory with all that is below it, kept in memory: taken once, laid out again as often as it is wanted. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

type Entry =
  | { readonly kind: "directory"; readonly path: string; readonly mode: number }
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly content: Buffer }
  | { readonly kind: "link"; readonly path: string; readonly target: string };

/** What is below `root`, each directory before what is in it. */
export function treeBelow(root: string, path = ""): readonly Entry[] {
  return readdirSync(join(root, path)).flatMap((name): readonly Entry[] => {
    const place = `${path}/${name}`;
    const stat = lstatSync(join(root, place));
    if (stat.isSymbolicLink()) return [{ kind: "link", path: place, target: readlinkSync(join(root, place)) }];
    const mode = stat.mode & 0o7777;
    if (stat.isDirectory()) return [{ kind: "directory", path: place, mode }, ...treeBelow(root, place)];
    return [{ kind: "file", path: place, mode, content: readFileSync(join(root, place)) }];
  });
}

/** Lays the tree out below `root`; what is there already is replaced. */
export function layOut(root: string, tree: readonly Entry[]): void {
  for (const entry of tree) {
    const at = root + entry.path;
    if (entry.kind === "link") symlinkSync(entry.target, at);
    else {
      if (entry.kind === "directory") mkdirSync(at, { recursive: true });
      else writeFileSync(at, entry.content);
      chmodSync(at, entry.mode);
    }
  }
}
