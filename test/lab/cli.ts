/** `scripts/lab`: the lab from a shell, to rehearse failures. */
import { spawnSync } from "node:child_process";
import { OberError, UsageError } from "../../src/errors.ts";
import { attach, down, up } from "./lab.ts";
import { inTools } from "./network.ts";
import { CLIENT, LOG_DIRECTORY, SHARED_DIRECTORY, VIP } from "./places.ts";
import { isAlive } from "./process.ts";
import { showRoute } from "./router.ts";
import { type Progress, RELEASES, type Release } from "./trees.ts";

const HELP = `usage: scripts/lab COMMAND

  up [--nodes N] [--release ${RELEASES.join("|")}] [--disk memory|cache]
                       bare Debian nodes n1 n2 .., an ECMP router, a client, Ceph RGW
  down                 end and remove all of it
  status               what runs, and the router's route to ${VIP}
  exec HOST [CMD ..]   run CMD (a shell without one) on a node, or on router, client or rgw
  kill NODE            power loss; the disk stays
  boot NODE            switch it on again
  cut NODE             pull its cable (frames stop, no link goes down); mend puts it back
  carrier NODE         take its switch port down; mend brings it up
  mend NODE
  freeze NODE          stop every process of it; thaw lets them run on
  thaw NODE
  rgw start|stop|hang|resume N   one RGW endpoint
`;

const COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  up: async (args) => {
    const options = readOptions(args, ["--nodes", "--release", "--disk"]);
    const lab = await up({
      progress: sayProgress(),
      ...(options["--nodes"] === undefined ? {} : { nodes: Number(options["--nodes"]) }),
      ...(options["--release"] === undefined ? {} : { release: oneOf(options["--release"], RELEASES) as Release }),
      ...(options["--disk"] === undefined
        ? {}
        : { disk: oneOf(options["--disk"], ["memory", "cache"]) as "memory" | "cache" }),
    });
    lab.keep();
    await COMMANDS["status"]?.([]);
  },
  down: async () => down(),
  status: async () => {
    const lab = attach();
    for (const node of lab.nodes()) say(`${node.name}  ${node.address}  ${node.isOn() ? "on" : "off"}`);
    for (const [name, record] of Object.entries(lab.services())) say(`${name}  ${isAlive(record) ? "on" : "off"}`);
    say(`client  ${CLIENT.address}`);
    say((await showRoute(VIP)) || `the router has no route to ${VIP}`);
    say(`logs: ${LOG_DIRECTORY}   files shared with router, client and rgw: ${SHARED_DIRECTORY}`);
  },
  exec: async ([host = "", ...words]) => {
    const lab = attach();
    const argv = words.length === 0 ? ["bash", "-l"] : words;
    const outside = ["router", "client", "rgw"].includes(host);
    const [program = "", ...rest] = outside ? inTools(host, argv) : lab.node(host).enter(argv);
    process.exitCode = spawnSync(program, rest, { stdio: "inherit" }).status ?? 1;
  },
  kill: async ([name = ""]) => attach().node(name).powerOff(),
  boot: async ([name = ""]) => attach().node(name).boot(),
  cut: async ([name = ""]) => attach().node(name).cut(),
  carrier: async ([name = ""]) => attach().node(name).dropCarrier(),
  mend: async ([name = ""]) => attach().node(name).mend(),
  freeze: async ([name = ""]) => attach().node(name).freeze(),
  thaw: async ([name = ""]) => attach().node(name).thaw(),
  rgw: async ([action = "", number = ""]) => {
    const lab = attach();
    const index = Number(number);
    const actions: Readonly<Record<string, () => void | Promise<void>>> = {
      start: () => lab.startEndpoint(index),
      stop: () => lab.stopEndpoint(index),
      hang: () => lab.hangEndpoint(index),
      resume: () => lab.resumeEndpoint(index),
    };
    const chosen = actions[action];
    if (chosen === undefined) throw new UsageError(`unknown action '${action}'`, "start, stop, hang or resume");
    await chosen();
  },
};

/** Progress lines with the seconds since the start, on stderr. */
export function sayProgress(): Progress {
  const start = performance.now();
  return (line) => process.stderr.write(`${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s  ${line}\n`);
}

function readOptions(args: readonly string[], known: readonly string[]): Readonly<Record<string, string>> {
  const options: Record<string, string> = {};
  for (let position = 0; position < args.length; position += 2) {
    const [name = "", value] = args.slice(position);
    if (!known.includes(name)) throw new UsageError(`unknown option '${name}'`, `known: ${known.join(", ")}`);
    if (value === undefined) throw new UsageError(`${name} needs a value`);
    options[name] = value;
  }
  return options;
}

function oneOf(value: string, allowed: readonly string[]): string {
  if (!allowed.includes(value)) throw new UsageError(`'${value}' is none of ${allowed.join(", ")}`);
  return value;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main([command = "", ...args]: readonly string[]): Promise<void> {
  const chosen = COMMANDS[command];
  if (["", "help", "--help", "-h"].includes(command)) return say(HELP);
  if (chosen === undefined) throw new UsageError(`unknown command '${command}'`, "scripts/lab --help");
  await chosen(args);
}

if (import.meta.main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    process.stderr.write(`error: ${error.message}\n${error.hint === undefined ? "" : `hint:  ${error.hint}\n`}`);
    process.exitCode = error.exitCode;
  }
}
