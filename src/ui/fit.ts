/** On anything narrower, there would be one word per line. */
const LEAST = 20;

/**
 * Wraps lines longer than `columns` between words. The rest continues under the last column of a table, or under the text after a sign or a mark
 * such as `fix:`. Only for a terminal: programs and files need unwrapped lines. Pure.
 */
export function fit(text: string, columns: number): string {
  return text
    .split("\n")
    .map((line) => (Bun.stringWidth(line) <= columns ? line : broken(line, columns)))
    .join("\n");
}

function broken(line: string, columns: number): string {
  const indent = hangingIndent(Bun.stripANSI(line), columns);
  const [head, rest] = splitAt(line, indent);
  const pieces = Bun.wrapAnsi(rest, columns - indent, { hard: true }).split("\n");
  return head + pieces.join(`\n${" ".repeat(indent)}`);
}

/** The start of the last column that leaves room for words. */
function hangingIndent(line: string, columns: number): number {
  const columnsOfText = [...line.matchAll(/ {2,}(?=\S)/g)].map(({ 0: blanks, index }) => index + blanks.length);
  const afterFix = /^ *fix: /.exec(line)?.[0].length ?? 0;
  const fitting = [...columnsOfText, afterFix].filter((start) => columns - start >= LEAST);
  return Math.max(0, ...fitting);
}

/** Cuts a line, which may contain colours, after its first `width` columns. */
function splitAt(line: string, width: number): readonly [string, string] {
  let [at, seen] = [0, 0];
  while (seen < width && at < line.length) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a colour begins with.
    const code = /^\u001b\[[0-9;]*m/.exec(line.slice(at))?.[0];
    if (code !== undefined) {
      at += code.length;
      continue;
    }
    const letter = String.fromCodePoint(line.codePointAt(at) ?? 0);
    at += letter.length;
    seen += Bun.stringWidth(letter);
  }
  return [line.slice(0, at), line.slice(at)];
}

/** The first lines of a text that fit a screen of `rows`, and the number of the others. For a screen that is redrawn. Pure. */
export function cut(text: string, rows: number | undefined): string {
  const lines = text.split("\n");
  if (rows === undefined || rows < 3 || lines.length < rows) return text;
  const shown = lines.slice(0, rows - 2);
  return `${shown.join("\n")}\n... ${lines.length - shown.length} more lines: ober status`;
}
