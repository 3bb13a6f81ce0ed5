import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync } from "node:fs";
import { join } from "node:path";
import { hasSecret, readSecrets, secretProblem, secretsPath, writeSecrets } from "../../../src/config/secrets.ts";
import { OberError } from "../../../src/errors.ts";
import { temporarySystem } from "../../helpers/system.ts";

const LOGIN = "/root/.ober/login";

async function systemWith(content: string, mode = 0o600) {
  const system = temporarySystem();
  await system.makeDirectory("/root/.ober");
  await system.writeAtomic(LOGIN, content, { mode });
  return system;
}

describe("readSecrets", () => {
  test("knows no secrets where there is no file", async () => {
    using system = temporarySystem();
    expect((await readSecrets(system, {}, LOGIN)).bgpPassword("10.0.0.1")).toBeUndefined();
  });

  test.each<[string, string | undefined]>([
    ["10.0.0.1", "own pass=word"],
    ["10.0.0.2", undefined],
    ["leaf1", "common"],
    ["2001:db8::1", "six"],
  ])("takes the password of %s itself, else the common one", async (neighbor, password) => {
    using system = await systemWith(
      "# routers\n\nbgp_password = common \nbgp_password_10.0.0.1=own pass=word\r\nbgp_password_10.0.0.2=\nbgp_password_2001:db8::1=six",
    );
    expect((await readSecrets(system, {}, LOGIN)).bgpPassword(neighbor)).toBe(password);
  });

  test.each([0o640, 0o604, 0o620, 0o602, 0o777])("refuses a file of mode %o", async (mode) => {
    using system = await systemWith("bgp_password=hunter2\n", mode);
    const error = await readSecrets(system, {}, LOGIN).catch((error: unknown) => error as OberError);
    expect(error).toBeInstanceOf(OberError);
    expect(error).toMatchObject({ message: `${LOGIN} can be read by others`, hint: `chmod 600 ${LOGIN}` });
  });

  test("refuses a file that another user owns", async () => {
    using system = await systemWith("bgp_password=hunter2\n");
    chownSync(join(system.root, LOGIN), 65_534, 0);
    const error = await readSecrets(system, {}, LOGIN).catch((error: unknown) => error as OberError);
    expect(error).toMatchObject({
      message: `${LOGIN} belongs to the user with the ID 65534, who can change it`,
      hint: `check what it contains, then: chown 0 ${LOGIN}`,
    });
  });

  test("refuses a link in place of the file", async () => {
    using system = temporarySystem();
    await system.makeDirectory("/root/.ober");
    await system.symlink("/etc/passwd", LOGIN);
    await expect(readSecrets(system, {}, LOGIN)).rejects.toThrow(`${LOGIN} is not a regular file`);
  });

  const long = `bgp_password=${"x".repeat(81)}`;
  test.each<[string, string, string]>([
    ["a line without key", "\nhunter2", `${LOGIN}: line 2: must be a key, = and a value`],
    ["an empty key", "=hunter2", `${LOGIN}: line 1: a key must be letters, digits and _.:-`],
    ["a key with a blank", "bgp password=hunter2", `${LOGIN}: line 1: a key must be letters, digits and _.:-`],
    ["a key twice", "a=hunter2\na=hunter2", `${LOGIN}: line 2: the key "a" is written twice`],
    [
      "a control character",
      "bgp_password=hunter2\u001b[0m",
      `${LOGIN}: line 1: the value must be printable ASCII characters`,
    ],
    [
      "a quote",
      'bgp_password=hunter2"; } process evil {',
      `${LOGIN}: line 1: the password must be at most 80 characters without quotes and backslashes`,
    ],
    [
      "a backslash",
      "bgp_password=hunter2\\",
      `${LOGIN}: line 1: the password must be at most 80 characters without quotes and backslashes`,
    ],
    [
      "ober's key in capitals",
      "BGP_PASSWORD=hunter2",
      `${LOGIN}: line 1: the key must be in small letters: bgp_password`,
    ],
    [
      "the key of a neighbor in capitals",
      "# leaf\nBGP_PASSWORD_Leaf1=hunter2",
      `${LOGIN}: line 2: the key must be in small letters: bgp_password_Leaf1`,
    ],
    [
      "a comment behind a value",
      "bgp_password=hunter2 # of the routers",
      `${LOGIN}: line 1: a comment must be on its own line: a value cannot contain a blank and #`,
    ],
    [
      "a password that is empty",
      "bgp_password=\n# hunter2",
      `${LOGIN}: line 1: the password is empty: remove the line`,
    ],
    [
      "a password too long",
      long,
      `${LOGIN}: line 1: the password must be at most 80 characters without quotes and backslashes`,
    ],
  ])("refuses %s without repeating it", async (_what, text, message) => {
    using system = await systemWith(text);
    const error = await readSecrets(system, {}, LOGIN).catch((error: unknown) => error as OberError);
    expect(error).toBeInstanceOf(OberError);
    expect(error).toMatchObject({ message });
    expect(Bun.inspect(error)).not.toContain("hunter2");
  });
});

