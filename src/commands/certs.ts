import { defineCommand } from "citty";
import { UsageError } from "../errors.ts";
import { type Output, output } from "../ui/output.ts";
import { oneAtATime, reloadCertificates } from "./_certs.ts";
import { currentConfig, type Node, thisNodeAsRoot } from "./_node.ts";
import { globalArgs } from "./_shared.ts";

const ACTIONS = ["reload"] as const;

export default defineCommand({
  meta: { name: "certs", description: "Show, check and renew the certificates; HAProxy takes a new one while it runs" },
  args: {
    ...globalArgs,
    action: { type: "positional", required: false, default: "list", description: ACTIONS.join(", ") },
  },
  async run({ args }) {
    const action = ACTIONS.find((known) => known === args.action);
    if (action === undefined)
      throw new UsageError(`\`ober certs\` does not know '${args.action}'`, `ober certs ${ACTIONS.join("|")}`);
    const node = await thisNodeAsRoot();
    await reload(node, output(args));
  },
});

/** What `ober-certs.path` starts. */
async function reload(node: Node, out: Output): Promise<void> {
  const { config } = await currentConfig(node);
  const done = await oneAtATime(node, "certs reload", () => reloadCertificates(node, config));
  for (const warning of done.warnings) out.warn(warning);
  for (const { message, fix } of done.refused) out.warn(`${message}; HAProxy keeps what it has. ${fix}`);
  if (done.refused.length > 0) process.exitCode = 1;
  await out.result(done, () => {
    const parts = [
      ...done.swapped.map((file) => `HAProxy has taken ${file}`),
      ...done.added.map((file) => `HAProxy has taken ${file}, which is new`),
      ...(done.reloaded ? ["HAProxy was reloaded"] : []),
    ];
    return parts.join("\n") || "nothing to change";
  });
}
