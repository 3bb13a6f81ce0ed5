import { defineCommand } from "citty";
import type { Config } from "../config/schema.ts";
import type { Documents } from "../documents.ts";
import { several } from "../domain/foreign.ts";
import { nearest } from "../domain/nearest.ts";
import { UsageError } from "../errors.ts";
import { isRoot, requireRoot, thisNode } from "../node/node.ts";
import { lookAt } from "../node/sight.ts";
import { requireConfig } from "../node/status.ts";
import { type Why, whyOf } from "../node/why.ts";
import { insteadText } from "../node/working-config.ts";
import { requireSystemd } from "../system/systemd.ts";
import { type Output, output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";
import { table } from "../ui/table.ts";

export default defineCommand({
  meta: { name: "why", description: "Show why this node serves a VIP or not, with the evidence" },
  args: {
    ...globalArgs,
    vip: { type: "positional", required: false, description: "One VIP instead of all" },
  },
  async run({ args }) {
    const node = await thisNode();
    await requireSystemd(node.system);
    const sight = lookAt({ ...node, isRoot: isRoot() });
    const { config, instead } = await requireConfig(sight);
    const vips = wanted(config, args.vip);
    // keepalived tells its state to root only, and without it there is no answer.
    if (config.ha_mode === "keepalived") requireRoot();
    const answers = await Promise.all(vips.map(({ address }) => whyOf(sight, address)));
    const out = output(args);
    if (instead !== undefined) out.warn(insteadText(instead));
    await out.result({ vips: answers } satisfies Documents["why"], () =>
      out.fit(
        alike(answers)
          .map((group) => whyText(group, out))
          .join("\n\n"),
      ),
    );
    if (answers.some(({ served }) => !served)) process.exitCode = 1;
  },
});

function wanted({ vips }: Config, given: string | undefined): Config["vips"] {
  if (given === undefined) return vips;
  const address = given.replace(/\/\d+$/, "");
  const found = vips.filter((vip) => vip.address === address);
  if (found.length > 0) return found;
  const all = vips.map((vip) => vip.address);
  const meant = nearest(address, all);
  throw new UsageError(
    `${given} is not a VIP of this node`,
    meant === undefined ? `its VIPs: ${all.join(", ")}` : `did you mean ${meant}?`,
  );
}

const SIGN = { ok: "ok", note: "!!", broken: "XX" } as const;

/** VIPs whose evidence differs only in their addresses are shown once. */
function alike(answers: readonly Why[]): readonly (readonly [Why, ...Why[]])[] {
  const withoutVip = ({ vip, ...rest }: Why) => JSON.stringify(rest).replaceAll(vip, "");
  return [...Map.groupBy(answers, withoutVip).values()].map((group) => group as [Why, ...Why[]]);
}

const NAMED_VIPS = 8;

/** The evidence, then one sentence and what to type. */
function whyText([first, ...others]: readonly [Why, ...Why[]], { style }: Pick<Output, "style">): string {
  const { vip, served, links, conclusion, type } = first;
  const colour = { ok: style.green, note: style.yellow, broken: style.red };
  const rows = links.map(({ link, state, text }) => [colour[state](SIGN[state]), link, text]);
  const hint = type === undefined ? "" : `\n${style.cyan("fix:")} ${type}`;
  const addresses = others.map((other) => other.vip);
  const same = addresses.length === 0 ? "" : `\nthe same is true of ${several(addresses, NAMED_VIPS)}`;
  return `${table(["", vip, ""], rows)}\n${style.bold((served ? style.green : style.red)(conclusion))}${hint}${same}`;
}
