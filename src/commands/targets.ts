import { resolve } from "node:path";
import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { OberError } from "../errors.ts";
import { gatherPlace } from "../node/facts.ts";
import { configFrom } from "../node/node.ts";
import { fileSd, targetGroups } from "../render/targets.ts";
import { localSystem } from "../system/local.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "targets", description: "Print the nodes and RGWs for the service discovery of Prometheus" },
  args: {
    ...globalArgs,
    format: { type: "enum", options: ["prometheus"], default: "prometheus", description: "File for file_sd_configs" },
    from: {
      type: "string",
      valueHint: "FILE",
      description: "Take them from this ober.yaml (default: this node's)",
    },
    out: { type: "string", valueHint: "FILE", description: "Write them to a file in one step" },
  },
  async run({ args }) {
    const system = localSystem();
    const config = await configFrom(args.from);
    const place = args.from === undefined ? await gatherPlace({ system, paths: undefined }, config) : undefined;
    const targets = targetGroups(config, place);
    const out = output(args);
    if (!targets.some(({ labels }) => labels.role === "node"))
      throw new OberError("the ingress nodes are unknown", { hint: "set `nodes` in ober.yaml, or run this on a node" });
    if (args.out !== undefined) return system.writeAtomic(resolve(args.out), fileSd(targets), { mode: 0o644 });
    await out.result({ targets } satisfies Documents["targets"], fileSd(targets).trimEnd());
  },
});
