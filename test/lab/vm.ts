/**
 * A full virtual machine on the nodes' segment, for what a container cannot show: a kernel of its own with real network devices, queues,
 * every sysctl, and a watchdog device. It runs under software emulation, so it is slow and needs nothing of the host but QEMU. It needs
 * the host's time, though: a machine that is not given any for seconds is reset by its watchdog, rightly.
 */
import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { OberError } from "../../src/errors.ts";
import { inNamespace, plugTap } from "./network.ts";
import { LOG_DIRECTORY, nodeAddress, RUN_DIRECTORY, SEGMENT } from "./places.ts";
import { type ProcessRecord, type RunResult, run, startDetached, until } from "./process.ts";
import { cacheDirectory, type Progress, tree } from "./trees.ts";

const AGENT = join(RUN_DIRECTORY, "vm.agent");
/** Under emulation, beside others' work, the agent itself takes its time. */
const ANSWER_MS = 30_000;
/** With the packages that `ober bootstrap` would install, as an image of a hoster may have them: installing under emulation takes minutes. */
const PACKAGES = [
  ...["systemd", "systemd-sysv", "dbus", "udev", "iproute2", "procps", "kmod", "ca-certificates", "util-linux"],
  ...["linux-image-cloud-amd64", "initramfs-tools", "qemu-guest-agent"],
  ...["haproxy", "exabgp", "keepalived", "bird2", "nftables"],
];

/** Starts the machine with the address of the n-th node and a second disk that holds `files`; its system is up when `vmExec` answers. */
export async function startVm(index: number, files: string, progress: Progress): Promise<ProcessRecord> {
  const root = await vmTree(progress);
  const [disk, cargo] = [await diskOf(root), join(RUN_DIRECTORY, "cargo.img")];
  await makeDisk(files, cargo, "512M");
  const tap = await plugTap("vm");
  const [kernel, initrd] = ["vmlinuz-", "initrd.img-"].map((prefix) => {
    const name = readdirSync(join(root, "boot")).find((found) => found.startsWith(prefix));
    if (name === undefined) throw new OberError(`the vm tree has no ${prefix}* in /boot`);
    return join(root, "boot", name);
  }) as [string, string];
  const address = `ip=${nodeAddress(index)}::${SEGMENT.router}:${SEGMENT.prefix}:vm:eth0:off`;
  const append = `root=/dev/vda rw console=ttyS0 net.ifnames=0 ${address}`;
  const machine = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "4096"];
  const devices = [
    ...["-drive", `file=${disk},if=virtio,format=raw,snapshot=on`, "-drive", `file=${cargo},if=virtio,format=raw`],
    ...["-netdev", `tap,id=lan,ifname=${tap},script=no,downscript=no`, "-device", "virtio-net-pci,netdev=lan"],
    ...["-chardev", `socket,id=agent,path=${AGENT},server=on,wait=off`, "-device", "virtio-serial"],
    ...["-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"],
    ...["-device", "i6300esb", "-action", "watchdog=reset"],
  ];
  const boot = ["-kernel", kernel, "-initrd", initrd, "-append", append, "-display", "none", "-serial", "stdio"];
  const argv = inNamespace("switch", [...machine, ...devices, ...boot, "-monitor", "none"]);
  return startDetached(argv, join(LOG_DIRECTORY, "vm.log"));
}

/** Waits until the machine's system runs and answers; returns its boot id. */
export async function vmIsUp(timeoutMs: number): Promise<string> {
  return until(
    "the virtual machine is up",
    async () => {
      const { stdout } = await vmExec("systemctl is-system-running --wait >&2; cat /proc/sys/kernel/random/boot_id", {
        accept: [0],
        timeoutMs: 60_000,
      });
      return stdout.trim();
    },
    timeoutMs,
    500,
  );
}

