/** The VIP's TLS certificate: ECDSA P-256, self-signed, new for every lab; the clients trust exactly it. */
import { join } from "node:path";
import { SHARED_DIRECTORY, TOOLS_ROOT, VIP, VIP_NAME } from "./places.ts";
import { run } from "./process.ts";

/** Certificate and key in one file, as HAProxy reads them; and the certificate alone, as clients do. */
export const PEM_FILE = join(SHARED_DIRECTORY, "vip.pem");
export const CA_FILE = join(SHARED_DIRECTORY, "ca.pem");

export async function makeCertificate(): Promise<void> {
  const newKey = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90"];
  const names = ["-subj", `/CN=${VIP_NAME}`, "-addext", `subjectAltName=DNS:${VIP_NAME},DNS:*.${VIP_NAME},IP:${VIP}`];
  const files = ["-keyout", "/lab/vip.key", "-out", "/lab/ca.pem"];
  await run(["chroot", TOOLS_ROOT, "openssl", "req", ...newKey, ...names, ...files]);
  const [certificate, key] = [await Bun.file(CA_FILE).text(), await Bun.file(join(SHARED_DIRECTORY, "vip.key")).text()];
  await Bun.write(PEM_FILE, certificate + key, { mode: 0o600 });
}
