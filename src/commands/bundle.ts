import { resolve } from "node:path";
import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { packageChoice, vendorArgs } from "../install/package-choice.ts";
import { BUNDLE_ALIKE, BUNDLE_SYSTEMS, makeBundle } from "../packages/bundle.ts";
import { localSystem } from "../system/local.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: {
    name: "bundle",
    description: "Pack the packages of a node, for bootstrap on machines without Internet access",
  },
  args: {
    ...globalArgs,
    for: {
      type: "enum",
      required: true,
      options: [...Object.keys(BUNDLE_SYSTEMS), ...BUNDLE_ALIKE] as string[],
      description: "The system of those machines",
    },
    out: { type: "string", required: true, valueHint: "FILE", description: "The bundle, a tar archive" },
    arch: {
      type: "enum",
      options: ["amd64", "arm64"] as string[],
      description: "Their architecture (default: this machine's)",
    },
    mirror: { type: "string", valueHint: "URL", description: "A mirror of Debian or Ubuntu (default: this machine's)" },
    ...vendorArgs,
  },
  async run({ args }) {
    const out = output(args);
    const system = localSystem();
    const own = process.arch === "arm64" ? "arm64" : "amd64";
    const bundle = await makeBundle(system, {
      system: args.for,
      architecture: (args.arch as "amd64" | "arm64" | undefined) ?? own,
      out: resolve(args.out),
      mirror: args.mirror,
      packages: await packageChoice({ system }, args),
      tell: out.progress,
    });
    const size = `${(bundle.bytes / 2 ** 20).toFixed(0)} MiB`;
    await out.result(
      bundle satisfies Documents["bundle"],
      `${bundle.file}: ${bundle.packages} packages, ${size}, with ${bundle.haproxy}\nthere: ober bootstrap /opt/ober --offline ${bundle.file} --digest ${bundle.digest}`,
    );
  },
});
