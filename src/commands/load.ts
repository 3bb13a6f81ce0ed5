import { defineCommand } from "citty";
import { INTERFACE_NAME } from "../domain/interface-name.ts";
import { pathsOf } from "../domain/paths.ts";
import { OberError, UsageError } from "../errors.ts";
import { measureLoad } from "../node/load.ts";
import { installPathOf, requireRoot } from "../node/node.ts";
import { localSystem } from "../system/local.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "load", description: "Measure what this node carries, for `ober whatif`; run by systemd" },
  args: {
    ...globalArgs,
    interface: {
      type: "string",
      valueHint: "NAME",
      required: true,
      description: "The interface of this node's address",
    },
    gbit: { type: "string", valueHint: "NUMBER", description: "Gbit/s that it carries in each direction" },
  },
  async run({ args }) {
    if (!INTERFACE_NAME.test(args.interface))
      throw new UsageError(`--interface '${args.interface}' is not an interface`);
    const gbit = args.gbit === undefined ? undefined : Number(args.gbit);
    if (gbit !== undefined && !(gbit > 0)) throw new UsageError(`--gbit '${args.gbit}' is not a number above 0`);
    requireRoot();
    const prefix = installPathOf(process.execPath);
    if (prefix === undefined)
      throw new OberError("this ober does not belong to a node", { hint: "the units of a node run this" });
    const node = { system: localSystem(), paths: pathsOf(prefix) };
    await measureLoad(node, { interface: args.interface, gbit, at: Math.floor(Date.now() / 1000) });
  },
});
