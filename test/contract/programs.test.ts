/**
 * Programs that hang, leave a child behind, print without end, or fail silently: each costs only its own part of a command's output, and some
 * seconds, and leaves nothing behind. Times are compared with the same command with healthy programs.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runProcess } from "../../src/system/process.ts";
import { temporaryDirectory, until } from "../helpers/health.ts";
import { type Said, stageAmongPeers, VIP } from "./_stage.ts";

const bgp = stageAmongPeers();

/** The ways to fail. `$STAGE/bin` has the program that is well. */
const WAYS = {
  hangs: "trap '' TERM; sleep 600 & echo $! >> \"$PIDS\"; wait",
  "leaves a child": 'sleep 600 & echo $! >> "$PIDS"; exec "$WELL" "$@"',
  "leaves a child that speaks": '(while :; do echo more >&2; sleep 0.1; done) & echo $! >> "$PIDS"; exec "$WELL" "$@"',
  "says without end": "exec yes 0123456789012345678901234567890123456789",
  "fails without a word": "exit 1",
} as const;
type Way = keyof typeof WAYS;

/** What each command shows of what it asks each program for; the rest must be there whichever of them fails. */
const SHOWS: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  status: {
    systemctl: /^ober-http\.service +active/m,
    ip: new RegExp(`^${VIP} .* present `, "m"),
    birdc: /^10\.77\.0\.1 .*\bUp$/m,
    nft: /connection handover: idle/,
    ss: /of 20000 connections/,
    "": /^s3 +10\.66\.0\.11:7480 +UP/m,
  },
  why: {
    systemctl: /^ok +units +ober-vip/m,
    ip: /^ok +VIP addresses +all on/m,
    birdc: /^ok +BFD sessions +up/m,
    ss: /^ok +clients/m,
    nft: /^ok +RGWs +2 of 2/m,
    "": /^ok +routes/m,
  },
  metrics: {
    systemctl: /^ober_unit_active\{unit="ober-http\.service"\} 1/m,
    ip: /^ober_vip_on_interface\{vip="10\.99\.0\.100"\} 1/m,
    birdc: /^ober_bfd_session_up\{neighbor="10\.77\.0\.1"\} 1/m,
    ss: /^ober_client_connections 9/m,
    nft: /^ober_healthy 1/m,
    "": /^ober_backend_servers_up\{backend="s3"\} 2/m,
  },
  doctor: {
    systemctl: /^ok +units +all active/m,
    haproxy: /^ok +RGWs +2 of 2/m,
    exabgp: /^ok +ober\.yaml +valid/m,
    keepalived: /^ok +ober\.yaml +valid/m,
    bird: /^ok +ober\.yaml +valid/m,
    timedatectl: /^ok +clock +synchronized/m,
    df: /^ok +disk space +ok, /m,
    birdc: /^ok +BFD sessions +up/m,
    ip: /^ok +VIP addresses +all on/m,
    "": /^ok +secrets +/m,
  },
  "status --all": { ip: /^10\.77\.0\.11 +serves/m, "": /^10\.77\.0\.12 +serves/m },
  "--version": { haproxy: /HAProxy 3\.0\.11/, exabgp: /ExaBGP 4\.2\.25/, keepalived: /keepalived 2\.3\.3/ },
};

/** What a command cannot know where it does not know this. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {};

/** A program is ended after 3.5 s, and a question is given up after 4 s. */
const PATIENCE_MS: Readonly<Record<string, number>> = { "--version": 8_000, "status --all": 5_000 };

/** All of them with OBER_ROUNDS; the suite proves each program with each command, and each way with those that look at everything. */
const ALL = Number(process.env["OBER_ROUNDS"] ?? 1) > 1;
const USUAL: readonly Way[] = ["hangs", "leaves a child that speaks", "says without end", "fails without a word"];
const FEW: Readonly<Record<string, readonly Way[]>> = {
  doctor: ["hangs", "leaves a child that speaks"],
  metrics: ["hangs"],
  "--version": ["hangs", "says without end"],
};

const cases = Object.entries(SHOWS).flatMap(([command, shows]) =>
  Object.keys(shows)
    .filter((program) => program !== "")
    .flatMap((program) => (Object.keys(WAYS) as Way[]).map((way) => ({ command, program, way })))
    .filter(({ way }) => ALL || (FEW[command] ?? USUAL).includes(way)),
);

/** How many run at once: half of the time they wait. */
const AT_ONCE = 4;

async function each<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await act(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** A zombie has ended too. */
function runs(pid: string): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) Z /.test(readFileSync(stat, "utf8"));
}

