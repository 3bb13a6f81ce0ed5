/**
 * Certificates changed under a real HAProxy of every Debian suite, while clients connect and send: none may notice. Few changes here;
 * OBER_ROUNDS=50 makes a thousand.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import tls from "node:tls";
import { selfSigned } from "../../src/certificates/acme/self-signed.ts";
import { PLACEHOLDER } from "../../src/certificates/pem.ts";
import { reloadCertificates } from "../../src/certificates/serving.ts";
import { parseConfig } from "../../src/config/schema.ts";
import type { Node } from "../../src/node/node.ts";
import type { System } from "../../src/system/system.ts";
import { makePki, type Pki } from "../helpers/pki.ts";
import { run, until } from "../lab/process.ts";
import { enterNetwork, type Ingress, residentMb, SERVERS, startIngress, VIPS } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { dial, exchange, get, OK, request, startServer } from "./_peers.ts";

const SWAPS = 20 * Number(process.env["OBER_ROUNDS"] ?? 1);

const config = parseConfig(
  {
    bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.77.0.1"] },
    vips: ["10.99.0.100"],
    backends: [{ name: "s3", servers: ["a:1"] }],
  },
  "ober.yaml",
);

/** The name of the certificate that a new connection gets. */
async function seen(servername = "s3.example.org"): Promise<{ name: string; chain: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ name: string; chain: number }>();
  const socket = tls.connect({ host: VIPS[0], port: 443, servername, rejectUnauthorized: false }, () => {
    const leaf = socket.getPeerCertificate(true);
    const issuer = leaf.issuerCertificate;
    resolve({ name: leaf.subject.CN as string, chain: issuer && issuer !== leaf && issuer.subject ? 1 : 0 });
    socket.destroy();
  });
  socket.once("error", reject);
  return promise;
}

