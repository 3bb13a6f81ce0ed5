import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProcess } from "../../src/system/process.ts";

/** Certificate and key in one PEM, made for the test. `days` may be negative for one that has expired. */
export async function selfSigned(name: string, days = 30): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "ober-pem-"));
  const [key, certificate] = [join(directory, "key"), join(directory, "certificate")];
  try {
    await runProcess([
      ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...[
        "-subj",
        `/CN=${name}`,
        "-addext",
        `subjectAltName=DNS:${name}`,
        "-days",
        `${days}`,
        "-keyout",
        key,
        "-out",
        certificate,
      ],
    ]);
    return readFileSync(certificate, "utf8") + readFileSync(key, "utf8");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
