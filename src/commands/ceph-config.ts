import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { UsageError } from "../errors.ts";
import { configFrom } from "../node/node.ts";
import { cephHalves, cephText } from "../render/ceph.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: {
    name: "ceph-config",
    description: "Print Ceph's half: what the gateways are to be told for this ingress, with the reasons",
  },
  args: {
    ...globalArgs,
    group: { type: "positional", required: false, description: "One backend group (default: all)" },
    who: {
      type: "string",
      valueHint: "WHO",
      default: "client.rgw",
      description: "Whose configuration: client.rgw, or client.rgw.SERVICE for one service of several",
    },
    from: {
      type: "string",
      valueHint: "FILE",
      description: "Take the groups from this ober.yaml (default: this node's)",
    },
  },
  async run({ args }) {
    if (!/^client\.rgw(\.[\w.-]+)?$/.test(args.who))
      throw new UsageError(`--who "${args.who}" is not a section of gateways`, "--who client.rgw.SERVICE");
    const all = cephHalves(await configFrom(args.from));
    const groups = args.group === undefined ? all : all.filter(({ group }) => group === args.group);
    if (groups.length === 0)
      throw new UsageError(
        `"${args.group}" is not a backend group`,
        `one of ${all.map(({ group }) => group).join(", ")}`,
      );
    await output(args).result({ who: args.who, groups } satisfies Documents["ceph-config"], cephText(args.who, groups));
  },
});
