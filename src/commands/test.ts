import { hostname } from "node:os";
import { defineCommand } from "citty";
import { readCertificates } from "../certificates/examined.ts";
import { runChecks } from "../checks/check.ts";
import { configurationChecks } from "../checks/configuration.ts";
import { checkObject } from "../checks/object.ts";
import type { Config } from "../config/schema.ts";
import { readSecrets, type Secrets } from "../config/secrets.ts";
import { certificatePlace } from "../domain/paths.ts";
import { OberError, UsageError } from "../errors.ts";
import { gatherFacts } from "../node/facts.ts";
import { currentConfig, type Node, thisNodeAsRoot } from "../node/node.ts";
import type { S3Endpoint } from "../system/s3.ts";
import { showFindings } from "../ui/findings.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

/** A neighbor that drops packets never answers. */
const DEADLINE_MS = 15_000;

export default defineCommand({
  meta: { name: "test", description: "Prove the configuration without starting anything" },
  args: {
    ...globalArgs,
    s3: { type: "boolean", description: "Put, get, compare and delete an object through a VIP of the running node" },
    bucket: { type: "string", valueHint: "NAME", description: "With --s3: the bucket to write to" },
    accessKey: {
      type: "string",
      valueHint: "KEY",
      description: "With --s3: the access key; its secret is s3_secret_key in ~/.ober/login",
    },
    endpoint: {
      type: "string",
      valueHint: "NAME",
      description: "With --s3: the name that clients use (default: the certificate's)",
    },
    vip: { type: "string", valueHint: "ADDRESS", description: "With --s3: the VIP to go through (default: the first)" },
  },
  async run({ args }) {
    if (!args.s3 && [args.bucket, args.accessKey, args.endpoint, args.vip].some((given) => given !== undefined)) {
      throw new UsageError("--bucket, --access-key, --endpoint and --vip go with --s3", "ober test --s3 --bucket NAME");
    }
    const node = await thisNodeAsRoot();
    const { config, text } = await currentConfig(node);
    const secrets = await readSecrets(node.system);
    if (args.s3) {
      const endpoint = await endpointOf(node, config, { ...args, secrets });
      const name = `ober-test-${hostname()}-${crypto.randomUUID()}`;
      return showFindings(await checkObject(endpoint, needed(args.bucket, "--bucket"), name), output(args));
    }
    const facts = await gatherFacts(node, config);
    const subject = { ...node, config, text, facts, secrets };
    await showFindings(await runChecks(configurationChecks(subject), subject, DEADLINE_MS), output(args));
  },
});

function needed(value: string | undefined, flag: string): string {
  if (value !== undefined && value !== "") return value;
  throw new UsageError(`\`ober test --s3\` needs ${flag}`, "ober test --s3 --access-key KEY --bucket NAME");
}

/** The secret comes from a private file or the environment: `ps` shows every command line. */
async function endpointOf(
  { system, paths }: Node,
  config: Config,
  given: { accessKey?: string | undefined; endpoint?: string | undefined; vip?: string | undefined; secrets: Secrets },
): Promise<S3Endpoint> {
  const accessKey = needed(given.accessKey ?? process.env["AWS_ACCESS_KEY_ID"], "--access-key");
  const secretKey = given.secrets.s3SecretKey ?? process.env["AWS_SECRET_ACCESS_KEY"];
  if (!secretKey) {
    throw new OberError("the secret key is missing", {
      hint: "s3_secret_key=... in ~/.ober/login (mode 600), or AWS_SECRET_ACCESS_KEY in the environment",
    });
  }
  const vip = given.vip ?? config.vips[0]?.address ?? "";
  if (!config.vips.some(({ address }) => address === vip)) {
    throw new UsageError(
      `${vip} is not a VIP of this node`,
      `its VIPs: ${config.vips.map(({ address }) => address).join(", ")}`,
    );
  }
  const certificates = await readCertificates(system, certificatePlace(paths, config.certs));
  const names = certificates.flatMap((certificate) => certificate.names);
  return {
    address: vip,
    name: given.endpoint ?? names.find((name) => !name.startsWith("*")) ?? vip,
    accessKey,
    secretKey,
  };
}
