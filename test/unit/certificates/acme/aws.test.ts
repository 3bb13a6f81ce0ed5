import { describe, expect, test } from "bun:test";
import { type AwsInput, awsCredentials, parseIni } from "../../../../src/certificates/acme/aws.ts";
import { temporarySystem } from "../../../helpers/system.ts";

const keys = (name: string) => `aws_access_key_id = AK${name}\naws_secret_access_key=SK${name}\n`;

async function find(files: Readonly<Record<string, string>>, input: Partial<AwsInput> = {}) {
  using system = temporarySystem();
  for (const [path, text] of Object.entries(files)) {
    await system.makeDirectory(path.slice(0, path.lastIndexOf("/")));
    await system.writeAtomic(path, text);
  }
  return await awsCredentials({ system, profile: "", homes: ["/root", "/home/ann"], env: {}, login: {}, ...input });
}

describe("AWS credentials come from", () => {
  const both = {
    "/root/.aws/credentials": `[default]\n${keys("root")}`,
    "/home/ann/.aws/credentials": `[default]\n${keys("ann")}[dns]\n${keys("dns")}aws_session_token = T\n`,
  };
  const env = { AWS_ACCESS_KEY_ID: "AKenv", AWS_SECRET_ACCESS_KEY: "SKenv", AWS_SESSION_TOKEN: "Tenv" };
  test.each<[string, Promise<unknown>, object]>([
    ["the environment first", find(both, { env }), { accessKey: "AKenv", secretKey: "SKenv", sessionToken: "Tenv" }],
    [
      "the login file",
      find(both, { login: { accessKey: "AKl", secretKey: "SKl" } }),
      { accessKey: "AKl", secretKey: "SKl" },
    ],
    ["root's default profile", find(both), { accessKey: "AKroot", home: "/root" }],
    [
      "a named profile of the person behind sudo, whatever the environment says",
      find(both, { profile: "dns", env }),
      { accessKey: "AKdns", sessionToken: "T", home: "/home/ann" },
    ],
    ["AWS_PROFILE", find(both, { env: { AWS_PROFILE: "dns" } }), { accessKey: "AKdns" }],
    [
      "a profile in config",
      find({ "/root/.aws/config": `[profile dns]\nregion = eu\n${keys("c")}` }, { profile: "dns" }),
      { accessKey: "AKc" },
    ],
    [
      "a file that the environment names",
      find({ "/x/keys": `[default]\n${keys("x")}` }, { env: { AWS_SHARED_CREDENTIALS_FILE: "/x/keys" } }),
      { accessKey: "AKx" },
    ],
  ])("%s", async (_what, found, expected) => {
    expect(await found).toMatchObject(expected);
  });

  test("nowhere: an error that says where was looked, without any value", async () => {
    expect(find({}, { profile: "dns" })).rejects.toThrow(
      "there are no AWS credentials for Route 53: no profile dns in /root/.aws or /home/ann/.aws",
    );
    const role = { "/root/.aws/config": "[profile dns]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n" };
    expect(find(role, { profile: "dns" })).rejects.toThrow(
      "the AWS profile dns has role_arn, which ober does not support",
    );
  });
});

test("comments, blanks and repeated sections of an INI file", () => {
  expect(Object.fromEntries(parseIni("# x\n[ a ]\nKey = v=1\n; y\n[profile  b]\nk=2\n[a]\nother=3\n"))).toEqual({
    a: { key: "v=1", other: "3" },
    "profile b": { k: "2" },
  });
});
