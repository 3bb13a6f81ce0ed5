import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { posix } from "node:path";
import type { NodeFacts } from "../domain/facts.ts";
import type { Paths } from "../domain/paths.ts";
import { serverStateFile } from "../domain/server-state.ts";
import { UNIT_FILES } from "../domain/units.ts";
import { atLeast, type Version } from "../domain/version.ts";
import { OberError, orUndefined } from "../errors.ts";
import type { RenderedFile } from "../render/file.ts";
import type { System } from "../system/system.ts";
import { mask } from "./diff.ts";

/** A program that will read some generated files, asked beforehand whether it accepts them. */
export type Validator = {
  readonly program: string;
  /** Paths of the files it reads, as they will be; it runs when one of them is among the rendered. */
  readonly reads: readonly string[];
  /** The command that reads the staged copies instead. */
  argv(staged: (path: string) => string): readonly string[];
  readonly env?: (staged: (path: string) => string) => Readonly<Record<string, string>>;
};

const VERIFY_UNITS = ["systemd-analyze", "verify", "--man=no"] as const;

/** Every parser that has a say, for the programs of this node. */
export function validators(paths: Paths, { exabgp }: { readonly exabgp: Version | undefined }): readonly Validator[] {
  const exabgpCheck = exabgp && atLeast(exabgp, "5.0") ? ["exabgp", "validate"] : ["exabgp", "--test"];
  const units = (staged: (path: string) => string) => staged(paths.unitDirectory);
  return [
    {
      program: "haproxy",
      reads: [paths.haproxyConfig],
      argv: (staged) => ["haproxy", "-c", "-f", staged(paths.haproxyConfig)],
    },
    { program: "exabgp", reads: [paths.exabgpConfig], argv: (staged) => [...exabgpCheck, staged(paths.exabgpConfig)] },
    { program: "bird", reads: [paths.bfdConfig], argv: (staged) => ["bird", "-p", "-c", staged(paths.bfdConfig)] },
    {
      program: "keepalived",
      reads: [paths.keepalivedConfig],
      argv: (staged) => ["keepalived", "-t", "-f", staged(paths.keepalivedConfig)],
    },
    {
      program: "nft",
      reads: [paths.handoverRules],
      argv: (staged) => ["nft", "-c", "-f", staged(paths.handoverRules)],
    },
    { program: "nft", reads: [paths.ttlRules], argv: (staged) => ["nft", "-c", "-f", staged(paths.ttlRules)] },
    ...UNIT_FILES.map((unit): Validator => {
      const path = `${paths.unitDirectory}/${unit}`;
      return {
        program: "systemd",
        reads: [path],
        argv: (staged) => [...VERIFY_UNITS, staged(path)],
        // Units that it names are looked for among the staged ones first; the trailing colon adds the system's own.
        env: (staged) => ({ SYSTEMD_UNIT_PATH: `${units(staged)}:` }),
      };
    }),
  ];
}

/**
 * Lays the rendered files out under `directory` and has every program read its own. Returns the programs' warnings;
 * throws an OberError with the file, the line and the reason when one refuses. Nothing outside `directory` is touched.
 */
export async function validate(
  system: System,
  options: { files: readonly RenderedFile[]; paths: Paths; facts: NodeFacts; directory: string },
): Promise<readonly string[]> {
  const { files, paths, facts, directory } = options;
  const staged = (path: string) => `${directory}${path}`;
  // A file of the operator's stays as it is: the parsers must read that one and not what ober would have made.
  const kept = await Promise.all(files.map(async ({ path, once }) => (once && (await system.stat(path)) ? path : "")));
  const fresh = files.filter(({ path }) => !kept.includes(path));
  // A new file is not judged by the names and states of the servers that run now. HAProxy 2.6 warns if there is no file.
  const references = [
    ...fresh.filter(({ path }) => path.startsWith(`${paths.etc}/`)).map(({ path }) => path),
    paths.serverState,
    // keepalived 2.3.3 crashes, or runs for ever, over a tracked file whose directory is missing, as it is before HAProxy first starts.
    paths.passingHandicap,
    paths.vrrpWeight,
    paths.vrrpHanging,
  ];
  await system.makeDirectory(posix.dirname(staged(paths.serverState)), 0o700);
  await system.writeAtomic(
    staged(paths.serverState),
    serverStateFile([], () => []),
  );
  for (const file of fresh) {
    await system.makeDirectory(posix.dirname(staged(file.path)), 0o700);
    await system.writeAtomic(staged(file.path), restage(file.content, references, staged), { mode: file.mode });
  }
  const present = new Set(files.map(({ path }) => path));
  const asked = concerned(validators(paths, facts), present);
  return settled(asked.map((validator) => ask(system, validator, { staged, files })));
}

/** Those that read one of the files; one question about all units, because systemd-analyze reads the whole machine's for each. */
function concerned(all: readonly Validator[], present: ReadonlySet<string>): readonly Validator[] {
  const some = all.filter(({ reads }) => reads.some((path) => present.has(path)));
  const units = some.filter(({ program }) => program === "systemd");
  const [first] = units;
  const others = some.filter(({ program }) => program !== "systemd");
  if (first === undefined) return others;
  const reads = units.flatMap((unit) => unit.reads);
  return [...others, { ...first, reads, argv: (staged) => [...VERIFY_UNITS, ...reads.map(staged)] }];
}

