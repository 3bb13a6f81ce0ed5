/**
 * Rows as aligned columns, two blanks apart, with an optional heading; the last column is not padded. A cell is always one line: its text may come
 * from another machine and must not look like another row.
 */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = (heading.length === 0 ? rows : [heading, ...rows]).map((row) =>
    row.map((cell) => cell.replace(/[\r\n\t\v\f]+/g, " ")),
  );
  const widths = (all[0] ?? []).map((_, column) =>
    all.reduce((most, row) => Math.max(most, width(row[column] ?? "")), 0),
  );
  return all
    .map((row) =>
      row
        .map((cell, column) =>
          column === row.length - 1 ? cell : cell + " ".repeat((widths[column] ?? 0) - width(cell)),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** The width of a text on a terminal; colours have none. */
const width = (text: string) => Bun.stringWidth(text);
