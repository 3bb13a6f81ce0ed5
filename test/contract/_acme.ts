/** A CA (Debian's pebble) and the name servers of a domain (BIND, with a second server that is late), in the network of the test. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makePki } from "../helpers/pki.ts";
import { prepareHost } from "../lab/host.ts";
import { run, until } from "../lab/process.ts";
import { tree } from "../lab/trees.ts";
import type { Step } from "./_acme-run.ts";

export const DOMAIN = "s3.example.test";
export const DIRECTORY = "https://ca.example.test:14000/dir";
const KEY_NAME = "ober-key";
export const EAB = { kid: "kid-1", hmac: "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W" };

export async function acmeTree(): Promise<string> {
  await prepareHost((line) => process.stderr.write(`${line}\n`));
  const packages = "pebble,bind9,bind9-dnsutils,python3-moto,python3-flask,python3-flask-cors,ca-certificates";
  return tree({
    kind: "acme",
    release: "trixie",
    argv: ["--variant=minbase", `--include=${packages}`],
    progress: (line) => process.stderr.write(`${line}\n`),
  });
}

export type Authority = Awaited<ReturnType<typeof startAuthority>>;
export type Answer = { readonly result?: unknown; readonly error?: string; readonly hint?: string };

export type Place = {
  /** Where CA and name server listen. */
  readonly address: string;
  /** Where the second name server does, which is late. */
  readonly second?: string;
  /** The prefix of a command that runs in their network. */
  readonly within: readonly string[];
};

