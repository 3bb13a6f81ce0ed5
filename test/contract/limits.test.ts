/**
 * A machine that lacks resources: if ober cannot get one, that is one sentence and exit 1, never "a bug"; everything that does not need it
 * works.
 */
import { expect, test } from "bun:test";
import { stageAmongPeers } from "./_stage.ts";

const here = stageAmongPeers();

/** A shell's words that run `"$@"` with less than a machine has. */
const LIMITS: Readonly<Record<string, string>> = {
  "16 descriptors": 'ulimit -n 16; exec "$@"',
  "24 descriptors": 'ulimit -n 24; exec "$@"',
  "40 descriptors": 'ulimit -n 40; exec "$@"',
  "files of no more than a block": 'ulimit -f 1; exec "$@"',
  "a stdout that is full": 'exec "$@" >/dev/full',
  "a stderr that is full": 'exec "$@" 2>/dev/full',
  "no stdout": 'exec "$@" >&-',
  "no stderr": 'exec "$@" 2>&-',
  "no stdin": 'exec "$@" <&-',
  "a directory that is gone": 'mkdir "$STAGE/gone.$$" && cd "$STAGE/gone.$$" && rmdir "$STAGE/gone.$$"; exec "$@"',
  "an empty /sys": 'mount -t tmpfs tmpfs /sys; exec "$@"',
  "a TMPDIR that is not there": 'TMPDIR=/nonexistent exec "$@"',
  "no programs in PATH":
    'P=$(command -v python3) T=$(command -v timeout); shift; PATH=/nonexistent exec "$T" -s KILL 60 "$P" "$@"',
  "a HOME that is a file": 'HOME=/etc/passwd exec "$@"',
  "a language that is not there": 'LANG=xx_YY.UTF-8 LC_ALL=xx exec "$@"',
  "an odd time zone": 'TZ=/etc/passwd exec "$@"',
  "an odd terminal": 'TERM="$(printf "\\033[2J")" COLUMNS=-1 LINES=x exec "$@"',
  "a umask of 777": 'umask 777; exec "$@"',
  "a stack of 256 KiB": 'ulimit -s 256; exec "$@"',
};
/** Looks, and acts. A machine without /proc is not a case, because the runtime itself does not start. */
const COMMANDS = ["status", "drain", "apply --dry-run"];
const MORE = ["why --json", "doctor", "history", "undrain", "--version", "nonsense"];
const commands = Number(process.env["OBER_ROUNDS"] ?? 1) > 1 ? [...COMMANDS, ...MORE] : COMMANDS;

// A drain waits for a health loop that is not there: they wait side by side.
test.concurrent.each(Object.entries(LIMITS))(
  "with %s, no command ends as a bug",
  async (_, within) => {
    const ended = async (command: string) => {
      const said = await here().ober(command.split(" "), {
        within: within.includes("KILL") ? within : within.replace('"$@"', 'timeout -s KILL 60 "$@"'),
      });
      const isFit = [0, 1, 2].includes(said.code) && !/\bbug\b/.test(said.stderr);
      return isFit ? [] : [`${command}: ended with ${said.code} after ${said.ms} ms\n${said.stdout}${said.stderr}`];
    };
    expect((await Promise.all(commands.map(ended))).flat()).toEqual([]);
  },
  120_000,
);
