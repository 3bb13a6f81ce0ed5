/**
 * Measures the plan of the source: `scripts/house [--json]`. Rooms are the folders directly under src; floors are the longest chain of
 * imports within a room. CONTRIBUTING.md has the limits.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const root = resolve(import.meta.dir, "..");
const src = join(root, "src");

type Source = {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  readonly imports: readonly string[];
};

const sources: readonly Source[] = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => {
    const text = readFileSync(join(src, name), "utf8");
    // Include imports of types: a reader has to follow them.
    const imports = [...text.matchAll(/(?:from|import\()\s*"(\.{1,2}\/[^"]+)"/g)].map(([, to = ""]) =>
      relative(src, resolve(src, dirname(name), to)),
    );
    return { path: name, room: name.includes("/") ? (name.split("/")[0] ?? "") : "(top)", text, imports };
  });

const linesOf = ({ text }: Source) => text.split("\n").length - 1;
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
const total = sum(sources.map(linesOf));
const count = (pattern: RegExp, of: readonly Source[] = sources) =>
  sum(of.map(({ text }) => [...text.matchAll(pattern)].length));
const filesWith = (pattern: RegExp, of: readonly Source[]) => of.filter(({ text }) => text.search(pattern) >= 0).length;

/** Files in the longest chain of imports that stays in the room; a circle counts once. */
function floorsOf(room: string): number {
  const inside = new Map(sources.filter((source) => source.room === room).map((source) => [source.path, source]));
  const known = new Map<string, number>();
  const height = (path: string, above: ReadonlySet<string>): number => {
    const found = known.get(path);
    if (found !== undefined) return found;
    const below = (inside.get(path)?.imports ?? []).filter((to) => inside.has(to) && !above.has(to));
    const own = 1 + Math.max(0, ...below.map((to) => height(to, new Set([...above, path]))));
    known.set(path, own);
    return own;
  };
  return Math.max(0, ...[...inside.keys()].map((path) => height(path, new Set())));
}

const rooms = [...new Set(sources.map(({ room }) => room))]
  .map((room) => {
    const files = sources.filter((source) => source.room === room);
    const lines = sum(files.map(linesOf));
    return { room, files: files.length, lines, share: Math.round((1000 * lines) / total) / 10, floors: floorsOf(room) };
  })
  .sort((a, b) => b.lines - a.lines);

const commands = sources.filter(({ room }) => room === "commands");
const shared = commands.filter(({ path }) => path.startsWith("commands/_"));
const elsewhere = sources.filter(({ path }) => path !== "domain/units.ts");
const UNIT = /"ober-[\w-]+\.(?:service|timer|path)"/g;

const measured = {
  lines: total,
  files: sources.length,
  "largest room, %": rooms[0]?.share ?? 0,
  "most floors in a room": Math.max(...rooms.map(({ floors }) => floors)),
  "files in commands/": commands.length,
  "files in commands/ that are not a command": shared.length,
  "imports from one command into another": sum(
    commands
      .filter(({ path }) => !path.startsWith("commands/_"))
      .map(({ imports }) => imports.filter((to) => to.startsWith("commands/") && !to.startsWith("commands/_")).length),
  ),
  "unit names typed outside domain/units.ts": count(UNIT, elsewhere),
  "files with such names": filesWith(UNIT, elsewhere),
  "unchecked JSON.parse": count(/JSON\.parse\([^)]*\)+ as /g),
  "any, non-null assertions": count(/: any\b|<any>|\w!\.|\w!;/g),
};

if (process.argv.includes("--json")) console.log(JSON.stringify({ measured, rooms }, null, 2));
else {
  for (const [what, value] of Object.entries(measured)) console.log(`${String(value).padStart(7)}  ${what}`);
  console.log("\n  lines      %  files  floors  room");
  for (const { room, files, lines, share, floors } of rooms) {
    const columns = [
      String(lines).padStart(7),
      String(share).padStart(6),
      String(files).padStart(6),
      String(floors).padStart(7),
    ];
    console.log(`${columns.join(" ")}  ${room}`);
  }
}