/** Runs a shell command as root in the machine, through QEMU's guest agent. Throws when it ends with a code not in `accept`. */
export async function vmExec(
  script: string,
  options: { readonly accept?: readonly number[]; readonly timeoutMs?: number } = {},
): Promise<RunResult> {
  const { accept = [0], timeoutMs = 120_000 } = options;
  const deadline = performance.now() + timeoutMs;
  const argument = { path: "/bin/sh", arg: ["-c", script], "capture-output": true };
  const { pid } = (await ask("guest-exec", argument, ANSWER_MS)) as { pid: number };
  for (;;) {
    const done = (await ask("guest-exec-status", { pid }, ANSWER_MS)) as {
      exited: boolean;
      exitcode?: number;
      "out-data"?: string;
      "err-data"?: string;
    };
    if (done.exited) {
      const [stdout, stderr] = [done["out-data"], done["err-data"]].map((data) => atob(data ?? "")) as [string, string];
      const code = done.exitcode ?? 255;
      if (!accept.includes(code))
        throw new OberError(`in the machine, \`${script}\` ended with ${code}:\n${stdout}${stderr}`);
      return { code, stdout, stderr };
    }
    if (performance.now() > deadline)
      throw new OberError(`in the machine, \`${script}\` did not end in ${timeoutMs} ms`);
    await Bun.sleep(100);
  }
}

/** One question to the guest agent: https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html */
function ask(execute: string, argument: object, timeoutMs: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(AGENT);
    // What an earlier question left behind in the channel is not this one's answer.
    const id = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    let heard = "";
    const end = (error: Error | undefined, value?: unknown) => {
      clearTimeout(timer);
      socket.destroy();
      if (error) reject(error);
      else resolve(value);
    };
    const timer = setTimeout(() => end(new OberError(`the machine's agent is silent to ${execute}`)), timeoutMs);
    socket.on("error", (error) => end(error));
    socket.on("connect", () => {
      const sync = { execute: "guest-sync", arguments: { id } };
      socket.write(`${JSON.stringify(sync)}\n${JSON.stringify({ execute, arguments: argument })}\n`);
    });
    let synchronised = false;
    socket.on("data", (data) => {
      heard += data.toString("latin1");
      const lines = heard.split("\n");
      heard = lines.pop() ?? "";
      for (const line of lines) {
        const answer = readAnswer(line);
        if (!synchronised) synchronised = answer?.return === id;
        else if (answer?.error) end(new OberError(`the machine's agent refuses ${execute}: ${answer.error.desc}`));
        else if (answer) end(undefined, answer.return);
      }
    });
  });
}

function readAnswer(line: string): { return?: unknown; error?: { desc: string } } | undefined {
  try {
    return JSON.parse(line.replace(/^[^{]*/, ""));
  } catch (error) {
    // Half a line of before the synchronisation.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function vmTree(progress: Progress): Promise<string> {
  const customize = [
    // The generator takes the address from the kernel's command line, so that it is the same again after a reset.
    'systemctl --root="$1" enable systemd-networkd.service systemd-network-generator.service',
    'rm -f "$1/etc/machine-id" && touch "$1/etc/machine-id"',
    'echo vm > "$1/etc/hostname"',
    'rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*',
  ].join(" && ");
  const argv = ["--variant=minbase", `--include=${PACKAGES.join(",")}`, `--customize-hook=${customize}`];
  return tree({ kind: "vm", release: "trixie", argv, progress });
}

/** The tree as a disk; made once, and never written: the machine writes to a layer that goes with it. */
async function diskOf(root: string): Promise<string> {
  const disk = `${root}.ext4`;
  if (existsSync(disk)) return disk;
  const building = join(cacheDirectory(), `building-${process.pid}-vm.ext4`);
  await makeDisk(root, building, "3G");
  renameSync(building, disk);
  return disk;
}

async function makeDisk(directory: string, image: string, size: string): Promise<void> {
  mkdirSync(RUN_DIRECTORY, { recursive: true });
  await run(["rm", "-f", image]);
  await run(["mkfs.ext4", "-q", "-d", directory, image, size], { timeoutMs: 300_000 });
}
