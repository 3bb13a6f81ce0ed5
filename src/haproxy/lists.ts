/** Allow-lists in HAProxy's memory: read and replaced over the runtime socket, without a reload. */
import { OberError } from "../errors.ts";
import { haproxyCommand } from "./socket.ts";

/** A new list in HAProxy's memory, next to the one in use. */
export type StagedList = {
  /** Applies the whole new list to every connection and request from now on. */
  commit(): Promise<void>;
  /** Frees the memory; the list in use stays as it is. */
  drop(): Promise<void>;
};

/** One line to HAProxy's socket must fit its buffer, tune.bufsize, which is 16384 bytes or more. */
const LONGEST_LINE = 12_000;

/**
 * Gives HAProxy the entries of the list `file` without using them yet. Undefined if the running configuration does not read
 * that file. Proxies that name the same file share one list. `add acl` takes no payload in any version, so a line carries many
 * commands. See HAProxy's management guide: "prepare acl", "add acl", "commit acl", "clear acl".
 */
export async function stageList(
  socket: string,
  file: string,
  entries: readonly string[],
): Promise<StagedList | undefined> {
  const id = await idOf(socket, file);
  if (id === undefined) return undefined;
  const version = /New version created: (\d+)/.exec(await haproxyCommand(socket, `prepare acl ${id}`))?.[1];
  if (version === undefined) throw new OberError(`HAProxy does not prepare a new version of ${file}`);
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

/** The entry of `file` by which HAProxy admits `address`; null if there is none, undefined if it does not read that file. */
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
