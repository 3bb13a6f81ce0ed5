/** Allow-lists in HAProxy's memory: read and replaced on the runtime socket, without a reload. */
import { OberError } from "../errors.ts";
import { haproxyCommand } from "./socket.ts";

/** A list that HAProxy has in memory beside the one it uses. */
export type StagedList = {
  /** From here on every connection and request is judged by the new list, all of it. */
  commit(): Promise<void>;
  /** Frees the memory; the list in use stays as it is. */
  drop(): Promise<void>;
};

/** One line to HAProxy's socket must fit its buffer, tune.bufsize, which is 16384 bytes or more. */
const LONGEST_LINE = 12_000;

/**
 * Gives HAProxy the entries of the list `file` without using them yet. Undefined when the running configuration does not read
 * that file. Several proxies that name one file share one list. `add acl` takes no payload in any version, so entries go as
 * many commands on a line. See HAProxy's management guide: "prepare acl", "add acl", "commit acl", "clear acl".
 */
export async function stageList(
  socket: string,
  file: string,
  entries: readonly string[],
): Promise<StagedList | undefined> {
  const id = await idOf(socket, file);
  if (id === undefined) return undefined;
  const version = /New version created: (\d+)/.exec(await haproxyCommand(socket, `prepare acl ${id}`))?.[1];
  if (version === undefined) throw new OberError(`HAProxy prepares no new version of ${file}`);
  const tell = async (line: string) => {
    const said = (await haproxyCommand(socket, line, 10_000)).trim();
    if (said !== "") throw new OberError(`HAProxy refuses a change of ${file}: ${said.split("\n")[0]}`);
  };
  const drop = () => tell(`clear acl @${version} ${id}`);
  try {
    for (const line of linesOf(entries.map((entry) => `add acl @${version} ${id} ${entry}`))) await tell(line);
  } catch (error) {
    await drop();
    throw error;
  }
  return { commit: () => tell(`commit acl @${version} ${id}`), drop };
}

/** The entry of `file` by which HAProxy lets `address` in now; null when none does, undefined when it does not read that file. */
export async function liveEntry(socket: string, file: string, address: string): Promise<string | null | undefined> {
  const id = await idOf(socket, file);
  if (id === undefined) return undefined;
  const said = await haproxyCommand(socket, `get acl ${id} ${address}`);
  return /match=yes.*pattern="([^"]*)"/.exec(said)?.[1] ?? null;
}

async function idOf(socket: string, file: string): Promise<string | undefined> {
  const lists = (await haproxyCommand(socket, "show acl")).split("\n");
  const id = lists.map((line) => /^(\d+) \(([^)]*)\)/.exec(line)).find((match) => match?.[2] === file)?.[1];
  return id === undefined ? undefined : `#${id}`;
}

function* linesOf(commands: readonly string[]): Generator<string> {
  let line: string[] = [];
  let length = 0;
  for (const command of commands) {
    if (length + command.length + 1 > LONGEST_LINE) {
      yield line.join(";");
      [line, length] = [[], 0];
    }
    line.push(command);
    length += command.length + 1;
  }
  if (line.length > 0) yield line.join(";");
}
