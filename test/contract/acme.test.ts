/** Certificates from a real ACME server (pebble), proved at a real BIND; and what goes wrong on the way. The old certificate always stays. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { AcmeState } from "../../src/certificates/acme/renewal.ts";
import { pathsOf } from "../../src/domain/paths.ts";
import { selfSigned } from "../helpers/certificate.ts";
import { run, until } from "../lab/process.ts";
import { type Authority, acmeTree, DIRECTORY, DOMAIN, EAB, startAuthority, temporaryRoot } from "./_acme.ts";
import { enterNetwork } from "./_ingress.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;
let leave: () => void;
let authority: Authority;
/** The install path of a node of its own for each test. */
let root: string;
let certs: Record<string, unknown>;

beforeAll(async () => {
  const debian = await acmeTree();
  leave = await enterNetwork([]);
  authority = await startAuthority(debian);
}, 600_000);

afterAll(async () => {
  await authority?.[Symbol.asyncDispose]();
  leave?.();
});

beforeEach(async () => {
  root = temporaryRoot();
  mkdirSync(pathsOf(root).certs, { recursive: true });
  certs = {
    acme_server: DIRECTORY,
    acme_ca_file: authority.caFile,
    acme_domain: DOMAIN,
    acme_email: "ops@example.test",
    acme_dns_timeout: 20,
    rfc2136_server: "127.0.0.1",
    rfc2136_key_file: authority.keyFile,
  };
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const paths = () => pathsOf(root);
const renew = (
  options: { force?: boolean; timer?: boolean; aheadMs?: number } = {},
  env: Record<string, string> = {},
) => authority.step({ action: "renew", root, certs, ...options }, env);
const state = () => JSON.parse(readFileSync(paths().acmeState, "utf8")) as AcmeState;
const pem = (file = paths().ownCertificate) => readFileSync(file, "utf8");
const leaf = (file?: string) => new X509Certificate(pem(file));
const mode = (file: string) => statSync(file).mode & 0o777;
const login = (text: string) => {
  const home = join(authority.directory, "home");
  mkdirSync(join(home, ".ober"), { recursive: true });
  writeFileSync(join(home, ".ober/login"), text, { mode: 0o600 });
};

/** Programs run by root must be where only root can write. */
const programs = mkdtempSync(join(homedir(), "ober-acme-"));
afterAll(() => rmSync(programs, { recursive: true, force: true }));
function program(name: string, text: string): string {
  const path = join(programs, name);
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

describe("a certificate", () => {
  test("comes by dynamic updates, through lost nonces and a server that is late; the next one only when it is due", async () => {
    await authority.pebble({}, { PEBBLE_WFE_NONCEREJECT: "30" });
    const first = await renew();
    expect(first.error).toBeUndefined();
    expect(first.result).toMatchObject({ renewed: [paths().ownCertificate] });
    expect(leaf().subjectAltName).toBe(`DNS:${DOMAIN}`);
    expect(leaf().publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
    expect(pem().match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThan(1);
    expect(await authority.dig(`_acme-challenge.${DOMAIN}`)).toBe("");
    // Keys are root's alone, and no half of a file is left where HAProxy reads.
    const account = readdirSync(paths().acme).find((name) => name.startsWith("account-")) ?? "";
    expect([paths().ownCertificate, join(paths().acme, account), paths().acmeState].map(mode)).toEqual([
      0o600, 0o600, 0o600,
    ]);
    expect(readdirSync(paths().certs)).toEqual(["ober.pem"]);

    const before = pem();
    expect((await renew()).result).toMatchObject({ renewed: [] });
    expect(pem()).toBe(before);
    // The CA's own window (RFC 9773) was asked for.
    expect(Object.values(state().ari)[0]).toMatchObject({ start: expect.any(String), end: expect.any(String) });
    const ahead = Date.parse(state().renewAt ?? "") - Date.now() + MINUTE;
    expect(ahead).toBeLessThan(90 * 86_400_000);
    writeFileSync(paths().acmeState, JSON.stringify({ ...state(), ari: {} }));
    certs = { ...certs, acme_names: [`*.${DOMAIN}`, "alias.example.test"] };
    const wider = await renew();
    expect(wider.error).toBeUndefined();
    expect(leaf().subjectAltName?.split(", ").sort()).toEqual([
      `DNS:*.${DOMAIN}`,
      "DNS:alias.example.test",
      `DNS:${DOMAIN}`,
    ]);
  }, 120_000);

  test("is renewed at two thirds of its life", async () => {
    await authority.pebble({ certificateValidityPeriod: 6 * 86_400 });
    expect((await renew()).error).toBeUndefined();
    const serial = leaf().serialNumber;
    // As if the power had gone between the file and its record.
    const { issued, ...rest } = state();
    const file = paths().ownCertificate;
    writeFileSync(
      paths().acmeState,
      JSON.stringify({ ...rest, issued: { [file]: "of before", [`${file}.new`]: issued[file] } }),
    );
    expect((await renew({ aheadMs: DAY, timer: true })).result).toMatchObject({ renewed: [] });
    expect((await renew({ aheadMs: 5.5 * DAY, timer: true })).result).toMatchObject({
      renewed: [paths().ownCertificate],
    });
    expect(leaf().serialNumber).not.toBe(serial);
  }, 120_000);

  test("comes for RSA beside ECDSA, with an external account binding", async () => {
    await authority.pebble({ externalAccountBindingRequired: true, externalAccountMACKeys: { [EAB.kid]: EAB.hmac } });
    expect(await renew()).toMatchObject({
      error: expect.stringContaining("externalAccountBinding"),
      hint: expect.stringContaining("acme_eab_kid"),
    });
    certs = { ...certs, acme_eab_kid: EAB.kid, acme_key_type: "both" };
    expect((await renew()).error).toBe("certs.acme_eab_kid is set, but its key is missing");
    login("acme_eab_hmac=d3Jvbmcga2V5IGZvciB0aGlzIGFjY291bnQ\n");
    expect((await renew()).error).toMatch(/^the CA refuses: /);
    login(`acme_eab_hmac=${EAB.hmac}\n`);
    expect((await renew()).error).toBeUndefined();
    expect([leaf().publicKey.asymmetricKeyType, leaf(paths().ownRsaCertificate).publicKey.asymmetricKeyType]).toEqual([
      "ec",
      "rsa",
    ]);
    login("");
  }, 120_000);

  test("comes by a program of the site's", async () => {
    await authority.pebble();
    const hook = program(
      "hook",
      `#!/bin/sh\n[ "$1 $2 $3" = "$OBER_ACME_ACTION $OBER_ACME_NAME $OBER_ACME_VALUE" ] || exit 3\ncase $1 in add) verb="update add $2. 1";; *) verb="update delete $2.";; esac\nprintf 'server 127.0.0.1\\n%s TXT "%s"\\nsend\\n' "$verb" "$3" | nsupdate -k ${authority.keyFile}\n`,
    );
    certs = { ...certs, acme_dns: "hook", acme_hook: hook, acme_email: "" };
    expect((await renew()).error).toBeUndefined();
    expect((await renew({ force: true })).error).toBeUndefined();
    expect(leaf().subjectAltName).toBe(`DNS:${DOMAIN}`);
    const writable = program("writable", "#!/bin/sh\n");
    await Bun.$`chmod 777 ${writable}`.quiet();
    for (const acme_hook of [writable, authority.put("steered", "#!/bin/sh\n", 0o755)]) {
      certs = { ...certs, acme_hook };
      expect((await renew({ force: true })).error).toMatch(/can be changed by others$/);
    }
  }, 120_000);
});

describe("what goes wrong leaves the old certificate, and says what to do:", () => {
  /** A certificate of before, whose renewal is forced. */
  async function withOld() {
    await authority.pebble();
    expect((await renew()).error).toBeUndefined();
    return pem();
  }

  test("server away, then trouble, then too many requests", async () => {
    const old = await withOld();
    await authority.stopPebble();
    expect(await renew({ force: true })).toMatchObject({
      error: expect.stringContaining(`the ACME server ${DIRECTORY} cannot be reached: `),
    });
    expect(state()).toMatchObject({ failures: 1, error: expect.stringContaining("cannot be reached") });
    // The timer keeps the wait; a person may try at once.
    expect((await renew({ timer: true, force: true })).result).toMatchObject({
      renewed: [],
      waitsUntil: state().retryAt,
    });
    let status = 503;
    const base = "https://ca.example.test:14001";
    using _proxy = Bun.serve({
      port: 14001,
      hostname: "127.0.0.1",
      tls: {
        cert: readFileSync(join(authority.directory, "tls.pem"), "utf8"),
        key: readFileSync(join(authority.directory, "tls.key"), "utf8"),
      },
      fetch(request) {
        const { pathname } = new URL(request.url);
        if (pathname === "/dir")
          return Response.json({ newNonce: `${base}/nonce`, newAccount: `${base}/account`, newOrder: `${base}/order` });
        if (pathname === "/nonce") return new Response(null, { headers: { "replay-nonce": "bm9uY2U" } });
        const body = JSON.stringify({
          type: status === 429 ? "urn:ietf:params:acme:error:rateLimited" : "about:blank",
          detail: "too many certificates",
        });
        return new Response(body, {
          status,
          headers: { "retry-after": "172800", "replay-nonce": "bm9uY2U", "content-type": "application/problem+json" },
        });
      },
    });
    certs = { ...certs, acme_server: `${base}/dir` };
    expect((await renew({ force: true })).error).toContain(`the ACME server ${base}/dir failed with 503`);
    status = 429;
    expect((await renew({ force: true })).error).toContain("the CA's rate limit is reached: ");
    expect(state().failures).toBe(3);
    expect(Date.parse(state().retryAt ?? "") - Date.now()).toBeGreaterThan(172_000_000);
    expect(pem()).toBe(old);
  }, 120_000);

  test("a CA that this machine does not trust", async () => {
    const old = await withOld();
    certs = { ...certs, acme_ca_file: "" };
    expect(await renew({ force: true })).toMatchObject({
      error: expect.stringContaining("is not trusted"),
      hint: expect.stringContaining("certs.acme_ca_file"),
    });
    expect(pem()).toBe(old);
  }, 120_000);

  test("an account that the CA has forgotten is made anew; one that was given up is named", async () => {
    const old = await withOld();
    await authority.pebble();
    expect((await renew({ force: true })).error).toBeUndefined();
    const renewed = pem();
    expect(renewed).not.toBe(old);
    expect((await authority.step({ action: "deactivate", root, certs })).error).toBeUndefined();
    expect(await renew({ force: true })).toMatchObject({
      error: expect.stringMatching(/^the CA refuses: .*deactivated/i),
      hint: expect.stringContaining("var/acme"),
    });
    expect(pem()).toBe(renewed);
  }, 120_000);

  test("updates refused, records late, the CA not seeing them, a name that it does not issue for", async () => {
    const old = await withOld();
    const good = certs;
    certs = { ...good, rfc2136_key_file: "" };
    expect(await renew({ force: true })).toMatchObject({
      error: expect.stringMatching(/refuses the update: .*REFUSED/s),
      hint: expect.stringContaining("rfc2136_key_file"),
    });
    const lazy = program("lazy", "#!/bin/sh\nexit 0\n");
    certs = { ...good, acme_dns: "hook", acme_hook: lazy, acme_dns_timeout: 10 };
    expect((await renew({ force: true })).error).toMatch(
      /^127\.0\.0\.[12].* did not show the TXT record of _acme-challenge\.s3\.example\.test within 10 s$/,
    );
    certs = { ...good, acme_domain: "blocked.example.test" };
    expect(await renew({ force: true })).toMatchObject({
      error: expect.stringContaining("the CA refuses: "),
      hint: expect.stringContaining("certs.acme_domain"),
    });
    await authority.pebble({}, {}, "127.0.0.9:53");
    certs = good;
    expect((await renew({ force: true })).error).toMatch(
      /^the CA refuses: Error retrieving TXT records for DNS challenge/,
    );
    expect(await authority.dig(`_acme-challenge.${DOMAIN}`)).toBe("");
    expect(state().failures).toBe(4);
    expect(pem()).toBe(old);
  }, 120_000);

  test("a clock that is off", async () => {
    const old = await withOld();
    expect(await renew({ force: true, aheadMs: -2 * 86_400_000 })).toMatchObject({
      error: expect.stringMatching(/not valid before|not trusted/),
      hint: expect.stringContaining("clock"),
    });
    expect(pem()).toBe(old);
  }, 120_000);

  test("a file that ober did not write", async () => {
    const foreign = await selfSigned(DOMAIN);
    writeFileSync(paths().ownCertificate, foreign, { mode: 0o600 });
    expect((await renew({ force: true })).error).toBe(
      `${paths().ownCertificate} holds a certificate that ober did not get; it was left alone`,
    );
    expect(pem()).toBe(foreign);
  }, 60_000);
});

describe("Route 53", () => {
  const API = "http://127.0.0.1:5000";
  const AWS = {
    AWS_ENDPOINT_URL: API,
    AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
    AWS_SECRET_ACCESS_KEY: "wJalrXUtnFEMIplanted",
  };
  // moto tells accounts apart by the key, and believes every signature.
  const signed = "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/route53/aws4_request";
  const curl = async (...argv: readonly string[]) => (await run(["curl", "-s", "-H", signed, ...argv])).stdout;
  const name = `_acme-challenge.${DOMAIN}`;
  let zone = "";

  beforeAll(async () => {
    authority.spawn(["moto_server", "-H", "127.0.0.1", "-p", "5000"]);
    await until(
      "moto answers",
      async () => (await run(["curl", "-sf", `${API}/moto-api/`], { accept: [0, 7, 22] })).code === 0,
      60_000,
    );
    const create = (domain: string) =>
      curl(
        "-H",
        "Content-Type: text/xml",
        "-d",
        `<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Name>${domain}</Name><CallerReference>${domain}</CallerReference></CreateHostedZoneRequest>`,
        `${API}/2013-04-01/hostedzone`,
      );
    await create("test.");
    const made = await create("example.test.");
    zone = /<Id>(?:\/hostedzone\/)?([^<]*)<\/Id>/.exec(made)?.[1] ?? "";
    if (zone === "") throw new Error(`moto makes no zone: ${made}`);
  }, 120_000);

  const edit = (action: "add" | "remove", value: string, env: Record<string, string> = AWS) =>
    authority.step(
      {
        action: "record",
        root,
        certs: { acme_server: DIRECTORY, acme_domain: DOMAIN, route53_enabled: true },
        record: [action, name, value],
      },
      env,
    );
  const values = async () =>
    [...(await curl(`${API}/2013-04-01/hostedzone/${zone}/rrset`)).matchAll(/<Value>.*?"(.*?)".*?<\/Value>/g)].map(
      ([, value]) => value,
    );

  test("has the longest zone of the domain, and keeps what another node has set", async () => {
    expect((await edit("add", "one")).error).toBeUndefined();
    expect((await edit("add", "two")).error).toBeUndefined();
    expect((await values()).sort()).toEqual(["one", "two"]);
    expect((await edit("remove", "one")).error).toBeUndefined();
    expect(await values()).toEqual(["two"]);
    expect((await edit("remove", "two")).error).toBeUndefined();
    expect((await edit("remove", "two")).error).toBeUndefined();
    expect(await values()).toEqual([]);
  }, 60_000);

  test("takes a profile from a home, and says what is missing", async () => {
    const none = await edit("add", "x", { AWS_ENDPOINT_URL: API });
    expect(none.error).toMatch(/^there are no AWS credentials for Route 53: no profile default in /);
    mkdirSync(join(authority.directory, "home/.aws"), { recursive: true });
    authority.put(
      "home/.aws/credentials",
      "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = planted\n",
      0o600,
    );
    expect((await edit("add", "x", { AWS_ENDPOINT_URL: API })).error).toBeUndefined();
    expect(await edit("remove", "x", { AWS_ENDPOINT_URL: "http://127.0.0.1:5999" })).toMatchObject({
      error: expect.stringMatching(/^Route 53: http:\/\/127\.0\.0\.1:5999 does not answer: /),
    });
  }, 60_000);
});

test("the proof of DNS access leaves nothing behind", async () => {
  expect((await authority.step({ action: "prove", root, certs })).result).toBe(`_acme-challenge.${DOMAIN}`);
  expect(await authority.dig(`_acme-challenge.${DOMAIN}`)).toBe("");
  expect(existsSync(paths().ownCertificate)).toBe(false);
}, 60_000);
