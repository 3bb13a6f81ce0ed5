/** Credentials as the AWS tools find them: a profile that is named, the environment, `~/.ober/login`, the default profile. */
import { posix } from "node:path";
import { OberError } from "../../errors.ts";
import type { Credentials } from "../../system/s3.ts";
import type { System } from "../../system/system.ts";

export type AwsInput = {
  readonly system: System;
  /** `certs.route53_profile`; "" for none. */
  readonly profile: string;
  /** Homes to look in, in order: root's, and that of the person behind sudo. */
  readonly homes: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly login: Partial<Credentials>;
};

/** `home` is where a profile was found. Throws an OberError if there are no credentials, or if a profile has none of its own. */
export async function awsCredentials(input: AwsInput): Promise<Credentials & { readonly home?: string }> {
  const { profile, env, login } = input;
  const named = profile || env["AWS_PROFILE"] || "";
  if (named === "" || named === "default") {
    const [accessKey, secretKey] = [env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]];
    if (accessKey && secretKey) return { accessKey, secretKey, sessionToken: env["AWS_SESSION_TOKEN"] };
    if (login.accessKey && login.secretKey) return { accessKey: login.accessKey, secretKey: login.secretKey };
  }
  const wanted = named || "default";
  for (const home of input.homes) {
    const found = await profileIn(input, home, wanted);
    if (found) return { ...found, home };
  }
  throw new OberError(
    `there are no AWS credentials for Route 53: no profile ${wanted} in ${input.homes.map((home) => `${home}/.aws`).join(" or ")}`,
    {
      hint: "aws configure --profile NAME, or add aws_access_key_id=... and aws_secret_access_key=... to ~/.ober/login",
    },
  );
}

async function profileIn({ system, env }: AwsInput, home: string, profile: string): Promise<Credentials | undefined> {
  const shared = env["AWS_SHARED_CREDENTIALS_FILE"] ?? posix.join(home, ".aws/credentials");
  const config = env["AWS_CONFIG_FILE"] ?? posix.join(home, ".aws/config");
  const values = {
    ...parseIni((await system.read(config)) ?? "").get(profile === "default" ? "default" : `profile ${profile}`),
    ...parseIni((await system.read(shared)) ?? "").get(profile),
  };
  const { aws_access_key_id: accessKey, aws_secret_access_key: secretKey, aws_session_token: sessionToken } = values;
  if (accessKey && secretKey) return { accessKey, secretKey, sessionToken };
  const other = ["role_arn", "credential_process", "sso_session", "sso_start_url", "web_identity_token_file"].find(
    (key) => values[key],
  );
  if (other === undefined) return undefined;
  throw new OberError(`the AWS profile ${profile} has ${other}, which ober does not support`, {
    hint: "give ober its own keys, restricted to TXT records of this zone",
  });
}

/** Sections of `key = value`; see the AWS CLI's user guide, "Configuration and credential file settings". */
export function parseIni(text: string): ReadonlyMap<string, Readonly<Record<string, string>>> {
  const sections = new Map<string, Record<string, string>>();
  let section: Record<string, string> = {};
  for (const line of text.split("\n").map((raw) => raw.trim())) {
    const name = /^\[\s*(.*?)\s*\]$/.exec(line)?.[1]?.replace(/\s+/g, " ");
    const [, key, value] = /^([^=#;\s][^=]*?)\s*=\s*(.*)$/.exec(line) ?? [];
    if (name !== undefined) {
      section = sections.get(name) ?? {};
      sections.set(name, section);
    } else if (key !== undefined && value !== undefined) {
      section[key.toLowerCase()] = value;
    }
  }
  return sections;
}