test("each command ends in time, shows the rest and leaves nothing, whichever program fails", async () => {
  const usual = new Map<string, Said>();
  for (const command of Object.keys(SHOWS)) {
    await bgp().ober(command.split(" "));
    usual.set(command, await bgp().ober(command.split(" ")));
  }
  const wrong: string[] = [];
  let left = 0;
  await each(cases, async ({ command, program, way }) => {
    const name = `${command}-${program}-${way}`.replaceAll(/\W+/g, "-");
    const pids = join(bgp().directory, `left-${name}`);
    const path = `${join(bgp().directory, "bin")}:/usr/sbin:/usr/bin:/sbin:/bin`;
    const body = `PIDS=${pids}; WELL=${Bun.which(program, { PATH: path })}\n${WAYS[way]}`;
    const before = bgp().programs(`bad-${name}`, { [program]: body });
    const seen = await bgp().ober(command.split(" "), { before });
    const complain = (what: string) => void wrong.push(`${command}, ${program} ${way}: ${what}`);
    const limit = (PATIENCE_MS[command] ?? 5_000) + AT_ONCE * (usual.get(command)?.ms ?? 0);
    if (seen.ms > limit) complain(`took ${seen.ms} ms of ${limit}`);
    if (![0, 1].includes(seen.code)) complain(`ended with ${seen.code}: ${seen.stderr}`);
    if (seen.rssMb > 2 * (usual.get(command)?.rssMb ?? 0) + 32) complain(`took ${seen.rssMb} MB`);
    const stays = way === "leaves a child" || way === "leaves a child that speaks";
    for (const [of, pattern] of Object.entries(SHOWS[command] ?? {})) {
      const same = of === program || NEEDS[`${command} ${program}`]?.includes(of);
      if ((stays || !same) && !pattern.test(seen.stdout))
        complain(`does not show ${pattern}:\n${seen.stdout}${seen.stderr}`);
    }
    const started = existsSync(pids) ? readFileSync(pids, "utf8").trim().split("\n") : [];
    left += started.length;
    await until(`nothing is left of ${name}`, () => started.every((pid) => !runs(pid))).catch(() =>
      complain(`left ${started.filter(runs).length} of ${started.length}`),
    );
  });
  expect(wrong).toEqual([]);
  // The stand-ins were asked, and did leave something.
  expect(left).toBeGreaterThan(40);
}, 120_000);

describe("a program that ober runs", () => {
  test("is the first of a session of its own, and hears of Ctrl-C by ober", async () => {
    using directory = temporaryDirectory();
    const pids = join(directory.path, "pids");
    const script = `
      import { runProcess } from ${JSON.stringify(join(import.meta.dirname, "../../src/system/process.ts"))};
      process.once("SIGINT", () => process.exit(130));
      await runProcess(["sh", "-c", "sleep 600 & echo $$ $! > ${pids}; wait"]);`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
    const written = () => (existsSync(pids) ? readFileSync(pids, "utf8").trim() : "");
    const started = (await until("it runs", written)).split(" ");
    expect(readFileSync(`/proc/${started[0]}/stat`, "utf8").split(") ")[1]?.split(" ").slice(2, 4)).toEqual([
      started[0] as string,
      started[0] as string,
    ]);
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
    await until("both have ended", () => started.every((pid) => !runs(pid)));
  }, 20_000);

  test("is asked to end before it is ended", async () => {
    using directory = temporaryDirectory();
    const said = join(directory.path, "said");
    const script = `trap 'echo asked > ${said}; exit 0' TERM; while :; do sleep 0.05; done`;
    await runProcess(["sh", "-c", script], { timeoutMs: 300 }).catch(() => {});
    expect(readFileSync(said, "utf8")).toBe("asked\n");
  }, 20_000);

  test("that is gentle keeps what it leaves, and has its time to end", async () => {
    using directory = temporaryDirectory();
    const [said, pids] = [join(directory.path, "said"), join(directory.path, "pids")];
    await runProcess(["sh", "-c", `sleep 600 & echo $! > ${pids}`], { gentle: true });
    const pid = readFileSync(pids, "utf8").trim();
    expect(runs(pid)).toBe(true);
    process.kill(Number(pid), "SIGKILL");
    const slow = `trap 'sleep 1; echo done > ${said}; exit 0' TERM; while :; do sleep 0.05; done`;
    await runProcess(["sh", "-c", slow], { gentle: true, timeoutMs: 300 }).catch(() => {});
    expect(readFileSync(said, "utf8")).toBe("done\n");
  }, 20_000);
});
