import { defineCommand } from "citty";
import { UsageError } from "../errors.ts";
import { causeOf, HELD_CAUSE, isHeld } from "../health/drain.ts";
import { appendHistory } from "../health/history.ts";
import { healthNow } from "../health/once.ts";
import { currentConfig, thisNode } from "../node/node.ts";
import { readDrainFlag } from "../system/drain-flag.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "notify", description: "Record a VRRP transition for `ober history`; run by keepalived" },
  args: {
    ...globalArgs,
    vip: { type: "string", valueHint: "ADDRESS", required: true, description: "The VIP of the instance" },
    kind: { type: "positional", description: "INSTANCE" },
    instance: { type: "positional", description: "Name of the instance" },
    state: { type: "positional", description: "Its new state" },
    priority: { type: "positional", description: "Its priority" },
  },
  async run({ args }) {
    const state = STATES.find((known) => known === args.state);
    if (state === undefined) throw new UsageError(`keepalived has no state '${args.state}'`, STATES.join(", "));
    const node = await thisNode();
    const at = new Date().toISOString();
    const { config } = await currentConfig(node);
    const [health, held, flag] = await Promise.all([
      healthNow(config.stats_port, 500),
      isHeld(node.paths.hold),
      readDrainFlag(node.system, node.paths),
    ]);
    const cause = vrrpCause({
      state,
      priority: Number(args.priority),
      drained: flag === undefined ? (held ? HELD_CAUSE : undefined) : causeOf(flag),
      trouble: health.ok ? undefined : health.reason,
    });
    await appendHistory(node.paths.history, { at, kind: "vrrp", vips: [args.vip], to: state, cause });
  },
});

const STATES = ["MASTER", "BACKUP", "FAULT", "STOP"] as const;

/** The cause of a transition. keepalived does not give one, so this looks at the node at that moment. `priority` is the one in force. */
export function vrrpCause(seen: {
  readonly state: (typeof STATES)[number];
  readonly priority: number;
  readonly drained: string | undefined;
  readonly trouble: string | undefined;
}): string {
  const { state, priority, drained, trouble } = seen;
  switch (state) {
    case "MASTER":
      return `no adverts from a node with a priority above ${priority}${trouble === undefined ? "" : `; ${trouble}`}`;
    case "BACKUP":
      return drained ?? trouble ?? `priority ${priority}: a node with a higher priority holds it`;
    case "FAULT":
      return trouble ?? "the interface is down, or a check failed";
    case "STOP":
      return "keepalived ends";
    default:
      return state satisfies never;
  }
}
