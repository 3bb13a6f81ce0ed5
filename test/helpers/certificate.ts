import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProcess } from "../../src/system/process.ts";

/** Certificate and key in one PEM, made for the test. With `days` of -1 it has expired. */
export async function selfSigned(name: string, days = 30): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "ober-pem-"));
  const [key, certificate] = [join(directory, "key"), join(directory, "certificate")];
  try {
    const names = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`];
    const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key];
    const request = join(directory, "request");
    await runProcess(["openssl", "req", "-new", ...newKey, ...names, "-out", request]);
    const signed = ["-copy_extensions", "copyall", "-signkey", key, "-out", certificate];
    await runProcess(["openssl", "x509", "-req", "-in", request, "-days", `${days}`, ...signed]);
    return readFileSync(certificate, "utf8") + readFileSync(key, "utf8");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
