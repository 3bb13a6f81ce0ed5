/** Completion scripts for shells, from the command table. Pure. */
import type { CommandEntry, FlagEntry } from "./describe.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

export function completionScript(shell: Shell, commands: readonly CommandEntry[]): string {
  switch (shell) {
    case "bash":
      return bash(commands);
    case "zsh":
      return zsh(commands);
    case "fish":
      return fish(commands);
    default:
      return shell satisfies never;
  }
}

const wordsOf = ({ flags }: CommandEntry) => flags.flatMap(({ name, short }) => (short ? [name, short] : [name]));

/** For each word, including the command itself, the words to offer after it. */
function offers({ name, positionals }: CommandEntry): readonly (readonly [behind: string, words: readonly string[]])[] {
  return positionals.flatMap(({ words, after }) =>
    words.length === 0 ? [] : (after.length === 0 ? [name] : after).map((behind) => [behind, words] as const),
  );
}

function bash(commands: readonly CommandEntry[]): string {
  const cases = commands.map((command) => `    ${command.name}) words="${wordsOf(command).join(" ")}" ;;`);
  const choices = commands.flatMap(({ name, flags }) =>
    flags
      .filter((flag) => flag.choices.length > 0)
      .map((flag) => `    "${name} ${flag.name}") words="${flag.choices.join(" ")}" ;;`),
  );
  const offered = commands.flatMap((command) =>
    offers(command).map(([behind, words]) => `    "${command.name} ${behind}") words="${words.join(" ")}" ;;`),
  );
  const values = new Set(commands.flatMap(({ flags }) => flags.filter((flag) => flag.value).map(({ name }) => name)));
  return `# bash completion for ober: ober completion bash > /etc/bash_completion.d/ober
_ober() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command= words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == -* ]] || { command=\${COMP_WORDS[i]}; break; }
  done
  if [[ -z $command ]]; then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(" ")} --help --version" -- "$cur"))
    return
  fi
  case "$command $prev" in
${choices.join("\n")}
  esac
  if [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    return
  fi
  if [[ $cur != -* ]]; then
    case "$command $prev" in
${offered.join("\n")}
    esac
    if [[ -n $words ]]; then
      COMPREPLY=($(compgen -W "$words" -- "$cur"))
      return
    fi
    COMPREPLY=($(compgen -f -- "$cur"))
    return
  fi
  # The word after a flag with a value is not a flag.
  case $prev in
    ${[...values].sort().join(" | ")}) return ;;
  esac
  case $command in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o filenames -F _ober ober
`;
}

function zsh(commands: readonly CommandEntry[]): string {
  const text = (value: string) => value.replaceAll("'", "'\\''").replaceAll(/[[\]:]/g, "\\$&");
  const action = ({ value, choices }: FlagEntry) => {
    if (value === undefined) return "";
    return choices.length > 0 ? `:${value}:(${choices.join(" ")})` : `:${text(value)}:_files`;
  };
  const spec = (flag: FlagEntry) => {
    const names = flag.short ? `(${flag.short} ${flag.name})'{${flag.short},${flag.name}}'` : flag.name;
    return `'${names}[${text(flag.description)}]${action(flag)}'`;
  };
  // Offer words by the previous word, or files if there are none.
  const words = (command: CommandEntry) => {
    const cases = offers(command).map(
      ([behind, these]) => `${behind}) compadd -- ${these.map((word) => `"${word}"`).join(" ")} ;;`,
    );
    return cases.length === 0 ? "_files" : `{ case $words[CURRENT-1] in ${cases.join(" ")} *) _files ;; esac }`;
  };
  const cases = commands.map(
    (command) => `    ${command.name}) _arguments ${command.flags.map(spec).join(" ")} '*:word:${words(command)}' ;;`,
  );
  return `#compdef ober
# zsh completion for ober: ober completion zsh > /usr/local/share/zsh/site-functions/_ober
_ober() {
  local -a commands=(
${commands.map(({ name, description }) => `    '${name}:${text(description)}'`).join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join("\n")}
  esac
}
_ober "$@"
`;
}

function fish(commands: readonly CommandEntry[]): string {
  const text = (value: string) => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const behind = ({ name }: CommandEntry, word: string) =>
    word === name
      ? `test (count (commandline -opc)) -eq 2; and __fish_seen_subcommand_from ${name}`
      : `__fish_seen_subcommand_from ${name}; and test (commandline -opc)[-1] = ${word}`;
  const lines = commands.flatMap((command) => {
    const { name, description, flags } = command;
    return [
      `complete -c ober -n __fish_use_subcommand -f -a ${name} -d ${text(description)}`,
      ...flags.map((flag) =>
        [
          `complete -c ober -n '__fish_seen_subcommand_from ${name}'`,
          ...(flag.short ? [`-s ${flag.short.slice(1)}`] : []),
          `-l ${flag.name.slice(2)}`,
          ...(flag.value === undefined ? [] : ["-r"]),
          ...(flag.choices.length > 0 ? [`-f -a ${text(flag.choices.join(" "))}`] : []),
          `-d ${text(flag.description)}`,
        ].join(" "),
      ),
      ...offers(command).map(
        ([word, words]) => `complete -c ober -n ${text(behind(command, word))} -f -a ${text(words.join(" "))}`,
      ),
    ];
  });
  return `# fish completion for ober: ober completion fish > /etc/fish/completions/ober.fish\n${lines.join("\n")}\n`;
}
