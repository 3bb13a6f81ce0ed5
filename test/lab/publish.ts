import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LabNode } from "./lab.ts";
import { run } from "./process.ts";

/** Puts HAProxy's package once more into the node's repository, as a later version that was changed by `edit` in its tree. */
export async function publish(node: LabNode, version: string, edit = "true"): Promise<void> {
  const tree = mkdtempSync(join(tmpdir(), "ober-package-"));
  const script = `set -e
    dpkg-deb -R "$(ls "$1"/haproxy_*.deb | head -n 1)" "$0"
    sed -i 's/^Version: .*/Version: ${version}/' "$0/DEBIAN/control"
    (cd "$0" && ${edit})
    dpkg-deb --root-owner-group -b "$0" "$1/haproxy_${version}_amd64.deb"
    cd "$1" && apt-ftparchive packages . > Packages`;
  try {
    await run(["sh", "-c", script, tree, join(node.root, "srv/repo")]);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}
