/** What a source says now: the text of a file, or what a command prints, with the names in it resolved. */
import { isAddress } from "../domain/address.ts";
import type { Answer } from "../domain/names.ts";
import { hostsIn, type Source } from "../domain/sources.ts";
import { OberError } from "../errors.ts";
import { askNames, readBounded } from "./resolve.ts";
import { steeredBy } from "./steered.ts";
import type { System } from "./system.ts";

const MOST_BYTES = 1 << 20;

/** The RGWs' addresses, or why there are none, within twice `deadlineMs`. Does not throw because of a source. */
export async function askSource(system: System, source: Source, deadlineMs: number): Promise<Answer> {
  const said =
    "file" in source ? await fileText(system, source.file) : await printed(system, source.command, deadlineMs);
  if ("problem" in said) return said;
  const found = hostsIn(said.text);
  if ("problem" in found) return found;
  const names = found.hosts.filter((host) => !isAddress(host));
  const answers = names.length === 0 ? new Map<string, Answer>() : await askNames(system, names, deadlineMs);
  const addresses: string[] = [];
  for (const host of found.hosts) {
    const answer = answers.get(host) ?? { addresses: [host] };
    if ("problem" in answer) return { problem: `${host} in it: ${answer.problem}` };
    addresses.push(...answer.addresses);
  }
  return { addresses: [...new Set(addresses)] };
}

type Said = { readonly text: string } | { readonly problem: string };

async function fileText(system: System, file: string): Promise<Said> {
  const text = await readBounded(system, file);
  return text === undefined ? { problem: `${file} cannot be read` } : { text };
}

/** Runs as root, so only root may be able to change the program. */
async function printed(system: System, command: readonly string[], timeoutMs: number): Promise<Said> {
  const [program = ""] = command;
  try {
    const steered = await steeredBy(system, program);
    if (steered !== undefined) return { problem: `root would run ${program}, but ${steered}` };
    const { stdout } = await system.run(command, { timeoutMs, mostBytes: MOST_BYTES });
    return { text: stdout };
  } catch (error) {
    if (error instanceof OberError) return { problem: error.message };
    throw error;
  }
}
