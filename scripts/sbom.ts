/** Prints the contents of the executable as a CycloneDX 1.6 document, from package-lock.json: the linked packages and bun. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

type Locked = {
  readonly version: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
};

const root = resolve(import.meta.dir, "..");
const { name, version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
  packages: Record<string, Locked>;
};

/** Everything that the run-time dependencies need, themselves included, and the runtime. */
const linked = new Set<string>();
const pending = [...Object.keys(packages[""]?.dependencies ?? {}), "bun"];
for (const each of pending) {
  if (linked.has(each)) continue;
  linked.add(each);
  pending.push(...Object.keys(packages[`node_modules/${each}`]?.dependencies ?? {}));
}

const components = [...linked].sort().map((each) => {
  const found = packages[`node_modules/${each}`];
  if (found === undefined) throw new Error(`package-lock.json does not lock ${each}`);
  const purl = `pkg:npm/${each.replace("@", "%40")}@${found.version}`;
  const [algorithm = "", digest = ""] = (found.integrity ?? "").split("-");
  const hash = { alg: algorithm.replace("sha", "SHA-"), content: Buffer.from(digest, "base64").toString("hex") };
  return {
    type: "library",
    "bom-ref": purl,
    name: each,
    version: found.version,
    purl,
    ...(digest === "" ? {} : { hashes: [hash] }),
    ...(found.license === undefined ? {} : { licenses: [{ expression: found.license }] }),
  };
});

const document = {
  bomFormat: "CycloneDX",
  specVersion: "1.6",
  version: 1,
  metadata: {
    timestamp: new Date(Number(process.env["SOURCE_DATE_EPOCH"] ?? 0) * 1000).toISOString(),
    component: { type: "application", "bom-ref": name, name, version, licenses: [{ license: { id: license } }] },
  },
  components,
  dependencies: [{ ref: name, dependsOn: components.map((each) => each["bom-ref"]) }],
};
process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
