/** Systems, and where their packages come from. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Lab, LabNode } from "../lab/lab.ts";
import { copyExecutable, ober, PREFIX_ON_NODE } from "../lab/ober.ts";
import type { Release } from "../lab/trees.ts";
import {
  makeKey,
  offerKey,
  publishForApt,
  removeVendor,
  type SigningKey,
  startVendor,
  trustVendor,
  VENDOR_URL,
  VENDOR_VERSION,
} from "../lab/vendor.ts";
import { sharedLab } from "./_cluster.ts";
import { killWhen } from "./_interrupt.ts";
import { differences, type Snapshot, snapshot } from "./_snapshot.ts";

const BOOTSTRAP = ["/root/ober", "bootstrap", PREFIX_ON_NODE, "--yes"];
const LIST = "/etc/apt/sources.list.d/ober-haproxy.list";
const KEY = "/usr/share/keyrings/ober-haproxy.asc";

let lab: Lab;
let node: LabNode;
let before: Snapshot;

/** The last node, bare again. */
async function bare(release: Release): Promise<void> {
  await node.reset(release, (line) => process.stderr.write(`${line}\n`));
  await trustVendor(node);
  copyExecutable(node);
  before = await snapshot(node);
}

const bootstrap = (words: readonly string[] = [], accept: readonly number[] = [0]) =>
  node.exec([...BOOTSTRAP, ...words], { accept, timeoutMs: 110_000 });

const journal = (): readonly {
  id: string;
  state: string;
  record?: { packages: { name: string; version: string }[] };
}[] => {
  const file = join(node.root, PREFIX_ON_NODE, "var/journal.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).steps : [];
};

const isThere = (file: string) => existsSync(join(node.root, file));
const grouped = (fingerprint: string) => fingerprint.replaceAll(/(.{4})(?=.)/g, "$1 ");

beforeAll(async () => {
  lab = await sharedLab();
  node = lab.node(lab.names().at(-1) ?? "");
  await startVendor(lab);
}, 300_000);
afterAll(async () => {
  await removeVendor();
  await node?.reset("trixie");
}, 60_000);

describe("HAProxy of its vendor, on what says it is Ubuntu", () => {
  let key: SigningKey;
  let other: SigningKey;
  beforeAll(async () => {
    [key, other] = [await makeKey("vendor"), await makeKey("other")];
    await bare("ubuntu");
    await publishForApt(node, key, { id: "ubuntu", codename: "noble" });
    await offerKey(key);
  }, 120_000);

  const fromVendor = ["--haproxy-repository", VENDOR_URL];

  test("is refused with another key than was pinned, and nothing of it is written", async () => {
    const { stderr } = await bootstrap([...fromVendor, "--haproxy-key", other.fingerprint], [1]);
    expect(stderr).toContain(`${grouped(key.fingerprint)}, not ${grouped(other.fingerprint)}`);
    expect([isThere(LIST), isThere(KEY)]).toEqual([false, false]);
  }, 60_000);

  test("is refused when the key that is offered has not signed it", async () => {
    await offerKey(other);
    const { stderr } = await bootstrap(fromVendor, [1]);
    expect(stderr).toContain(`cannot be used with the key ${grouped(other.fingerprint)}`);
    expect([isThere(LIST), isThere(KEY)]).toEqual([false, false]);
    await offerKey(key);
  }, 60_000);

  test("is refused when its key has changed since", async () => {
    expect(
      await killWhen(node, [...BOOTSTRAP, ...fromVendor], () => journal().some(({ id }) => id === "packages")),
    ).toBe(true);
    expect(readFileSync(join(node.root, KEY), "utf8")).toBe(key.armoured);
    await offerKey(other);
    const { stderr } = await bootstrap([...fromVendor, "--haproxy", "3.4"], [1]);
    expect(stderr).toContain(`${grouped(other.fingerprint)}, not ${grouped(key.fingerprint)}`);
    expect(readFileSync(join(node.root, KEY), "utf8")).toBe(key.armoured);
    await offerKey(key);
  }, 60_000);

  test("comes with its key fetched and shown, is on record, and goes with uninstall", async () => {
    await ober(node, ["uninstall", "--yes"]);
    expect(differences(before, await snapshot(node))).toEqual([]);
    copyExecutable(node);
    const { stderr } = await bootstrap(fromVendor);
    expect(stderr).toContain(`trusted from now on: ${grouped(key.fingerprint)}`);
    expect(stderr).toContain(`HAProxy 3.4 with AWS-LC comes from ${VENDOR_URL}/ubuntu/ha34`);
    expect(readFileSync(join(node.root, LIST), "utf8")).toBe(
      `deb [signed-by=${KEY}] ${VENDOR_URL}/ubuntu/ha34 noble main\n`,
    );
    const brought = journal().find(({ id }) => id === "packages")?.record?.packages ?? [];
    expect(brought).toContainEqual({ name: "haproxy-awslc", version: `${VENDOR_VERSION}-0+ha34` });
    expect(brought.map(({ name }) => name)).not.toContain("haproxy");
    await ober(node, ["uninstall", "--yes"]);
    expect(differences(before, await snapshot(node))).toEqual([]);
  }, 120_000);
});
