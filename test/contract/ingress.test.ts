/**
 * Twenty things that the ingress must do, each against the real HAProxy of every Debian suite with the configuration that ober
 * renders. Servers are ours, so that they see every byte; what needs a real RGW is in test/e2e/cluster.test.ts, what needs load in
 * ingress-load.test.ts. 1 (read without a warning) is accepted.test.ts too.
 */

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { hostname } from "node:os";
import { replaceLists } from "../../src/change/allow-lists.ts";
import { turnWord } from "../../src/checks/peers.ts";
import { LOAD_KEY, LOAD_PATH, type Load, loadText } from "../../src/domain/load.ts";
import { CANARY_PATH, CANARY_TEXT, SERVES_KEY, SHED_KEY, SHED_UNTIL_KEY, TURN_KEY } from "../../src/domain/serves.ts";
import { setMapKey } from "../../src/health/serves.ts";
import { IDENTITY_KEY, type Identity } from "../../src/render/identity.ts";
import { parseLoad } from "../../src/system/peer-words.ts";
import { selfSigned } from "../helpers/certificate.ts";
import { run, until } from "../lab/process.ts";
import {
  ARCHIVE,
  CANARY,
  DESCRIPTORS,
  enterNetwork,
  INSIDE,
  type Ingress,
  NODE,
  OTHER_CANARY,
  OUTSIDE,
  SERVERS,
  STATS_PORT,
  startIngress,
  VIPS,
} from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { dial, exchange, get, OK, type Received, type RequestOptions, request, startServer } from "./_peers.ts";