test.each<[who: string, uid: number, passwd: string | undefined, path: string]>([
  ["root, with the HOME of the person behind sudo -E", 0, "daemon:x:1:1::/:\nroot:x:0:0:root:/root:/bin/bash\n", LOGIN],
  ["root, whose home is elsewhere", 0, "root:x:0:0:root:/var/root:/bin/bash\n", "/var/root/.ober/login"],
  ["root on a machine without a password database", 0, undefined, "/home/ann/.ober/login"],
  ["ann herself", 1000, "root:x:0:0:root:/root:/bin/bash\n", "/home/ann/.ober/login"],
])("the secrets lie where %s looks", async (_who, uid, passwd, path) => {
  using system = temporarySystem();
  await system.makeDirectory("/etc");
  if (passwd !== undefined) await system.writeAtomic("/etc/passwd", passwd);
  expect(await secretsPath(system, { uid, home: "/home/ann" })).toBe(path);
});

test("readSecrets shows what a change would make of them", async () => {
  using system = await systemWith("bgp_password=old\nbgp_password_leaf1=own\n");
  const after = (changes: object) => readSecrets(system, { ...changes }, LOGIN);
  expect((await after({ bgp_password: "new" })).bgpPassword("leaf2")).toBe("new");
  expect((await after({ bgp_password: undefined })).bgpPassword("leaf2")).toBeUndefined();
  expect((await after({ bgp_password_leaf1: undefined })).bgpPassword("leaf1")).toBe("old");
  expect(await system.read(LOGIN)).toBe("bgp_password=old\nbgp_password_leaf1=own\n");
});

test("hasSecret tells of a secret only that it is there", async () => {
  using system = await systemWith("bgp_password=old\nempty=\n");
  const keys = ["bgp_password", "empty", "other"];
  expect(await Promise.all(keys.map((key) => hasSecret(system, key, LOGIN)))).toEqual([true, false, false]);
});

describe("writeSecrets", () => {
  test("makes a file that only its owner reads, in a directory that only he enters", async () => {
    using system = temporarySystem();
    await system.makeDirectory("/root");
    await writeSecrets(system, { bgp_password: "s3cr3t" }, LOGIN);
    expect(await system.read(LOGIN)).toBe("bgp_password=s3cr3t\n");
    expect((await system.stat(LOGIN))?.mode.toString(8)).toEndWith("600");
    expect((await system.stat("/root/.ober"))?.mode.toString(8)).toEndWith("700");
  });

  test("changes only what it is told to", async () => {
    using system = await systemWith("# mine\n\naws_key=k\nbgp_password=old\nbgp_password_leaf1=gone\n");
    await writeSecrets(system, { bgp_password: "new", bgp_password_leaf1: undefined }, LOGIN);
    expect(await system.read(LOGIN)).toBe("# mine\n\naws_key=k\nbgp_password=new\n");
  });

  test("refuses what it could not read back, and leaves the file alone", async () => {
    using system = await systemWith("bgp_password=old\n");
    const write = writeSecrets(system, { bgp_password: "two\nlines=2" }, LOGIN);
    await expect(write).rejects.toThrow(`"bgp_password" in ${LOGIN}: the value must be printable ASCII characters`);
    expect(await system.read(LOGIN)).toBe("bgp_password=old\n");
  });

  test("does not touch a file that others can read", async () => {
    using system = await systemWith("bgp_password=old\n");
    chmodSync(join(system.root, LOGIN), 0o644);
    await expect(writeSecrets(system, { bgp_password: "new" }, LOGIN)).rejects.toThrow("can be read by others");
    expect(await system.read(LOGIN)).toBe("bgp_password=old\n");
  });
});

test("every printable character but quotes and backslash may stand in a password", () => {
  const refused = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index)).filter(
    (char) => secretProblem("bgp_password", `a${char}b`) !== undefined,
  );
  expect(refused).toEqual(['"', "'", "\\"]);
});
