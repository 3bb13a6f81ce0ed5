import { assets } from "../assets.ts";
import { CONFIG_KEYS } from "../config/schema.ts";
import { withoutCapturedBytes } from "../domain/captured-errors.ts";
import { configLine, directiveLine, directivesOf, harmlessJson, harmlessLines, PIECES } from "../domain/harmless.ts";
import type { Paths } from "../domain/paths.ts";
import { redact } from "../domain/redact.ts";
import { UNITS } from "../domain/units.ts";
import { OberError } from "../errors.ts";
import { haproxyCommand, parseStat } from "../haproxy/socket.ts";
import { generatedPaths } from "../render/index.ts";
import { journalctl } from "../system/journal.ts";
import type { System } from "../system/system.ts";

export type Piece = { readonly name: string; readonly text: string };

/** Enough for the hours around an incident. */
const LOG_LINES = "5000";

/** What the machine says of itself, by the name of the file it becomes. */
const ASKED: Readonly<Record<string, readonly string[]>> = {
  "units.txt": ["systemctl", "status", "--no-pager", "--lines=0", ...UNITS.map(({ name }) => name)],
  "log.txt": journalctl({ service: "all", lines: LOG_LINES }),
  "addresses.txt": ["ip", "addr"],
  "routes.txt": ["ip", "route", "show", "table", "all"],
  "links.txt": ["ip", "-s", "link"],
  "sockets.txt": ["ss", "-tanp"],
  "sockets-summary.txt": ["ss", "-s"],
  "firewall.txt": ["nft", "list", "ruleset"],
  "disks.txt": ["df", "-h"],
  "memory.txt": ["free", "-m"],
  "load.txt": ["uptime"],
  "kernel.txt": ["uname", "-a"],
  "kernel-log.txt": ["dmesg", "--ctime"],
  "packages.txt": [
    "sh",
    "-c",
    "dpkg -l haproxy exabgp keepalived bird2 nftables || rpm -q haproxy exabgp keepalived bird nftables",
  ],
};

/** Answers that grow with the machine's connections and rules. */
const LARGE = ["ip", "ss", "nft"];
const [MOST_BYTES, MOST_LARGE] = [16 << 20, 64 << 20];

const ANY_CODE = Array.from({ length: 256 }, (_, code) => code);

/** Everything that `support` packs beside ober's own answers. A piece that cannot be had says why in its place. */
export async function machinePieces(
  system: System,
  paths: Paths,
  values: readonly string[],
): Promise<readonly Piece[]> {
  const asked = Object.entries(ASKED).map(([name, argv]) =>
    piece(name, async () => {
      const mostBytes = LARGE.includes(argv[0] ?? "") ? MOST_LARGE : MOST_BYTES;
      const options = { accept: ANY_CODE, timeoutMs: 20_000, mostBytes, cut: true };
      const { stdout, stderr, cut } = await system.run(argv, options);
      const end = cut ? `(cut here: there is more than ${mostBytes >> 20} MiB)\n` : "";
      const known = harmlessLines(stdout + stderr, PIECES[name] ?? (() => undefined), values);
      return `$ ${argv.join(" ")}\n${known}${end}`;
    }),
  );
  const haproxy = ["show info", "show stat", "show servers state", "show errors"].map((command) => {
    const name = `haproxy/${command.replaceAll(" ", "-")}.txt`;
    return piece(name, async () => {
      const answer = await haproxyCommand(paths.haproxySocket, command);
      if (command === "show errors") return withoutCapturedBytes(answer);
      if (command === "show stat") return redact(statistics(answer), values);
      return harmlessLines(answer, PIECES[name] ?? (() => undefined), values);
    });
  });
  // Lists and secrets of the operator's stay here; generations hold old passwords.
  const files = [
    paths.config,
    ...generatedPaths(paths),
    paths.healthState,
    paths.vrrpHealthState,
    paths.drainFlag,
    paths.hold,
    "/etc/os-release",
  ].map((path) =>
    piece(`files${path}`, async () => {
      const text = (await system.read(path)) ?? "";
      if (text === "") return "";
      if (OWN_JSON(paths).includes(path)) return harmlessJson(text, values);
      const filter = path === paths.config ? configLine(CONFIG_KEYS) : (PIECES[path] ?? generatedLine());
      return harmlessLines(text, filter, values);
    }),
  );
  const all = await Promise.all([...asked, ...haproxy, ...files]);
  return all.filter(({ text }) => text !== "");
}

const OWN_JSON = (paths: Paths): readonly string[] => [
  paths.healthState,
  paths.vrrpHealthState,
  paths.drainFlag,
  paths.hold,
];

const generatedLine = () => directiveLine(directivesOf(Object.values(assets)));

/** The columns that ober reads, of what HAProxy says of its servers. */
function statistics(csv: string): string {
  const rows = parseStat(csv);
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))] as (keyof (typeof rows)[number])[];
  return `# ${[columns, ...rows.map((row) => columns.map((column) => row[column] ?? ""))]
    .map((fields) => fields.map((field) => (/[",]/.test(field) ? JSON.stringify(field) : field)).join(","))
    .join("\n")}\n`;
}

/** A piece's text. One that cannot be had says why in its place. */
export async function piece(name: string, ask: () => Promise<string>): Promise<Piece> {
  try {
    return { name, text: await ask() };
  } catch (error) {
    if (error instanceof OberError) return { name, text: `${redact(error.message)}\n` };
    throw error;
  }
}
