import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { defineCommand } from "citty";
import { secretValuesAnyhow } from "../config/secrets.ts";
import type { Documents } from "../documents.ts";
import { OWN_COMMIT, OWN_VERSION } from "../domain/build.ts";
import { harmlessDocument } from "../domain/harmless.ts";
import { withoutValues } from "../domain/redact.ts";
import { diagnose, thisHost } from "../node/doctor.ts";
import { metricsOf } from "../node/metrics.ts";
import { type Node, thisNodeAsRoot } from "../node/node.ts";
import { lookAt } from "../node/sight.ts";
import { statusOf } from "../node/status.ts";
import { machinePieces, type Piece, piece } from "../node/support.ts";
import { versions, versionText } from "../node/versions.ts";
import { readHistory } from "../system/history.ts";
import { output } from "../ui/output.ts";
import { exposition } from "../ui/prometheus.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "support", description: "Pack everything that explains this node into one archive, without secrets" },
  args: {
    ...globalArgs,
    out: { type: "string", valueHint: "FILE", description: "The archive (ober-support-HOST-TIME.tar.gz, here)" },
  },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
    const archive = resolve(args.out ?? `ober-support-${hostname()}-${time}.tar.gz`);
    out.progress("asking the node");
    const secrets = await secretValuesAnyhow(node.system);
    const pieces = [...(await ownPieces(node, secrets)), ...(await machinePieces(node.system, node.paths, secrets))];
    await pack(
      node,
      archive,
      pieces.map(({ name, text }) => ({ name, text: withoutValues(text, secrets) })),
    );
    const files = pieces.map(({ name }) => name);
    await out.result(
      { archive, files } satisfies Documents["support"],
      `${archive}: ${files.length} files, only those known to hold no secret; check it before you send it`,
    );
  },
});

const WEEK_MS = 7 * 86_400_000;

/** Answers of ober's own commands. */
async function ownPieces(node: Node, secrets: readonly string[]): Promise<readonly Piece[]> {
  const json = (value: unknown) => harmlessDocument(value, secrets);
  const status = statusOf(lookAt({ ...node, isRoot: true }));
  // Each piece that needs it records why it is missing.
  status.catch(() => {});
  return Promise.all([
    piece("version.txt", async () => `${versionText(await versions())}\n`),
    piece("status.json", async () => json(await status)),
    piece("doctor.json", async () => json(await diagnose(thisHost()))),
    piece("history.json", async () => json(await readHistory(node.system, node.paths, new Date(Date.now() - WEEK_MS)))),
    piece("metrics.txt", async () =>
      exposition(
        metricsOf({
          status: await status,
          version: OWN_VERSION,
          commit: OWN_COMMIT,
          drift: undefined,
          sections: {},
        }),
      ),
    ),
  ]);
}

async function pack({ system }: Node, archive: string, pieces: readonly Piece[]): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "ober-support-"));
  const name = basename(archive).replace(/\.(tar\.gz|tgz)$/, "");
  try {
    for (const { name: file, text } of pieces) {
      const path = join(directory, name, file);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
    }
    // Packed in a directory that only root can write: a link planted at the archive's place is replaced, never followed.
    const packed = join(directory, "packed");
    await system.run(["tar", "-C", directory, "-czf", packed, name]);
    await system.writeAtomic(archive, await readFile(packed), { mode: 0o600 });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
