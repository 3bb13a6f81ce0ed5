import { resolve } from "node:path";
import { defineCommand } from "citty";
import { OWN_COMMIT, OWN_VERSION } from "../domain/build.ts";
import { drift } from "../plan/generations.ts";
import { requireSystemd } from "../system/systemd.ts";
import { output } from "../ui/output.ts";
import { exposition } from "../ui/prometheus.ts";
import type { Documents } from "./_documents.ts";
import { metricsOf } from "./_metrics.ts";
import { isRoot, thisNode } from "./_node.ts";
import { globalArgs } from "./_shared.ts";
import { nodeStatus } from "./_status.ts";

export default defineCommand({
  meta: { name: "metrics", description: "Print ober's own metrics in the form of Prometheus" },
  args: {
    ...globalArgs,
    out: { type: "string", valueHint: "FILE", description: "Write them to a file in one step, for node_exporter" },
  },
  async run({ args }) {
    const node = await thisNode();
    await requireSystemd(node.system);
    const status = await nodeStatus(node);
    const changed = isRoot() ? (await drift(node.system, node.paths)).length : undefined;
    const metrics = metricsOf({ status, version: OWN_VERSION, commit: OWN_COMMIT, drift: changed });
    const text = exposition(metrics);
    if (args.out !== undefined) return node.system.writeAtomic(resolve(args.out), text, { mode: 0o644 });
    await output(args).result({ metrics } satisfies Documents["metrics"], text.trimEnd());
  },
});