/** The times that a test would have to wait for, shortened: the same lines with smaller numbers. */
const SHORTER = [
  ["timeout client 120s", "timeout client 2s"],
  ["timeout server 300s", "timeout server 1s"],
  ["timeout server 15m", "timeout server 6s"],
  ["set-timeout server 15m", "set-timeout server 6s"],
  ["timeout http-request 15s", "timeout http-request 1s"],
  ["inter 1000ms", "inter 200ms"],
] as const;

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let leave: () => void;
  let ingress: Ingress;
  /** What the first server got, and what it says; a test may set its own. */
  let got: Received[] = [];
  let say = ({ socket }: Received) => void socket.write(OK);
  let healthy = true;
  let server: Awaited<ReturnType<typeof startServer>>;
  let archive: Awaited<ReturnType<typeof startServer>>;
  const last = () => got.at(-1) as Received;

  beforeAll(async () => {
    leave = await enterNetwork([tree]);
    const take = (received: Received) => {
      got.push(received);
      say(received);
    };
    server = await startServer(SERVERS[0] ?? "", take, {
      health: () => (healthy ? OK : OK.replace("200 OK", "503 No")),
    });
    archive = await startServer(ARCHIVE, ({ socket }) => void socket.write(OK.replace("ok", "ar")));
    const edit = SHORTER.filter(([from]) => !from.startsWith("timeout server 15m"));
    ingress = await startIngress(tree, { edit });
    await until("the server is up", async () => (await request(get())).status === 200, 10_000);
  }, 600_000);

  afterEach(() => {
    got = [];
    say = ({ socket }) => void socket.write(OK);
    healthy = true;
  });

  afterAll(async () => {
    await ingress?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    await archive?.[Symbol.asyncDispose]();
    leave?.();
  });

  test("1 starts without a warning", () => {
    expect(ingress.log()).not.toMatch(/WARNING|ALERT/);
  });

  test("2 has room for 25,000 connections, or for what this machine's limit of descriptors allows", async () => {
    const info = await ingress.say("show info");
    const number = (key: string) => Number(new RegExp(`^${key}: (\\d+)$`, "m").exec(info)?.[1]);
    // Two descriptors a connection, and a pipe of two for each fourth.
    const limits = ingress.text.match(/^ {2}maxconn \d+$/gm)?.map((line) => Number(line.trim().split(" ")[1])) ?? [];
    const [clients = 0, plain = 0, statistics = 0, health = 0] = limits;
    expect([clients, plain]).toEqual([Math.min(25_000, clients), clients]);
    expect(clients).toBeGreaterThan(Math.min(25_000, DESCRIPTORS / 2.5) - 1_200);
    // What clients may use up is not all there is.
    expect(number("Maxconn")).toBeGreaterThanOrEqual(clients + statistics + health + 100);
    expect(number("Ulimit-n")).toBeLessThanOrEqual(DESCRIPTORS);
  });

  test("3 answers over TLS on both VIPs, each from its own group", async () => {
    expect((await request(get())).body.toString()).toBe("ok");
    expect((await request(get(), { to: VIPS[1] })).body.toString()).toBe("ar");
  });

  test("3 says which node answers to those who ask, whoever answers, and to nobody else", async () => {
    const asked = "X-Ober-Observe: 1\r\n";
    const said = `x-ober-node: ${hostname()}`;
    expect((await request(get("/", asked))).head.toLowerCase()).toContain(said);
    expect((await request(get("/", asked), { to: VIPS[1] })).head.toLowerCase()).toContain(said);
    // HAProxy's own answer: a redirect.
    const redirect = await request(get("/", asked), { port: 80, from: OUTSIDE });
    expect([redirect.status, redirect.head.toLowerCase().includes(said)]).toEqual([308, true]);
    expect((await request(get())).head.toLowerCase()).not.toContain("x-ober-node");
  });

  test("4 speaks http/1.1 to a client that offers h2", async () => {
    const offer = ["openssl", "s_client", "-connect", `${VIPS[0]}:443`, "-alpn", "h2,http/1.1"];
    expect((await run(offer, { input: "" })).stdout).toContain("ALPN protocol: http/1.1");
  });

  test.each([
    ["TLS 1.1", ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false],
    ["TLS 1.2 with AES-GCM", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], true],
    ["TLS 1.2 with ChaCha20", ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], true],
    ["TLS 1.2 with CBC", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], false],
    ["TLS 1.3 with AES-GCM", ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], true],
    ["TLS 1.3 with ChaCha20", ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], true],
    ["a group that is not in the list", ["-tls1_3", "-groups", "P-521"], false],
  ])("5 TLS: %s", async (_what, words, accepted) => {
    const { code } = await run(["openssl", "s_client", "-connect", `${VIPS[0]}:443`, ...words], {
      input: "",
      accept: [0, 1],
    });
    expect(code === 0).toBe(accepted);
  });

  /** The parameters that the suite's own OpenSSL, which is not older than HAProxy's, negotiates with it. */
  const agreed = async (...words: readonly string[]) => {
    const { code, stdout } = await run(
      ["chroot", ingress.files.root, "openssl", "s_client", "-connect", `${VIPS[0]}:443`, ...words],
      { input: "", accept: [0, 1] },
    );
    const group = /^(?:Server|Peer) Temp Key: (?:ECDH, )?([^,\n]+)|^Negotiated TLS1\.3 group: (\S+)/m.exec(stdout);
    const cipher = /^New, \S+, Cipher is (\S+)$/m.exec(stdout)?.[1];
    return { ok: code === 0, group: group?.[1] ?? group?.[2], cipher };
  };

  test("5 TLS: every group that is meant, the one against quantum computers first where the library has it", async () => {
    const modern = ingress.text.includes("curves X25519MLKEM768:X25519:P-256:P-384\n");
    expect(modern).toBe(tree.name !== "bookworm");
    for (const [asked, named] of [
      ["X25519", /^X25519$/i],
      ["P-256", /^(P-256|prime256v1|secp256r1)$/],
      ["P-384", /^(P-384|secp384r1)$/],
      ...(modern ? ([["X25519MLKEM768", /^X25519MLKEM768$/]] as const) : []),
    ] as const) {
      const { ok, group } = await agreed("-tls1_3", "-groups", asked);
      expect([asked, ok]).toEqual([asked, true]);
      expect(group).toMatch(named);
    }
    // TLS 1.2 wants the curve of the certificate among them.
    for (const asked of ["P-256", "X25519:P-256"]) expect((await agreed("-tls1_2", "-groups", asked)).ok).toBe(true);
    expect((await agreed()).group).toBe(modern ? "X25519MLKEM768" : "X25519");
    // A key that the client sent at once is taken: another one would cost a round trip.
    expect((await agreed("-groups", "P-384:X25519")).group).toMatch(/^(P-384|secp384r1)$/);
  });

  test("5 TLS: ChaCha20 for a client that prefers it, AES-128 for every other", async () => {
    const [aes, large, chacha] = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
    const by = async (...suites: (string | undefined)[]) =>
      (await agreed("-tls1_3", "-ciphersuites", suites.join(":"))).cipher;
    expect(await by(chacha, aes, large)).toBe(chacha);
    expect(await by(large, chacha, aes)).toBe(aes);
    const [old, oldChacha] = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"];
    expect((await agreed("-tls1_2", "-cipher", `${oldChacha}:${old}`)).cipher).toBe(oldChacha);
    expect((await agreed("-tls1_2", "-cipher", `ECDHE-ECDSA-AES256-GCM-SHA384:${oldChacha}:${old}`)).cipher).toBe(old);
  });

  test("6 hands every spelling of a path on as it came", async () => {
    const paths = [
      "/bucket/a%2Fb%20c+d//e/../f?x=%2F&uploads",
      "/bucket/%e4%bd%a0%c3%a9?list-type=2&prefix=a/b&delimiter=%2f",
      "/bucket/./a/%2e%2e/b?versionId=x%3D%3D",
      "/bucket/key;v=1,2:@&=+$!*'()~?response-content-type=text/plain;a=b",
      '/bucket/{a}|b^`<c>"d\\[e]',
    ];
    for (const path of paths) {
      expect((await request(get(path))).status).toBe(200);
      expect(last().head.split("\r\n")[0]).toBe(`GET ${path} HTTP/1.1`);
    }
  });

  test.each(["s3.example.org", "S3.Example.ORG:443", "my.bucket.s3.example.org:8443", "10.99.0.100"])(
    "7 leaves the Host header %s alone",
    async (host) => {
      await request(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect(last().head.match(/^host: .*$/gim)).toEqual([`host: ${host}`]);
    },
  );

  test("8 overwrites what a client says about where it comes from", async () => {
    const spoofed =
      "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Port: 1\r\nForwarded: for=9.9.9.9\r\n";
    await request(get("/", spoofed), { from: OUTSIDE });
    expect(
      last()
        .head.match(/^(x-)?forwarded.*$/gim)
        ?.sort(),
    ).toEqual([`x-forwarded-for: ${OUTSIDE}`, "x-forwarded-port: 443", "x-forwarded-proto: https"]);
  });

  test("9 passes 100 Continue from the server on, and an early refusal without the body", async () => {
    let asked = 0;
    say = ({ socket }) => {
      asked = performance.now();
      setTimeout(() => socket.write("HTTP/1.1 100 Continue\r\n\r\n"), 200);
    };
    const put = "PUT /b/k HTTP/1.1\r\nHost: s3\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    const socket = await dial();
    const [first] = await Promise.all([
      new Promise<string>((resolve) => socket.once("data", (data) => resolve(`${data}`))),
      socket.write(put),
    ]);
    expect(first).toMatch(/^HTTP\/1\.1 100 /);
    expect(performance.now() - asked).toBeGreaterThan(190);
    say = ({ socket: other }) => void other.write(OK);
    setTimeout(() => last().socket.write(OK), 50);
    expect((await exchange(socket, "12345")).status).toBe(200);
    expect(last().body()).toBe("12345");
    socket.destroy();

    say = ({ socket: other }) =>
      void other.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    expect(await request(put)).toMatchObject({ status: 403 });
    expect(last().body()).toBe("");
  });

  test("10 hands chunks, their signatures and trailing checksums on intact", async () => {
    const chunks = "5;chunk-signature=0123456789abcdef\r\nhello\r\n0;chunk-signature=fedcba9876543210\r\n\r\n";
    say = (received) =>
      void until(
        "the body is there",
        () => received.body().length >= 1 && /0\r\n(.*\r\n)*\r\n$/.test(received.body()),
        5_000,
      ).then(
        () => received.socket.write(OK),
        () => {},
      );
    const encoded = `PUT /b/k HTTP/1.1\r\nHost: s3\r\nContent-Encoding: aws-chunked\r\nx-amz-decoded-content-length: 5\r\nContent-Length: ${chunks.length}\r\n\r\n${chunks}`;
    say = (received) =>
      void until("the body is there", () => received.body() === chunks, 5_000).then(
        () => received.socket.write(OK),
        () => {},
      );
    expect((await request(encoded)).status).toBe(200);

    const trailer = "x-amz-checksum-crc32c: sOO8/Q==\r\n";
    say = (received) =>
      void until("the trailer is there", () => received.body().includes(trailer), 5_000).then(
        () => received.socket.write(OK),
        () => {},
      );
    const streamed = `PUT /b/k HTTP/1.1\r\nHost: s3\r\nTransfer-Encoding: chunked\r\nTrailer: x-amz-checksum-crc32c\r\n\r\n5\r\nhello\r\n0\r\n${trailer}\r\n`;
    expect((await request(streamed)).status).toBe(200);
    expect(last().body()).toMatch(/hello\r\n0\r\nx-amz-checksum-crc32c: sOO8\/Q==\r\n\r\n$/);
  });

  test("11 takes 15 kB of headers either way, and refuses more than its buffer holds", async () => {
    const headers = (length: number) =>
      Array.from(
        { length: length / 100 },
        (_, i) => `x-amz-meta-${String(i).padStart(4, "0")}: ${"v".repeat(81)}\r\n`,
      ).join("");
    // tune.maxrewrite, 1024 bytes, is kept free for what ober adds. See the configuration manual.
    const buffer = Number(/tune\.bufsize (\d+)/.exec(ingress.text)?.[1] ?? 16_384) - 1024;
    expect((await request(get("/", headers(14_500)))).status).toBe(200);
    expect([431, 400]).toContain((await request(get("/", headers(buffer + 1000)))).status);
    say = ({ socket }) => void socket.write(`HTTP/1.1 200 OK\r\n${headers(14_500)}Content-Length: 2\r\n\r\nok`);
    expect((await request(get())).status).toBe(200);
    say = ({ socket }) => void socket.write(`HTTP/1.1 200 OK\r\n${headers(buffer + 1000)}Content-Length: 2\r\n\r\nok`);
    expect((await request(get())).status).toBe(502);
  });

  test("12 spells ETag as clients look for it, and the others as RGW does", async () => {
    say = ({ socket }) =>
      void socket.write(
        'HTTP/1.1 200 OK\r\nETag: "x"\r\nx-amz-request-id: 1\r\nLast-Modified: y\r\nContent-Type: z\r\nContent-Length: 2\r\n\r\nok',
      );
    expect((await request(get())).head.split("\r\n").slice(1)).toEqual([
      'ETag: "x"',
      "x-amz-request-id: 1",
      "Last-Modified: y",
      "Content-Type: z",
      "Content-Length: 2",
    ]);
  });

  test("13 carries a transfer that lasts longer than its timeouts, as long as it moves", async () => {
    const piece = "x".repeat(1000);
    say = (received) =>
      void until("all is there", () => received.body().length === 8 * piece.length, 10_000).then(
        () => received.socket.write(OK),
        () => {},
      );
    const socket = await dial();
    const answer = exchange(socket, `PUT /b/k HTTP/1.1\r\nHost: s3\r\nContent-Length: ${8 * piece.length}\r\n\r\n`);
    const steps = Array.from({ length: 8 }, (_, index) => Bun.sleep(400 * (index + 1)).then(() => socket.write(piece)));
    await Promise.all(steps);
    expect((await answer).status).toBe(200);
    expect((await answer).ms).toBeGreaterThan(3000);

    say = ({ socket: other }) => {
      other.write(`HTTP/1.1 200 OK\r\nContent-Length: ${5 * piece.length}\r\n\r\n`);
      for (let step = 1; step <= 5; step++) setTimeout(() => other.write(piece), 500 * step);
    };
    expect((await request(get("/slow"))).body.length).toBe(5 * piece.length);
    socket.destroy();
  }, 20_000);

  test("14 waits for what RGW does in silence (uploads' ends, copies, many objects at once), and not for a silent read", async () => {
    const late = (ms: number) => {
      say = ({ socket }) => void setTimeout(() => socket.write(OK), ms);
    };
    late(2500);
    const line = (method: string, path: string, header = "") =>
      request(`${method} ${path} HTTP/1.1\r\nHost: s3\r\n${header}Content-Length: 0\r\n\r\n`);
    const long = await Promise.all([
      line("POST", "/b/k?uploadId=x"),
      line("DELETE", "/b/k?uploadId=x"),
      line("POST", "/b?delete"),
      line("POST", "/b?x=1&delete="),
      line("PUT", "/b/k", "x-amz-copy-source: /b/other\r\n"),
      line("PUT", "/b/k?partNumber=1&uploadId=x", "x-amz-copy-source: /b/other\r\n"),
      line("PUT", "/swift/v1/c/o", "X-Copy-From: /c/other\r\n"),
      line("COPY", "/swift/v1/c/o", "Destination: /c/other\r\n"),
      line("PUT", "/swift/v1/c/o?multipart-manifest=put"),
      line("DELETE", "/swift/v1/c/o?multipart-manifest=delete"),
      line("POST", "/swift/v1/?bulk-delete"),
      line("DELETE", "/swift/v1/?bulk-delete=1"),
      line("PUT", "/swift/v1/c?extract-archive=tar.gz"),
      line("DELETE", "/admin/bucket?bucket=b&purge-objects=true"),
      line("DELETE", "/admin/user?uid=u&purge-data=true"),
    ]);
    expect(long.map(({ status }) => status)).toEqual(long.map(() => 200));
    const short = await Promise.all([
      request(get("/b/k")),
      request(get("/b/k?uploadId=x")),
      request(get("/b?prefix=delete&x=multipart-manifest")),
      line("PUT", "/b/k"),
      line("PUT", "/b/k?partNumber=1&uploadId=x"),
      line("DELETE", "/b/delete"),
      line("POST", "/b/k?deleted"),
    ]);
    expect(short.map(({ status, ms }) => [status, ms < 2000])).toEqual(short.map(() => [504, true]));
  }, 20_000);

  test.each(["PUT", "POST", "DELETE", "GET"])(
    "15 never sends a %s twice, however the server ends the connection",
    async (method) => {
      let connections = 0;
      say = ({ socket }) => {
        connections++;
        // Serves one request, and drops the connection at the moment the next one comes: the race of an idle connection.
        if (connections > 1) socket.destroy();
        else socket.write(OK);
      };
      const socket = await dial();
      await exchange(socket, get("/warm"));
      got = [];
      const body = method === "GET" || method === "DELETE" ? "" : "12345";
      const answer = await exchange(
        socket,
        `${method} /b/once HTTP/1.1\r\nHost: s3\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      expect([0, 502]).toContain(answer.status);
      expect(got.filter(({ head }) => head.includes("/b/once"))).toHaveLength(1);
      socket.destroy();
    },
  );

  test("15 opens a new connection where the server has closed an idle one", async () => {
    say = ({ socket }) => {
      socket.write(OK);
      setTimeout(() => socket.destroy(), 50);
    };
    const socket = await dial();
    await exchange(socket, get("/warm"));
    await Bun.sleep(200);
    expect((await exchange(socket, "PUT /b/k HTTP/1.1\r\nHost: s3\r\nContent-Length: 2\r\n\r\nab")).status).toBe(200);
    expect(got).toHaveLength(2);
    socket.destroy();
  });

  const health = (path = "/health") => request(get(path), { to: "127.0.0.1", port: STATS_PORT });

  test("17 tells the health of each group by its servers, within the checks' time", async () => {
    expect([(await health()).status, (await health("/health/s3")).status]).toEqual([200, 200]);
    healthy = false;
    const fell = performance.now();
    // Three checks, 200 ms apart here, and the next one may have just begun.
    await until("the group is down", async () => (await health("/health/s3")).status === 503, 5_000, 10);
    expect(performance.now() - fell).toBeLessThan(3 * 200 + 1000);
    expect([(await health()).status, (await health("/health/archive")).status]).toEqual([200, 200]);
    healthy = true;
    await until("the group is back", async () => (await health("/health/s3")).status === 200, 5_000, 10);

    for (const group of ["s3", "archive"]) {
      const name = (await ingress.stat()).find(({ pxname, svname }) => pxname === group && svname !== "BACKEND")?.[
        "svname"
      ];
      await ingress.say(`set server ${group}/${name} state drain`);
      await until(`${group} counts as down`, async () => (await health(`/health/${group}`)).status === 503, 5_000, 10);
    }
    expect((await health()).status).toBe(503);
    for (const { pxname, svname } of await ingress.stat()) {
      if (["s3", "archive"].includes(pxname ?? "") && svname !== "BACKEND")
        await ingress.say(`set server ${pxname}/${svname} state ready`);
    }
    await until("all is back", async () => (await health()).status === 200, 5_000, 10);
  }, 20_000);

  describe("18 access:", () => {
    const plain = (from: string) => request(get("/b/k"), { port: 80, from });
    /** 0 for a connection that is closed or reset before an answer. */
    const statusOf = (options: RequestOptions, path = "/") =>
      request(get(path), options).then(
        ({ status }) => status,
        () => 0,
      );
    const stats = (to: string, from: string, path = "/stats") => statusOf({ to, port: STATS_PORT, from }, path);

    test("plain HTTP is for the listed, and everybody else is sent to HTTPS", async () => {
      const redirected = await plain(OUTSIDE);
      expect(redirected.status).toBe(308);
      expect(redirected.head).toContain("\r\nLocation: https://s3.example.org/b/k");
      expect(got).toEqual([]);
      for (const list of [ingress.paths.frontendHttpList, ingress.paths.backendHttpList]) {
        await ingress.say(`add acl ${list} ${OUTSIDE}`);
        expect((await plain(OUTSIDE)).status).toBe(200);
        expect(last().head).toContain("x-forwarded-proto: http");
        await ingress.say(`clear acl ${list}`);
        expect((await plain(OUTSIDE)).status).toBe(308);
      }
    });

    test("the redirect to HTTPS keeps the path and drops the port; without a Host there is none", async () => {
      const to = async (line: string, headers: string) => {
        const { status, head } = await request(`${line}\r\n${headers}\r\n`, { port: 80, from: OUTSIDE });
        return [status, /^location: (.*)$/im.exec(head)?.[1]];
      };
      const at = (host: string) => `Host: ${host}\r\n`;
      const path = "/b/a%2Fb//c?x=%20&y";
      expect([
        await to(`GET ${path} HTTP/1.1`, at("s3.example.org")),
        await to(`PUT ${path} HTTP/1.1`, `${at("s3.example.org:80")}Content-Length: 0\r\n`),
        await to(`GET ${path} HTTP/1.1`, at("[2001:db8::1]:80")),
        await to(`GET http://s3.example.org:80${path} HTTP/1.1`, at("s3.example.org:80")),
        await to("GET / HTTP/1.1", ""),
        await to("GET / HTTP/1.0", ""),
        await to("GET / HTTP/1.1", at("")),
        await to("GET / HTTP/1.1", at(":80")),
      ]).toEqual([
        [308, `https://s3.example.org${path}`],
        [308, `https://s3.example.org${path}`],
        [308, `https://[2001:db8::1]${path}`],
        [308, `https://s3.example.org${path}`],
        [400, undefined],
        [400, undefined],
        [400, undefined],
        [400, undefined],
      ]);
      expect(got).toEqual([]);
    });

    test("a destination that is not a VIP is closed before the handshake", async () => {
      await expect(dial({ to: NODE })).rejects.toThrow();
      expect(await statusOf({ to: NODE, port: 80 })).toBe(0);
    });

    test("statistics and metrics are for the node's own networks, and never at a VIP", async () => {
      expect(await stats(NODE, INSIDE)).toBe(200);
      expect(await stats(NODE, INSIDE, "/health")).toBe(200);
      expect(await stats("127.0.0.1", "127.0.0.1", "/metrics")).toBe(200);
      expect(await stats(NODE, OUTSIDE)).toBe(0);
      expect(await stats(NODE, OUTSIDE, "/health")).toBe(0);
      expect(await stats(VIPS[0], INSIDE)).toBe(0);
      expect(await stats(VIPS[0], VIPS[0])).toBe(0);
    });

    test("a node that leaves traffic ends each connection after its response, until it stays, and over a restart", async () => {
      const leaving = { path: ingress.paths.leavingList, before: [], after: ["0.0.0.0/0", "::/0"] };
      const socket = await dial();
      const keeps = async () => {
        const { head, status } = await exchange(socket, get());
        expect(status).toBe(200);
        return !/^connection: close$/im.test(head);
      };
      const identity = async () => {
        const { body } = await request(get("/ober"), { to: "127.0.0.1", port: STATS_PORT });
        return JSON.parse(body.toString()) as Identity;
      };
      const says = async () => (await identity()).leaving;
      expect((await identity()).node.ober).toBe("1.2.3");
      expect(await keeps()).toBe(true);
      expect(await says()).toBe(false);
      await ingress.say(`set map ${ingress.paths.identityMap} ${IDENTITY_KEY} {"ober":"9","config":{"vips":"0a"}}`);
      expect(await identity()).toMatchObject({ leaving: false, node: { ober: "9", config: { vips: "0a" } } });
      // What it serves, and its wish to leave, are told while it runs; after a restart nothing is said until it is told again.
      const place = { socket: ingress.socket, map: ingress.paths.servesMap };
      const turn = { phase: "asks", id: "10.77.0.11", command: "ober_restart", at: (await identity()).now } as const;
      expect(await setMapKey(place, SERVES_KEY, `{"at":${turn.at},"vips":{"10.99.0.100":${turn.at - 7}}}`)).toBe(true);
      expect(await setMapKey(place, TURN_KEY, JSON.stringify(turn))).toBe(true);
      expect(await setMapKey(place, "nobody", "{}")).toBe(false);
      expect(Object.values(turnWord("n1", await identity()).said?.serves ?? {}).map((seconds) => seconds >= 7)).toEqual(
        [true],
      );
      expect(turnWord("n1", await identity()).said?.turn).toEqual({
        phase: "asks",
        id: "10.77.0.11",
        command: "ober restart",
      });
      expect(await replaceLists(ingress.files, ingress.socket, [leaving])).toEqual([true]);
      const closed = new Promise((resolve) => socket.once("end", resolve));
      expect(await keeps()).toBe(false);
      expect(await says()).toBe(true);
      await closed;
      await ingress.restart();
      expect(await says()).toBe(true);
      expect((await request(get())).head).toMatch(/^connection: close$/im);
      await replaceLists(ingress.files, ingress.socket, [{ ...leaving, before: leaving.after, after: [] }]);
      expect((await request(get())).head).not.toMatch(/^connection: close$/im);
      expect(await says()).toBe(false);
    });

    test("ends connections after a share of the responses, as long as it is told, and says how many it has", async () => {
      const place = { socket: ingress.socket, map: ingress.paths.servesMap };
      const kept = async () => {
        // One after the other: so many handshakes at once would outlast the shortened times.
        const answers = [];
        for (let one = 0; one < 100; one++) answers.push(await request(get()));
        expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
        return answers.filter(({ head }) => !/^connection: close$/im.test(head)).length;
      };
      expect(await kept()).toBe(100);
      const now = Math.floor(Date.now() / 1000);
      await setMapKey(place, SHED_KEY, "300");
      expect(await kept()).toBe(100);
      await setMapKey(place, SHED_UNTIL_KEY, String(now + 60));
      const share = await kept();
      expect(share).toBeGreaterThan(40);
      expect(share).toBeLessThan(95);
      const plain = await request(get(), { port: 80, from: NODE });
      expect(plain.status).toBeGreaterThan(0);
      await setMapKey(place, SHED_UNTIL_KEY, String(now - 1));
      expect(await kept()).toBe(100);
      await setMapKey(place, SHED_UNTIL_KEY, String(now + 60));
      await setMapKey(place, SHED_KEY, "0");
      expect(await kept()).toBe(100);

      const held = await Promise.all([dial(), dial(), dial({ port: 80 })]);
      const load = async () => {
        const { body } = await request(get("/ober"), { to: "127.0.0.1", port: STATS_PORT });
        return JSON.parse(body.toString()).load;
      };
      await until("three connections are counted", async () => (await load()).connections === 3, 10_000);
      expect((await load()).requests).toBeGreaterThanOrEqual(0);
      for (const socket of held) socket.destroy();
    });

    test("the canary address shows one page, to other nodes' canaries and to monitoring, and nothing else", async () => {
      const at = (path: string, from: string, port = STATS_PORT) => request(get(path), { to: CANARY, port, from });
      for (const from of [OTHER_CANARY, INSIDE]) {
        const { status, body } = await at(CANARY_PATH, from);
        expect([status, body.toString()]).toEqual([200, `${CANARY_TEXT} ${NODE}\n`]);
        for (const path of ["/stats", "/metrics", "/ober", "/health", "/"]) {
          expect((await at(path, from)).status).toBe(404);
        }
      }
      const refused = async (asked: Promise<{ status: number }>) => asked.then(({ status }) => status).catch(() => 0);
      expect(await refused(at(CANARY_PATH, OUTSIDE))).toBe(0);
      // It is no VIP.
      expect(await refused(at("/", OUTSIDE, 80))).toBe(0);
      // Another node's canary may see the canary's page only.
      expect(await refused(request(get("/stats"), { to: NODE, port: STATS_PORT, from: OTHER_CANARY }))).toBe(0);
    });

    test("a week of what the node carries is told, and read as it was", async () => {
      const groups = { s3: 1000, archive: 1000 };
      const slots = Array.from({ length: 2016 }, (_, i) => ({
        slot: 5_900_000 + i,
        bytes: 12_000_000_000 + 1000 * i,
        connections: 25_000,
        cpu: 16_000,
        groups,
      }));
      const load: Load = { at: 1, capacity: { clients: 25_000, mbit: 100_000, said: "kernel", mtu: 9000 }, slots };
      const place = { socket: ingress.socket, map: ingress.paths.servesMap };
      const told = async () => {
        const { body } = await request(get(LOAD_PATH), { to: "127.0.0.1", port: STATS_PORT });
        return parseLoad(body.toString());
      };
      expect(await told()).toBeUndefined();
      expect(await setMapKey(place, LOAD_KEY, loadText(load))).toBe(true);
      const found = await told();
      expect(found?.slots.length).toBeGreaterThan(1_800);
      expect(found).toEqual({ ...load, slots: slots.slice(-(found?.slots.length ?? 0)) });
    });

    test("the runtime socket is for root and its group", () => {
      expect(statSync(ingress.socket).mode & 0o777).toBe(0o660);
    });
  });

  describe("19 changes under a running transfer:", () => {
    const subject = async () => {
      const shown = [
        "sh",
        "-c",
        `openssl s_client -connect ${VIPS[0]}:443 </dev/null 2>/dev/null | openssl x509 -noout -subject`,
      ];
      return (await run(shown)).stdout.trim();
    };

    test("a reload, a new certificate and a server that changes its address cut nothing", async () => {
      const piece = "x".repeat(10_000);
      // A byte now and then, so that the shortened timeouts do not end the upload on a busy machine.
      let drops = 150;
      const length = 4 * piece.length + drops;
      say = (received) =>
        void until("all is there", () => received.body().length === length, 15_000).then(
          () => received.socket.write(OK),
          () => {},
        );
      const socket = await dial();
      const answer = exchange(socket, `PUT /b/k HTTP/1.1\r\nHost: s3\r\nContent-Length: ${length}\r\n\r\n${piece}`);
      const dripping = setInterval(() => {
        if (drops === 0) return;
        drops--;
        socket.write("x");
      }, 200);
      await until("the upload has begun", () => got.some(({ head }) => head.startsWith("PUT")), 5_000);
      say = ({ socket: other }) => void other.write(OK);

      const pem = await selfSigned("new.example.org");
      expect(await ingress.say(`set ssl cert ${ingress.certificate} <<\n${pem.trim()}\n`)).toMatch(
        /^transaction created/i,
      );
      expect(await ingress.say(`commit ssl cert ${ingress.certificate}`)).toContain("Success");
      expect(await subject()).toContain("new.example.org");
      socket.write(piece);

      ingress.put(ingress.certificate, pem);
      const before = ingress.workers();
      await ingress.reload();
      expect(await subject()).toContain("new.example.org");
      socket.write(piece);
      expect((await request(get())).status).toBe(200);

      const name = (await ingress.stat()).find(({ pxname, svname }) => pxname === "archive" && svname !== "BACKEND")?.[
        "svname"
      ];
      await ingress.say(`set server archive/${name} addr ${SERVERS[0]} port 7480`);
      expect((await request(get(), { to: VIPS[1] })).body.toString()).toBe("ok");
      await ingress.say(`set server archive/${name} addr ${ARCHIVE} port 7480`);

      clearInterval(dripping);
      socket.write(`${piece}${"x".repeat(drops)}`);
      expect((await answer).status).toBe(200);
      socket.destroy();
      await until("the old worker is gone", () => !ingress.workers().some((pid) => before.includes(pid)), 10_000);
    }, 30_000);

    test.each([
      ["configuration", (broken: Ingress) => broken.paths.haproxyConfig],
      ["certificate", (broken: Ingress) => broken.certificate],
    ])(
      "a broken %s leaves the old worker in service",
      async (_what, fileOf) => {
        const file = fileOf(ingress);
        const good = (await ingress.files.read(file)) ?? "";
        const [pid, said] = [await ingress.worker(), ingress.log().length];
        ingress.put(file, `${good.slice(0, good.length / 2)}\nbroken\n`);
        await ingress.reloadUntil("HAProxy refuses it", () => /ALERT/.test(ingress.log().slice(said)));
        expect(await ingress.worker()).toBe(pid);
        expect((await request(get())).status).toBe(200);
        ingress.put(file, good);
        await ingress.reload();
        expect((await request(get())).status).toBe(200);
      },
      30_000,
    );
  });

  test("20 says of itself what monitoring needs", async () => {
    const metrics = await request(get("/metrics"), { to: "127.0.0.1", port: STATS_PORT });
    const has = (line: RegExp) =>
      metrics.body
        .toString()
        .split("\n")
        .some((text) => line.test(text));
    expect(has(/^haproxy_process_max_connections [1-9]\d{3,}$/)).toBe(true);
    expect(has(/^haproxy_backend_active_servers\{proxy="s3"\} 1$/)).toBe(true);
    expect(has(/^haproxy_server_status\{proxy="s3",server="10\.66\.0\.11:7480",state="UP"\} 1$/)).toBe(true);
  });
});
