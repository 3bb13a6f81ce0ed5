import { resolve } from "node:path";
import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { OWN_COMMIT, OWN_VERSION } from "../domain/build.ts";
import { orUndefined, UsageError } from "../errors.ts";
import { metricsOf } from "../node/metrics.ts";
import { installMetrics, removeMetrics } from "../node/metrics-timer.ts";
import { isRoot, thisNode, thisNodeAsRoot } from "../node/node.ts";
import { clusterNow, redundancyOf } from "../node/redundancy.ts";
import { lookAt } from "../node/sight.ts";
import { requireConfig, statusOf } from "../node/status.ts";
import { sectionHashes } from "../render/identity.ts";
import { requireSystemd } from "../system/systemd.ts";
import { type OutputFlags, output } from "../ui/output.ts";
import { exposition } from "../ui/prometheus.ts";
import { changeArgs, globalArgs } from "../ui/shared-args.ts";

/** As long as the other questions to peers of a quick look take. */
const PEER_MS = 300;

export default defineCommand({
  meta: { name: "metrics", description: "Print ober's own metrics in Prometheus format" },
  args: {
    ...globalArgs,
    ...changeArgs,
    install: {
      type: "boolean",
      description: "Have systemd write them for node_exporter every 15 s (to --out, or where Debian's reads)",
    },
    remove: { type: "boolean", description: "Undo --install" },
    out: { type: "string", valueHint: "FILE", description: "Write them to a file in one step, for node_exporter" },
  },
  async run({ args }) {
    if (args.install || args.remove) return change(args);
    const node = await thisNode();
    await requireSystemd(node.system);
    const sight = lookAt({ ...node, isRoot: isRoot() });
    // A node that is down costs this time, at once with all else; a node without others has no redundancy.
    const redundancy = orUndefined(async () => redundancyOf(await clusterNow(sight, { timeoutMs: PEER_MS }), []));
    const status = await statusOf(sight);
    const changed = (await orUndefined(sight.drift))?.length;
    const sections = sectionHashes((await requireConfig(sight)).config);
    const facts = { status, version: OWN_VERSION, commit: OWN_COMMIT, drift: changed, sections };
    const metrics = metricsOf({ ...facts, redundancy: await redundancy });
    const text = exposition(metrics);
    if (args.out !== undefined) return node.system.writeAtomic(resolve(args.out), text, { mode: 0o644 });
    await output(args).result({ metrics } satisfies Documents["metrics"], text.trimEnd());
  },
});

async function change(
  args: OutputFlags & { install?: boolean | undefined; remove?: boolean | undefined; out?: string | undefined },
): Promise<void> {
  if (args.install && args.remove)
    throw new UsageError("--install and --remove exclude each other", "give one of them");
  const node = await thisNodeAsRoot();
  const file = args.install ? await installMetrics(node, args.out) : await removeMetrics(node);
  const document: Documents["metrics --install"] = {
    installed: args.install === true,
    file: file ?? null,
    changed: file !== undefined,
  };
  const said = args.install
    ? `written to ${file} every 15 s`
    : file === undefined
      ? "metrics were not installed"
      : `no longer written to ${file}`;
  await output(args).result(document, said);
}
