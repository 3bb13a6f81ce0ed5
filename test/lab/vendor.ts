/** Repositories laid out as HAProxy's vendor lays out its own, signed with keys made here, behind a web server on the nodes' segment. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Lab, LabNode } from "./lab.ts";
import { inNamespace } from "./network.ts";
import { LOG_DIRECTORY, RUN_DIRECTORY, SEGMENT, SHARED_DIRECTORY, TOOLS_ROOT } from "./places.ts";
import { end, run, startDetached, until } from "./process.ts";

const PORT = 8443;
const ROOT = join(RUN_DIRECTORY, "vendor");
export const VENDOR_URL = `https://${SEGMENT.neighbour}:${PORT}/performance`;
export const VENDOR_VERSION = "3.4.4";

export type SigningKey = { readonly home: string; readonly fingerprint: string; readonly armoured: string };

/** A key of its own, in a keyring of its own. */
export async function makeKey(name: string): Promise<SigningKey> {
  mkdirSync(ROOT, { recursive: true });
  const home = mkdtempSync(join(ROOT, "gpg-"));
  chmodSync(home, 0o700);
  const gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""];
  await run([...gpg, "--quick-generate-key", `${name} <${name}@example.org>`, "rsa3072", "sign", "never"]);
  const { stdout } = await run([...gpg, "--with-colons", "--list-keys"]);
  const { stdout: armoured } = await run([...gpg, "--armor", "--export"]);
  return { home, fingerprint: /^fpr:+([0-9A-F]{40}):/m.exec(stdout)?.[1] ?? "", armoured };
}

/** Ends the agents that gpg has started for the keys, and removes all of it. */
export async function removeVendor(): Promise<void> {
  if (!existsSync(ROOT)) return;
  for (const name of readdirSync(ROOT).filter((each) => each.startsWith("gpg-")))
    await run(["gpgconf", "--homedir", join(ROOT, name), "--kill", "all"]);
  rmSync(ROOT, { recursive: true, force: true });
}

/** Serves the repositories; nodes that were given `trustVendor` believe in the server. */
export async function startVendor(lab: Lab): Promise<void> {
  const files = join(ROOT, "files");
  mkdirSync(files, { recursive: true });
  const key = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90"];
  const names = ["-subj", "/CN=vendor", "-addext", `subjectAltName=IP:${SEGMENT.neighbour}`];
  const out = ["-keyout", "/lab/vendor.key", "-out", "/lab/vendor.pem"];
  await run(["chroot", TOOLS_ROOT, "openssl", "req", ...key, ...names, ...out]);
  const [cert, secret] = ["vendor.pem", "vendor.key"].map((name) => join(SHARED_DIRECTORY, name)) as [string, string];
  const program = [process.execPath, join(import.meta.dirname, "files-server.ts")];
  const argv = inNamespace("neighbour", [...program, SEGMENT.neighbour, String(PORT), files, cert, secret]);
  await restart(lab, "vendor", argv);
  const ask = ["curl", "-s", "-o", "/dev/null", "--cacert", cert, `${VENDOR_URL}/`];
  await until(
    "the vendor's server answers",
    async () => (await run(inNamespace("neighbour", ask), { accept: [0, 7] })).code === 0,
    10_000,
  );
}

/** Starts a server in the place of one that an earlier file has left; returns the file of what it says. */
async function restart(lab: Lab, name: string, argv: readonly string[]): Promise<string> {
  const former = lab.services()[name];
  if (former) await end(former, 0);
  const log = join(LOG_DIRECTORY, `${name}.log`);
  await Bun.write(log, "");
  await lab.service(name, async () => startDetached(argv, log));
  return log;
}

/** Serves a directory by plain HTTP to whoever asks for it as a proxy; returns its URL and what was asked so far. */
export async function startProxy(lab: Lab, directory: string) {
  const program = [process.execPath, join(import.meta.dirname, "files-server.ts")];
  const argv = inNamespace("neighbour", [...program, SEGMENT.neighbour, "3128", directory]);
  const log = await restart(lab, "proxy", argv);
  const url = `http://${SEGMENT.neighbour}:3128`;
  const ask = inNamespace("neighbour", ["curl", "-s", "-o", "/dev/null", url]);
  await until("the proxy answers", async () => (await run(ask, { accept: [0, 7] })).code === 0, 10_000);
  return { url, requests: () => readFileSync(log, "utf8").split("\n").filter(Boolean) };
}

export async function trustVendor(node: LabNode): Promise<void> {
  await run([
    "cp",
    join(SHARED_DIRECTORY, "vendor.pem"),
    join(node.root, "usr/local/share/ca-certificates/vendor.crt"),
  ]);
  await node.exec(["update-ca-certificates"]);
}

/** Offers `key` where the vendor offers its own. */
export async function offerKey({ armoured }: SigningKey): Promise<void> {
  await Bun.write(join(ROOT, "files/HAPROXY-key-community.asc"), armoured);
}

/** The node's HAProxy as the vendor's package of a later version, in a repository for apt signed with `key`. */
export async function publishForApt(
  node: LabNode,
  key: SigningKey,
  { id, codename }: { id: string; codename: string },
): Promise<void> {
  const script = `set -e
    rm -rf "$0" && mkdir -p "$0/pool" "$0/dists/${codename}/main/binary-amd64"
    dpkg-deb -R "$(ls "$1"/haproxy_*.deb | tail -n 1)" "$0/tree"
    sed -i 's/^Package: .*/Package: haproxy-awslc\\nConflicts: haproxy\\nReplaces: haproxy/; s/^Version: .*/Version: ${VENDOR_VERSION}-0+ha34/' "$0/tree/DEBIAN/control"
    dpkg-deb --root-owner-group -b "$0/tree" "$0/pool/haproxy-awslc_${VENDOR_VERSION}_amd64.deb"
    rm -r "$0/tree"
    cd "$0"
    apt-ftparchive packages pool > dists/${codename}/main/binary-amd64/Packages
    apt-ftparchive -o APT::FTPArchive::Release::Codename=${codename} -o APT::FTPArchive::Release::Architectures=amd64 -o APT::FTPArchive::Release::Components=main release dists/${codename} > Release
    mv Release dists/${codename}/Release
    gpg --homedir ${key.home} --batch --quiet --digest-algo SHA512 --clearsign --output dists/${codename}/InRelease dists/${codename}/Release`;
  await run(["sh", "-c", script, join(ROOT, "files/performance", id, "ha34"), join(node.root, "srv/repo")]);
}

/** The node's HAProxy as the vendor's package, in a repository for dnf; the package is signed with `key`. */
export async function publishForDnf(node: LabNode, key: SigningKey): Promise<void> {
  const script = `set -e
    rm -rf "$0" && mkdir -p "$0" && cp "$1"/haproxy-awslc-*.rpm "$0"
    rpmsign --define '__gpg /usr/bin/gpg' --define '_gpg_path ${key.home}' --define '_gpg_name ${key.fingerprint}' --addsign "$0"/*.rpm
    createrepo_c --quiet "$0"`;
  await run(["sh", "-c", script, join(ROOT, "files/performance/rhel/ha34/el10/x86_64"), join(node.root, "srv/vendor")]);
}