/** All its files are in a directory inside the tree; `dispose` removes them. */
export async function startAuthority(
  root: string,
  { address, second, within }: Place = { address: "127.0.0.1", second: "127.0.0.2", within: [] },
) {
  // A name server listens on addresses that an interface has.
  if (second) await run([...within, "ip", "address", "add", `${second}/32`, "dev", "lo"]);
  const inside = `/tmp/ober-acme-${process.pid}`;
  const directory = root + inside;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o777);
  const put = (name: string, text: string, mode = 0o644) => {
    writeFileSync(join(directory, name), text, { mode });
    return join(directory, name);
  };
  const children: Bun.Subprocess[] = [];
  const spawn = (argv: readonly string[], env: Record<string, string> = {}) => {
    const child = Bun.spawn([...within, "chroot", root, ...argv], {
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", ...env },
      stdin: "ignore",
      stdout: "ignore",
      stderr: Bun.file(join(directory, "log")),
    });
    children.push(child);
    return child;
  };

  // The CA's own TLS certificate.
  const pki = await makePki(["ca.example.test", "DNS:ca.example.test"]);
  const caFile = put("ca.pem", pki("root.crt"));
  put("tls.pem", pki("named.crt") + pki("middle.crt"));
  put("tls.key", pki("named.key"));
  const settings = {
    listenAddress: `${address}:14000`,
    managementListenAddress: `${address}:15000`,
    certificate: `${inside}/tls.pem`,
    privateKey: `${inside}/tls.key`,
    httpPort: 5002,
    tlsPort: 5001,
    ocspResponderURL: "",
    externalAccountBindingRequired: false,
    certificateValidityPeriod: 90 * 86_400,
    retryAfter: { authz: 1, order: 1 },
    domainBlocklist: ["blocked.example.test"],
  };
  let pebble: Bun.Subprocess | undefined;

  const { stdout: tsig } = await run(["chroot", root, "tsig-keygen", KEY_NAME]);
  const keyFile = put("tsig.key", tsig, 0o600);
  const zone = `$TTL 1\n@ SOA ns root 1 3 1 100 1\n@ NS ns\n${second ? `@ NS ns2\nns2 A ${second}\n` : ""}ns A ${address}\nca A ${address}\n_acme-challenge.alias CNAME proof\n`;
  const zoneOf = (type: string) => `zone "example.test" { ${type} };`;
  put("zone", zone, 0o666);
  put(
    "named.conf",
    `${tsig}
options { directory "${inside}"; recursion no; listen-on { ${address}; ${second ? `${second}; ` : ""}}; listen-on-v6 { none; }; pid-file none; session-keyfile none; dnssec-validation no; };
controls {};
${second ? `view late { match-destinations { ${second}; }; ${zoneOf(`type secondary; primaries { ${address}; }; file "late"; masterfile-format text; max-refresh-time 3; min-refresh-time 3;`)} };` : ""}
view first { match-destinations { any; }; ${zoneOf(`type primary; file "zone"; allow-update { key "${KEY_NAME}"; }; allow-transfer { any; }; notify no;`)} };
`,
  );
  const resolv = put("resolv.conf", `nameserver ${address}\noptions timeout:1 attempts:1\n`);
  const hosts = put("hosts", `127.0.0.1 localhost\n${address} ca.example.test\n`);
  const passwd = put("passwd", `root:x:0:0:root:${join(directory, "home")}:/bin/sh\n`);
  // nsupdate as a node has it; the tree is another system, so it gets the key by the same path.
  mkdirSync(join(directory, "bin"));
  put(
    "bin/nsupdate",
    `#!/bin/sh\nfor word; do shift; set -- "$@" "\${word#${root}}"; done\nexec chroot ${root} nsupdate "$@"\n`,
    0o755,
  );
  spawn(["named", "-g", "-c", `${inside}/named.conf`]);
  const dig = async (name: string, server = address) =>
    (
      await run([...within, "chroot", root, "dig", "+short", "+time=1", "+tries=1", `@${server}`, name, "TXT"], {
        accept: [0, 9],
      })
    ).stdout.trim();
  const soa = async (server: string) =>
    (
      await run(
        [...within, "chroot", root, "dig", "+short", "+time=1", "+tries=1", `@${server}`, "example.test", "SOA"],
        {
          accept: [0, 9],
        },
      )
    ).stdout;
  await until(
    "both name servers answer",
    async () => /ns\.example/.test(await soa(address)) && (!second || /ns\.example/.test(await soa(second))),
    20_000,
  );

  return {
    directory,
    caFile,
    keyFile,
    put,
    dig,
    spawn,
    pki,
    /** Restarts pebble without its state. */
    async pebble(
      options: Partial<typeof settings> & { readonly externalAccountMACKeys?: Record<string, string> } = {},
      env: Record<string, string> = {},
      dns = `${address}:53`,
    ) {
      pebble?.kill("SIGKILL");
      await pebble?.exited;
      put("pebble.json", JSON.stringify({ pebble: { ...settings, ...options } }));
      pebble = spawn(["pebble", "-config", `${inside}/pebble.json`, "-dnsserver", dns], {
        PEBBLE_VA_NOSLEEP: "1",
        PEBBLE_WFE_NONCEREJECT: "0",
        PEBBLE_AUTHZREUSE: "0",
        ...env,
      });
      // Not with fetch: bun runs it in a thread that stayed in the previous network.
      const answers = async () =>
        (await run([...within, "curl", "-ks", `https://${address}:14000/dir`], { accept: [0, 7, 35] })).code === 0;
      await until("pebble answers", answers, 20_000);
    },
    stopPebble: async () => {
      pebble?.kill("SIGKILL");
      await pebble?.exited;
    },
    /** Runs a step with these name servers, and with this home of root's. */
    async step(step: Step, env: Record<string, string> = {}): Promise<Answer> {
      const script =
        'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/passwd && shift 2 && exec "$@"';
      const argv = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        script,
        resolv,
        hosts,
        passwd,
        process.execPath,
        join(import.meta.dir, "_acme-run.ts"),
        JSON.stringify(step),
      ];
      const path = `${join(directory, "bin")}:${process.env["PATH"]}`;
      const { stdout, stderr } = await run(argv, {
        env: { HOME: join(directory, "home"), ...env, PATH: path },
        timeoutMs: 120_000,
      });
      try {
        return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Answer;
      } catch {
        throw new Error(`the step said: ${stdout}${stderr}`);
      }
    },
    log: () => readFileSync(join(directory, "log"), "utf8"),
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map((child) => child.exited));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export const temporaryRoot = () => mkdtempSync(join(tmpdir(), "ober-acme-"));
