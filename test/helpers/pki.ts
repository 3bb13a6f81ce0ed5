/**
 * A CA with an intermediate, and certificates of every kind that operators bring along, made by openssl: for the test, or once for all in
 * pki-made.json (`bun test/helpers/pki.ts` makes that anew). Their keys guard nothing.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProcess } from "../../src/system/process.ts";

const SCRIPT = `
set -e
ec() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:"\${2:-prime256v1}" -out "$1.key" 2>/dev/null; }
# sign NAME ISSUER DAYS EXTENSIONS [ARGUMENTS]
sign() {
  openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
  printf '%b' "$4" > ext
  openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days "$3" -extfile ext -out "$1.crt" $5 2>/dev/null
}
S3='subjectAltName=DNS:s3.example.org,DNS:*.s3.example.org,IP:10.0.0.1\\n'
CA='basicConstraints=critical,CA:true\\n'
ec root; openssl req -x509 -key root.key -subj /CN=root -days 3650 -out root.crt
for ca in middle short; do ec $ca; done
sign middle root 1000 "$CA"; sign short root 10 "$CA"
for leaf in leaf other nosan client authority sha1 fleeting aged; do ec $leaf; done
sign leaf middle 90 "$S3"; sign other middle 90 "$S3"; sign nosan middle 90 'keyUsage=digitalSignature\\n'
sign client middle 90 "\${S3}extendedKeyUsage=clientAuth\\n"; sign authority root 90 "$S3$CA"; sign sha1 middle 90 "$S3" -sha1
sign fleeting middle 6 "$S3"; sign aged short 90 "$S3"
openssl genrsa -out rsa.key 2048 2>/dev/null; sign rsa middle 90 "$S3"
openssl genrsa -out weak.key 1024 2>/dev/null; sign weak middle 90 "$S3"
openssl genrsa -out huge.key 4352 2>/dev/null; sign huge middle 90 "$S3"
ec koblitz secp256k1; sign koblitz middle 90 "$S3"
openssl genpkey -algorithm ed25519 -out ed.key; sign ed middle 90 "$S3"
ec own; openssl req -x509 -key own.key -subj /CN=own -addext subjectAltName=DNS:s3.example.org -days 30 -out own.crt
if [ -n "$1" ]; then
  ec named; openssl req -new -key named.key -subj "/CN=$1" -out named.csr; printf 'subjectAltName=%s\\n' "$2" > ext
  openssl x509 -req -in named.csr -CA middle.crt -CAkey middle.key -CAcreateserial -days 90 -extfile ext -out named.crt 2>/dev/null
fi
openssl x509 -in leaf.crt -outform der -out leaf.der
openssl pkey -in leaf.key -outform der -out key.der
openssl pkcs12 -export -in leaf.crt -inkey leaf.key -passout pass: -out leaf.p12
openssl crl2pkcs7 -nocrl -certfile leaf.crt -out leaf.p7
openssl x509 -in leaf.crt -trustout -out leaf.trusted
openssl pkcs8 -topk8 -in leaf.key -passout pass:xyz -out leaf.enc
openssl rsa -in rsa.key -traditional -aes128 -passout pass:xyz -out rsa.enc 2>/dev/null
openssl ec -in leaf.key -out leaf.ec 2>/dev/null
openssl pkey -in leaf.key -pubout -out leaf.pub
openssl ecparam -name prime256v1 -out params
openssl pkcs12 -in leaf.p12 -passin pass: -nodes -out leaf.bag
`;

export type Pki = (name: string) => string;

/**
 * Makes all anew; the answer reads it by name: "leaf.crt", "leaf.key", "root.crt"; and "named.crt" for a name of the test's own, with its
 * subjectAltName.
 */
export async function makePki(named: readonly [name: string, alternatives: string] = ["", ""]): Promise<Pki> {
  return reading(await made(named));
}

/** The same of pki-made.json, and when it was made: right away, but valid only around that time. */
export async function madePki(): Promise<{ readonly pki: Pki; readonly made: Date }> {
  const { made, files } = (await Bun.file(MADE_FILE).json()) as { made: string; files: Record<string, string> };
  return { pki: reading(files), made: new Date(made) };
}

const MADE_FILE = join(import.meta.dirname, "pki-made.json");

const reading =
  (files: Readonly<Record<string, string>>): Pki =>
  (name) => {
    const text = files[name];
    if (text === undefined) throw new Error(`there is no ${name}`);
    return text;
  };

async function made(named: readonly [name: string, alternatives: string]): Promise<Record<string, string>> {
  const directory = mkdtempSync(join(tmpdir(), "ober-pki-"));
  try {
    await runProcess(["bash", "-c", `cd "$0" && ${SCRIPT}`, directory, ...named]);
    const names = [...new Bun.Glob("*").scanSync(directory)].sort();
    return Object.fromEntries(names.map((name) => [name, readFileSync(join(directory, name), "utf8")]));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const files = await made(["", ""]);
  await Bun.write(MADE_FILE, `${JSON.stringify({ made: new Date().toISOString(), files }, null, 2)}\n`);
}
