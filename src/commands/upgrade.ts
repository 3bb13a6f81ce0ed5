import { resolve } from "node:path";
import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { unitOfPackage } from "../domain/units.ts";
import { UsageError } from "../errors.ts";
import { changing } from "../node/changing.ts";
import { thisNodeAsRoot } from "../node/node.ts";
import { stopArgs, stopOptions } from "../node/stop.ts";
import { finishUpgrade, upgradePackages } from "../node/upgrade.ts";
import { type Replaced, restoreSelf, upgradeSelf } from "../node/upgrade-self.ts";
import type { Versions } from "../node/versions.ts";
import { HAPROXY_PACKAGES, nodePackages, packageManager, requireSupportedOs } from "../packages/os.ts";
import type { PackageVersion } from "../packages/packages.ts";
import { type Output, output } from "../ui/output.ts";
import { confirmOrCancel } from "../ui/prompt.ts";
import { changeArgs, globalArgs, yesArgs } from "../ui/shared-args.ts";
import { table } from "../ui/table.ts";

export default defineCommand({
  meta: { name: "upgrade", description: "Upgrade HAProxy, ExaBGP, keepalived and BIRD out of traffic, or ober itself" },
  args: {
    ...globalArgs,
    ...changeArgs,
    ...stopArgs,
    ...yesArgs,
    checkOnly: { type: "boolean", description: "Only show what is installed and what the repositories have" },
    self: {
      type: "string",
      valueHint: "FILE",
      description: "Replace ober by another build, after it has proven itself",
    },
    oneWay: { type: "boolean", description: "Go on although the present version could not be put back" },
    allowDowngrade: { type: "boolean", description: "With --self: an older one as well" },
    unsigned: { type: "boolean", description: "With --self: one that the release's key has not signed as well" },
    rollback: { type: "boolean", description: "Put the previous ober back" },
  },
  async run({ args }) {
    const chosen = [args.checkOnly, args.self !== undefined, args.rollback].filter(Boolean).length;
    if (chosen > 1) throw new UsageError("--check-only, --self and --rollback exclude each other", "give one of them");
    const node = await thisNodeAsRoot();
    const out = output(args);
    const turn = [
      ...(args.force ? ["--force"] : []),
      ...(args.waitTurn === undefined ? [] : ["--wait-turn", args.waitTurn]),
    ];
    const locked = <T>(action: () => Promise<T>) => changing(node.paths.prefix, "upgrade", action);
    if (args.self !== undefined)
      return showReplaced(
        out,
        await upgradeSelf(node, out, {
          file: resolve(args.self),
          turn,
          locked,
          admitOlder: args.allowDowngrade ? undefined : askAboutOlder,
          unsigned: args.unsigned === true,
        }),
      );
    if (args.rollback) return showReplaced(out, await restoreSelf(node, out, { turn, locked }), " again");
    const os = await requireSupportedOs(node.system);
    const manager = packageManager(node.system, os);
    if (!args.checkOnly)
      for (const each of await locked(() => finishUpgrade(node, out, manager))) out.warn(`back is ${each}`);
    out.progress("asking the repositories");
    const found = await manager.versions(
      [...HAPROXY_PACKAGES, ...nodePackages(os)].filter((name) => unitOfPackage(name) !== undefined),
    );
    const due = found.filter(({ installed, candidate, held }) => installed !== candidate && !held);
    if (args.checkOnly || due.length === 0) return showVersions(out, found);
    if (!args.yes) {
      await out.write(`${versionTable(found)}\n`);
      await confirmOrCancel(`Upgrade ${due.map(({ name }) => name).join(", ")}, out of traffic?`);
    }
    const options = { ...stopOptions(args), command: "ober upgrade", manager, due, oneWay: args.oneWay === true };
    const { upgraded, left } = await locked(() => upgradePackages(node, out, options));
    await out.result({ upgraded, left, changed: upgraded.length > 0 } satisfies Documents["upgrade"], () =>
      upgraded.map(({ name, installed, candidate }) => `${name} ${installed} -> ${candidate}`).join("\n"),
    );
  },
});

const described = ({ ober, commit }: Versions) => `${ober} (${commit})`;

function askAboutOlder(present: Versions, older: Versions): Promise<void> {
  const what = `ober ${described(older)} is older than ${described(present)}`;
  return confirmOrCancel(`${what}. Install it?`, {
    hint: `${what}: give --allow-downgrade to install it`,
    initial: false,
  });
}

async function showReplaced(out: Output, { from, to, order }: Replaced, again?: string): Promise<void> {
  const compared = ["; it is older", "", "; it is newer"][order + 1] ?? "";
  await out.result(
    { from: from.ober, to: to.ober, changed: true } satisfies Documents["upgrade --self"],
    `ober ${described(from)} is now ober ${described(to)}${again ?? compared}`,
  );
}

async function showVersions(out: Output, found: readonly PackageVersion[]): Promise<void> {
  await out.result({ packages: found } satisfies Documents["upgrade --check-only"], () => versionTable(found));
}

const versionTable = (found: readonly PackageVersion[]) =>
  table(
    ["package", "installed", "available", ""],
    found.map(({ name, installed, candidate, held }) => [name, installed, candidate, held ? "held" : ""]),
  );
