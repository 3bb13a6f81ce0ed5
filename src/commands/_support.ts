import { withoutCapturedBytes } from "../domain/captured-errors.ts";
import type { Paths } from "../domain/paths.ts";
import { UNITS } from "../domain/units.ts";
import { OberError } from "../errors.ts";
import { generatedPaths } from "../render/index.ts";
import { haproxyCommand } from "../system/haproxy-socket.ts";
import type { System } from "../system/system.ts";
import { journalctl } from "./logs.ts";

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

const ANY_CODE = Array.from({ length: 256 }, (_, code) => code);

/** Everything that `support` packs beside ober's own answers. A piece that cannot be had says why in its place. */
export async function machinePieces(system: System, paths: Paths): Promise<readonly Piece[]> {
  const asked = Object.entries(ASKED).map(([name, argv]) =>
    piece(name, async () => {
      const { stdout, stderr } = await system.run(argv, { accept: ANY_CODE, timeoutMs: 20_000 });
      return `$ ${argv.join(" ")}\n${stdout}${stderr}`;
    }),
  );
  const haproxy = ["show info", "show stat", "show servers state", "show errors"].map((command) =>
    piece(`haproxy/${command.replaceAll(" ", "-")}.txt`, async () => {
      const answer = await haproxyCommand(paths.haproxySocket, command);
      return command === "show errors" ? withoutCapturedBytes(answer) : answer;
    }),
  );
  // Lists and secrets of the operator's stay here; generations hold old passwords.
  const files = [
    paths.config,
    ...generatedPaths(paths),
    paths.healthState,
    paths.drainFlag,
    paths.hold,
    "/etc/os-release",
  ].map((path) => piece(`files${path}`, async () => (await system.read(path)) ?? ""));
  const all = await Promise.all([...asked, ...haproxy, ...files]);
  return all.filter(({ text }) => text !== "");
}

export async function piece(name: string, ask: () => Promise<string>): Promise<Piece> {
  try {
    return { name, text: await ask() };
  } catch (error) {
    if (error instanceof OberError) return { name, text: `${error.message}\n` };
    throw error;
  }
}