/** All answers in their order, once the last is there: a parser that still reads must not find its files gone. */
async function settled(answers: readonly Promise<readonly string[]>[]): Promise<readonly string[]> {
  const all = await Promise.allSettled(answers);
  return all.flatMap((answer) => {
    if (answer.status === "rejected") throw answer.reason;
    return answer.value;
  });
}

/** The same in a directory that is made for it and goes afterwards: what would be applied, before anything is. */
export async function validateAside(
  system: System,
  options: { files: readonly RenderedFile[]; paths: Paths; facts: NodeFacts },
): Promise<readonly string[]> {
  // On a node not in /tmp, which may forbid to run programs: systemd would call the staged script of the VIPs not executable.
  const { var: own } = options.paths;
  const base = (await system.stat(own)) === undefined ? tmpdir() : own;
  const directory = `${base}/ober-check-${randomBytes(8).toString("hex")}`;
  await system.makeDirectory(directory, 0o700);
  try {
    return await validate(system, { ...options, directory });
  } finally {
    await system.removeTree(directory);
  }
}

/**
 * Has every program read the files that stand on the machine now. Throws an OberError with the program's own words when one refuses; returns
 * the warnings. Changes nothing but makes the directory for what runs, where it is missing: keepalived 2.3.3 crashes without it.
 */
export async function validateInPlace(
  system: System,
  { files, paths, exabgp }: { files: readonly RenderedFile[]; paths: Paths; exabgp: Version | undefined },
): Promise<readonly string[]> {
  await orUndefined(() => system.makeDirectory(paths.run));
  const present = new Set(files.map(({ path }) => path));
  const asked = concerned(validators(paths, { exabgp }), present).map(({ env: _, ...validator }) => validator);
  const hint = "nothing was changed; `ober apply --yes` writes it anew, `ober rollback` puts an older one back";
  return settled(asked.map((validator) => ask(system, validator, { staged: (path) => path, files, hint })));
}

/** Points the staged files at each other, so that a parser never reads the running configuration by mistake. */
function restage(content: string, references: readonly string[], staged: (path: string) => string): string {
  return references.reduce((text, path) => text.replaceAll(path, staged(path)), content);
}

async function ask(
  system: System,
  validator: Validator,
  context: { staged: (path: string) => string; files: readonly RenderedFile[]; hint?: string },
): Promise<readonly string[]> {
  const { staged, files } = context;
  const result = await system.run(validator.argv(staged), {
    accept: Array.from({ length: 256 }, (_, code) => code),
    ...(validator.env ? { env: validator.env(staged) } : {}),
  });
  const secrets = files.flatMap((file) => file.secrets ?? []);
  const said = mask(unstage(`${result.stderr}\n${result.stdout}`, staged("")), secrets);
  const path = validator.reads.find((one) => said.includes(posix.basename(one))) ?? validator.reads[0] ?? "";
  const remarks = remarksOf(validator, said, path);
  if (result.code === 0) return remarks.map((remark) => `${validator.program}: ${remark}`);
  const reasons = remarks.length > 0 ? remarks : said.trim().split("\n").slice(-5);
  if (files.some((file) => file.path === path && file.optional)) {
    return [`${validator.program} does not take ${path}, so the node does without it: ${reasons[0]}`];
  }
  throw new OberError(
    `${validator.program} rejected ${path}:\n${reasons.map((reason) => `  ${quoteLine(reason, path, files)}`).join("\n")}`,
    { hint: context.hint ?? "nothing was changed; correct the value in ober.yaml and run the command again" },
  );
}

const unstage = (text: string, directory: string) => text.replaceAll(directory, "");

/** The lines of a parser's output that say something about the file. */
function remarksOf(
  { program, reads }: Pick<Validator, "program" | "reads">,
  said: string,
  path: string,
): readonly string[] {
  const all = said.split("\n").map((line) => line.trim());
  if (program === "haproxy") {
    // [ALERT]    (312) : config : parsing [/opt/ober/etc/haproxy/haproxy.cfg:31] : unknown keyword 'blance' ...
    return all
      .filter((line) => /^\[(ALERT|WARNING)\]/.test(line) && !/Error\(s\) found in|Fatal errors found/.test(line))
      .map((line) => line.replace(/^\[(\w+)\]\s+\(\d+\) : /, ""));
  }
  if (program === "systemd") return all.filter((line) => reads.some((unit) => line.includes(posix.basename(unit))));
  if (program === "bird" || program === "nft") return all.filter((line) => line.includes(path));
  if (program === "keepalived") return all.filter((line) => line !== "" && !line.startsWith("Configuration"));
  return all.filter((line) => /error|invalid|line \d+/i.test(line));
}

/** Adds the text of the line that a remark names: the file was generated, so the number alone says little. */
function quoteLine(remark: string, path: string, files: readonly RenderedFile[]): string {
  const number = /(?::|line )(\d+)/.exec(remark.replace(/^.*\.(cfg|ini|conf|service|path|timer)(?=[:\]])/, ""))?.[1];
  const file = files.find((candidate) => candidate.path === path);
  const text = number === undefined ? undefined : file?.content.split("\n")[Number(number) - 1]?.trim();
  return text === undefined || text === "" ? remark : `${remark}\n    line ${number}: ${mask(text, file?.secrets)}`;
}