let pki: Pki;
beforeAll(async () => {
  pki = await makePki();
}, 60_000);

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let leave: () => void;
  let ingress: Ingress;
  let server: Awaited<ReturnType<typeof startServer>>;
  let node: Node;
  let reloads = 0;
  const pem = (name: string, ...chain: readonly string[]) =>
    pki(`${name}.crt`) + chain.map((one) => pki(`${one}.crt`)).join("") + pki(`${name}.key`);
  const put = (text: string, file = "s3.pem") => ingress.put(`${ingress.paths.certs}/${file}`, text);

  beforeAll(async () => {
    leave = await enterNetwork([tree]);
    server = await startServer(SERVERS[0] ?? "", ({ socket }) => void socket.write(OK));
    ingress = await startIngress(tree);
    const { files, paths, socket } = ingress;
    const run: System["run"] = async (argv, options) => {
      // HAProxy checks the files as on a node; there is no systemd.
      if (argv[0] !== "systemctl") return files.run(argv, options);
      reloads++;
      await ingress.reload();
      return { code: 0, stdout: "", stderr: "" };
    };
    const places = { ...paths, haproxySocket: socket, givenCertificates: `${paths.prefix}/given.json` };
    node = { system: { ...files, run }, paths: places as Node["paths"] };
    await until("the server is up", async () => (await request(get())).status === 200, 10_000);
  }, 600_000);

  afterAll(async () => {
    await ingress?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    leave?.();
  });

  test("a changed file is what the next connection sees, and what a restart serves", async () => {
    put(pem("leaf", "middle"));
    expect(await reloadCertificates(node, config)).toMatchObject({
      swapped: [`${ingress.paths.certs}/s3.pem`],
      refused: [],
      reloaded: false,
    });
    expect((await seen()).name).toBe("leaf");
    expect(await reloadCertificates(node, config)).toMatchObject({ swapped: [], added: [] });
    await ingress.restart();
    expect((await seen()).name).toBe("leaf");
    // The same certificate with another chain is a change too, also for a worker that has read the files itself.
    put(pem("leaf"));
    expect((await reloadCertificates(node, config)).swapped).toHaveLength(1);
    expect(await seen()).toEqual({ name: "leaf", chain: 0 });
    put(pem("leaf", "middle"));
    await reloadCertificates(node, config);
    expect(reloads).toBe(0);
  });

  test("a second certificate comes and goes, and RSA stands beside ECDSA", async () => {
    put(pem("own"), "t.pem");
    put(pem("rsa", "middle"), "u.pem");
    expect((await reloadCertificates(node, config)).added).toHaveLength(2);
    const rsaOnly = {
      host: VIPS[0],
      port: 443,
      servername: "s3.example.org",
      rejectUnauthorized: false,
      maxVersion: "TLSv1.2" as const,
    };
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = tls.connect({ ...rsaOnly, ciphers: "ECDHE-RSA-AES128-GCM-SHA256" }, () =>
      resolve(socket.getPeerCertificate().subject.CN as string),
    );
    expect(await promise).toBe("rsa");
    socket.destroy();
    expect((await seen()).name).toBe("leaf");
    expect(reloads).toBe(0);
    // What is gone, and what would come first, HAProxy must read in its own order.
    for (const name of ["t.pem", "u.pem"]) rmSync(`${ingress.files.root}${ingress.paths.certs}/${name}`);
    expect(await reloadCertificates(node, config)).toMatchObject({ reloaded: true });
    put(pem("other", "middle"), "a.pem");
    expect(await reloadCertificates(node, config)).toMatchObject({ reloaded: true });
    expect((await seen("unknown.example.org")).name).toBe("other");
    rmSync(`${ingress.files.root}${ingress.paths.certs}/a.pem`);
    expect(await reloadCertificates(node, config)).toMatchObject({ reloaded: true });
    expect((await seen("unknown.example.org")).name).toBe("leaf");
    expect(reloads).toBe(3);
  });

  test("ober's own first certificate goes when there is another one", async () => {
    const before = reloads;
    put(await selfSigned(["s3.example.org"], PLACEHOLDER, new Date()), "ober.pem");
    expect(await reloadCertificates(node, config)).toMatchObject({ refused: [] });
    expect(await ingress.files.list(ingress.paths.certs)).toEqual(["s3.pem"]);
    expect(await ingress.say("show ssl cert")).not.toContain("ober.pem");
    expect([before, before + 1]).toContain(reloads);
  });

  test("a session is resumed here, and a missing one is not an error elsewhere", async () => {
    const file = `/tmp/ober-session-${process.pid}`;
    const handshake = async (version: string, argument: string) => {
      const client = `openssl s_client ${version} -connect ${VIPS[0]}:443 -servername s3.example.org ${argument} ${file}`;
      const { stdout } = await run(
        ["sh", "-c", `(printf 'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'; sleep 0.3) | ${client} 2>/dev/null`],
        { accept: [0, 1] },
      );
      return /^(New|Reused), TLS/m.exec(stdout)?.[1];
    };
    try {
      for (const version of ["-tls1_2", "-tls1_3"]) {
        expect(await handshake(version, "-sess_out")).toBe("New");
        expect(await handshake(version, "-sess_in")).toBe("Reused");
        await handshake(version, "-sess_out");
        await ingress.restart();
        expect(await handshake(version, "-sess_in")).toBe("New");
      }
    } finally {
      rmSync(file, { force: true });
    }
  }, 30_000);

  const blankIn = (block: string) => block.split("\n").toSpliced(3, 0, "").join("\n");
  const bad: readonly [what: string, text: () => string, said: RegExp][] = [
    ["a foreign key", () => pki("leaf.crt") + pki("other.key"), /does not belong to its certificate/],
    ["half a file", () => pem("other").slice(0, 300), /breaks off/],
    // The socket would take both: what it is given is made anew from what ober has read.
    ["a blank line in the certificate", () => blankIn(pki("leaf.crt")) + pki("leaf.key"), /has a blank line inside/],
    [
      "a blank line in the chain",
      () => pki("leaf.crt") + blankIn(pki("middle.crt")) + pki("leaf.key"),
      /certificate 2/,
    ],
    ["no certificate for a server", () => pem("client", "middle"), /is not for servers/],
  ];
  test.each(bad)("with %s the old one keeps serving", async (_what, text, said) => {
    const before = reloads;
    put(text());
    const { refused, swapped, reloaded } = await reloadCertificates(node, config);
    expect(refused[0]?.message).toMatch(said);
    expect({ swapped, reloaded }).toEqual({ swapped: [], reloaded: false });
    expect((await seen()).name).toBe("leaf");
    put(pem("leaf", "middle"));
    expect((await reloadCertificates(node, config)).refused).toEqual([]);
    expect(reloads).toBe(before);
  });

  test("what only HAProxy knows to be bad is refused in its words, and taken once it is mended", async () => {
    const before = reloads;
    const beside = `${ingress.paths.certs}/s3.pem.sctl`;
    ingress.put(beside, "no list of timestamps\n");
    put(pem("other", "middle"));
    const { refused, swapped } = await reloadCertificates(node, config);
    expect(refused[0]?.message).toMatch(/^HAProxy refuses .*s3\.pem: .*s3\.pem\.sctl/);
    expect([swapped, (await seen()).name, reloads]).toEqual([[], "leaf", before]);
    rmSync(`${ingress.files.root}${beside}`);
    expect((await reloadCertificates(node, config)).swapped).toHaveLength(1);
    expect((await seen()).name).toBe("other");
    put(pem("leaf", "middle"));
    await reloadCertificates(node, config);
    expect(reloads).toBe(before);
  });

  test("a file that is written slowly is waited for", async () => {
    const whole = pem("other", "middle");
    put(whole.slice(0, 400));
    const done = reloadCertificates(node, config);
    setTimeout(() => put(whole), 200);
    expect(await done).toMatchObject({ refused: [], swapped: [`${ingress.paths.certs}/s3.pem`] });
    expect((await seen()).name).toBe("other");
  });

  test(`${SWAPS} changes under load: no failed handshake, no failed request, the same memory`, async () => {
    const names = ["leaf", "other", "rsa"];
    const worker = await ingress.worker();
    const failed: string[] = [];
    let [handshakes, requests] = [0, 0];
    let going = true;
    const ask = async (what: string, action: () => Promise<{ status: number }>) => {
      while (going) {
        const { status } = await action().catch((error: Error) => ({ status: 0, reason: error.message }));
        if (status !== 200) failed.push(`${what}: ${status}`);
        if (what === "new") handshakes++;
        requests++;
      }
    };
    const kept = await dial();
    const load = [
      ask("new", () => request(get())),
      ask("new", () => request(get())),
      ask("kept", () => exchange(kept, get())),
    ];
    const swap = async (index: number) => {
      const name = names[index % names.length] ?? "";
      put(pem(name, "middle"));
      const began = performance.now();
      expect((await reloadCertificates(node, config)).swapped).toHaveLength(1);
      const got = await seen();
      return got.name === name ? performance.now() - began : Number.POSITIVE_INFINITY;
    };
    const times: number[] = [];
    // The first ones warm HAProxy's pools.
    for (let index = 0; index < 10; index++) await swap(index);
    const before = residentMb(worker);
    for (let index = 0; index < SWAPS; index++) times.push(await swap(index + 1));
    going = false;
    await Promise.all(load);
    kept.destroy();
    const grown = residentMb(worker) - before;
    console.error(
      `${tree.name}: ${SWAPS} changes, slowest ${Math.max(...times).toFixed(0)} ms, ${handshakes} handshakes, ${requests} requests, ${failed.length} failed, ${grown.toFixed(1)} MB more`,
    );
    expect(failed).toEqual([]);
    expect(handshakes).toBeGreaterThan(SWAPS);
    // One in a hundred may be late where the machine has other work.
    expect(times.sort((a, b) => a - b)[Math.floor(times.length * 0.98)]).toBeLessThan(1000);
    expect(grown).toBeLessThan(8);
    expect(await ingress.worker()).toBe(worker);
  }, 600_000);
});
