import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { isAddress } from "../../domain/address.ts";

const DAYS = 365;

/**
 * A placeholder certificate with its key, so that HAProxy can start before there is a real one: ECDSA P-256, self-signed, and marked by
 * its organization. PEM.
 */
export async function selfSigned(names: readonly string[], organization: string, now: Date): Promise<string> {
  x509.cryptoProvider.set(webcrypto as unknown as Crypto);
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(15)))
      .toString("hex")
      .padStart(32, "01"),
    name: [{ CN: [names[0] ?? "ober"] }, { O: [organization] }],
    // Backdated, so that it is valid for clients whose clock is a little behind.
    notBefore: new Date(now.getTime() - 3_600_000),
    notAfter: new Date(now.getTime() + DAYS * 86_400_000),
    keys: keys as CryptoKeyPair,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isAddress(value) ? ("ip" as const) : ("dns" as const), value })),
      ),
    ],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  const body = key.replace(/(.{64})/g, "$1\n").trim();
  return `${certificate.toString("pem").trim()}\n-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`;
}
