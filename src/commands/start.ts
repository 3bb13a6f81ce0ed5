import { defineCommand } from "citty";
import { admissionArgs } from "../node/admission.ts";
import { thisNodeAsRoot } from "../node/node.ts";
import { startNode } from "../node/start.ts";
import { output } from "../ui/output.ts";
import { changeArgs, globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "start", description: "Put the node into service: HAProxy first, routes or VIPs when it is healthy" },
  args: { ...globalArgs, ...changeArgs, ...admissionArgs },
  async run({ args }) {
    const out = output(args);
    const started = await startNode(await thisNodeAsRoot(), out, args);
    await out.result(started, started.service);
  },
});
