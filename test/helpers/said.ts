/** What `ober` says to type: the commands in the fix of a finding. */

/** A command begins with one of these programs and goes on with words; a sentence does not. */
const COMMAND =
  /^(?:ober|systemctl|chmod|chown|ip|kill|ln|mv|rm|sysctl|apt-get|dnf|timedatectl) (?:-|\/|\d|[a-z]+(?:[ -:]|$))|^ober \w+$/;

/**
 * The command that mends, or undefined where the fix asks for something that no command does. The first clause mends, and those behind a
 * semicolon look further; in it, the command stands at the beginning or behind a colon, and ends at a comma.
 */
export function commandIn(fix: string): string | undefined {
  const [clause = ""] = fix.split("; ");
  const starts = [0, ...[...clause.matchAll(/: /g)].map(({ index }) => index + 2)];
  const begin = starts.find((at) => COMMAND.test(clause.slice(at)));
  return begin === undefined ? undefined : clause.slice(begin).split(", ")[0];
}
