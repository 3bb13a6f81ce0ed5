/**
 * PEM files as operators bring them, against the HAProxy of every Debian suite: what ober says of a file without asking is what HAProxy
 * says of it, what ober says that HAProxy serves is what a client gets, and what is given to a HAProxy that runs is what its next start
 * would read.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Examined, examinePem } from "../../src/certificates/pem.ts";
import { readPem } from "../../src/certificates/pem-blocks.ts";
import type { Documents } from "../../src/documents.ts";
import { swapCertificate } from "../../src/haproxy/certificates.ts";
import { configFor, type HaproxyVerdict, haproxyAsker } from "../../src/haproxy/verdict.ts";
import { runProcess } from "../../src/system/process.ts";
import type { System } from "../../src/system/system.ts";
import { ober } from "../helpers/ober.ts";
import { until } from "../lab/process.ts";
import { PARSER_TREES, parserSystem } from "./_parsers.ts";
import { accidents, pemRows, type Row } from "./_pem-rows.ts";
import { certificatesFrom } from "./_tls-certificates.ts";

const PLACE = `/tmp/ober-pem-${process.pid}`;
/** From outside the tree a socket's path could be longer than the 107 bytes that the kernel takes. */
const OUTSIDE = `/tmp/ober-pem-tree-${process.pid}`;

/** In addition to the written rows: OBER_ROUNDS=100 makes thousands. */
const ACCIDENTS = 12 * Number(process.env["OBER_ROUNDS"] ?? 1);
const SEED = 20_261;
const AT_ONCE = 24;

let made: readonly Row[];
let rows: readonly Row[];
const fileOf = (index: number) => `${PLACE}/${index}.pem`;

/** Rows in which the verdict depends on the versions of HAProxy and of OpenSSL: there ober alone judges as the newest one does. */
const BY_VERSION = /^SHA-1$/;
/** What lies beside a certificate other than its key, ober leaves to HAProxy. */
const HAPROXY_ALONE = "SCTs beside that are junk";

beforeAll(async () => {
  made = await pemRows();
  const good = made.filter(({ what }) => ["certificate, chain, key", "key, certificate, chain"].includes(what));
  const texts = good.map(({ bytes }) => Buffer.from(bytes).toString("latin1"));
  rows = [...made, ...accidents(texts, ACCIDENTS, SEED)];
}, 60_000);

test("`ober certs check FILE` judges a file anywhere, and names whose judgement it is", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "ober-certs-check-")), "s3.pem");
  const check = async (what: string) => {
    writeFileSync(file, made.find((row) => row.what === what)?.bytes ?? "", { mode: 0o600 });
    const { code, stdout } = await ober(["certs", "check", file, "--json"]);
    const { certificates } = JSON.parse(stdout) as Documents["certs"];
    return { code, said: certificates[0]?.problems[0]?.message ?? "", judge: certificates[0]?.judge };
  };
  try {
    const judge = Bun.which("haproxy") === null ? "ober" : "haproxy";
    expect(await check("certificate, chain, key")).toEqual({ code: 0, said: "", judge });
    expect(await check("blank line in the first certificate")).toEqual({
      code: 1,
      said: expect.stringContaining("has a blank line inside"),
      judge,
    });
  } finally {
    rmSync(dirname(file), { recursive: true });
  }
});

test("there are rows enough", () => {
  expect(made.length).toBeGreaterThan(200);
  expect(new Set(made.map(({ what }) => what)).size).toBe(made.length);
});

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let system: System;
  const verdicts = new Map<string, HaproxyVerdict>();
  /** By ober alone, and with HAProxy's verdict. */
  let alone: readonly Examined[];
  let judged: readonly Examined[];

  beforeAll(async () => {
    const { root, ...files } = await parserSystem(tree);
    // The certificates need no network, and there are many of them.
    system = { ...files, root, run: (argv, options) => runProcess(["chroot", root, ...argv], options) };
    mkdirSync(root + PLACE, { recursive: true });
    for (const [index, { bytes, beside }] of rows.entries()) {
      writeFileSync(root + fileOf(index), bytes, { mode: 0o600 });
      for (const [ending, one] of Object.entries(beside)) {
        writeFileSync(root + fileOf(index) + ending, one, { mode: 0o600 });
      }
    }
    rmSync(OUTSIDE, { force: true });
    symlinkSync(root + PLACE, OUTSIDE);
    const read = await Promise.all(
      rows.map(async (_row, index) => ({
        file: fileOf(index),
        text: (await system.read(fileOf(index))) ?? "",
        keyText: await system.read(`${fileOf(index)}.key`),
      })),
    );
    const now = new Date();
    alone = read.map((pem) => examinePem(pem, now));
    // HAProxy has a time for what it is asked at once, which fits a node's certificates and not all of these on a busy machine.
    for (let at = 0; at < alone.length; at += AT_ONCE) {
      for (const [file, verdict] of await verdictsOf(system, alone.slice(at, at + AT_ONCE)))
        verdicts.set(file, verdict);
    }
    judged = read.map((pem) => examinePem(pem, now, verdicts.get(pem.file)));
  }, 600_000);

  afterAll(async () => {
    await system?.removeTree(PLACE);
    rmSync(OUTSIDE, { force: true });
  });

  const isBroken = ({ problems }: Examined) => problems.some(({ severity }) => severity === "broken");

  test("ober with HAProxy's verdict refuses what HAProxy refuses, and nothing else", () => {
    const other = rows.flatMap(({ what }, index) => {
      const one = judged[index];
      const taken = verdicts.get(fileOf(index)) === "taken";
      return one && isBroken(one) === !taken ? [] : [what];
    });
    expect(other).toEqual([]);
    expect(verdicts.size).toBe(rows.length);
  });

  test("ober alone says the same, but where versions differ, and what HAProxy 2.6 serves a part of", () => {
    const other = rows.flatMap(({ what }, index) => {
      const one = alone[index];
      const taken = verdicts.get(fileOf(index)) === "taken";
      if (!one || isBroken(one) === !taken || BY_VERSION.test(what) || what === HAPROXY_ALONE) return [];
      return tree.release === "bookworm" && /^HAProxy 3.0 and newer refuse/.test(one.problems[0]?.message ?? "")
        ? []
        : [what];
    });
    expect(other).toEqual([]);
  });

  test("each file that is not good comes with its remedy, and none is called strange", () => {
    const all = judged.flatMap(({ problems }) => problems);
    expect(all.filter(({ fix }) => fix.length < 6)).toEqual([]);
    expect(all.filter(({ message }) => /does not understand it/.test(message))).toEqual([]);
    // HAProxy's own words stand alone only where ober has none.
    const words = rows.filter(
      (_, index) =>
        judged[index]?.problems[0]?.message.startsWith("HAProxy refuses /tmp") &&
        !/: (certificate|block) /.test(judged[index]?.problems[0]?.message ?? ""),
    );
    expect(words.map(({ what }) => what).filter((what) => what !== HAPROXY_ALONE && !BY_VERSION.test(what))).toEqual(
      [],
    );
  });

  test("a remedy that is a command mends the file, where nothing else is wrong with it", async () => {
    const mended = judged
      .slice(0, made.length)
      .flatMap(({ problems: [first] }, index) =>
        first?.fix.startsWith("sed ") || first?.fix.startsWith("LC_ALL=C sed ") ? [{ index, fix: first.fix }] : [],
      );
    expect(mended.length).toBeGreaterThan(30);
    // Two commands at most: of several things that are wrong, each is told in its turn.
    for (let round = 0; round < 2; round++) {
      const again = await Promise.all(
        mended.map(async ({ index }) => {
          const text = (await system.read(fileOf(index))) ?? "";
          return examinePem({ file: fileOf(index), text }, new Date()).problems[0]?.fix ?? "true";
        }),
      );
      const script = again.filter((fix) => / sed |^sed /.test(fix)).join("\n");
      await system.run(["sh", "-ec", script === "" ? "true" : script]);
    }
    const after = await Promise.all(
      mended.map(async ({ index }) => {
        const file = fileOf(index);
        const { certificate, problems } = examinePem({ file, text: (await system.read(file)) ?? "" }, new Date());
        return {
          what: rows[index]?.what,
          chain: certificate?.chain,
          said: problems.map(({ message }) => message),
          file,
        };
      }),
    );
    expect(after.filter(({ chain, said }) => chain !== 1 || said.length > 0)).toEqual([]);
    const verdicts = await haproxyAsker(system)(
      after.map(({ file }) => ({ file, suspect: false, state: () => Bun.file(system.root + file).text() })),
    );
    expect(after.filter(({ file }) => verdicts.get(file) !== "taken")).toEqual([]);
    for (const { index } of mended)
      writeFileSync(system.root + fileOf(index), rows[index]?.bytes ?? "", { mode: 0o600 });
  });

  test("a client gets what ober says, from the file and from what a running HAProxy is given", async () => {
    const taken = judged.flatMap(({ certificate }, index) => (certificate ? [{ index, certificate }] : []));
    const config = `${configFor([], "")}${taken.map(({ index }) => `  bind unix@${PLACE}/${index}.sock ssl crt ${fileOf(index)}\n`).join("")}`;
    const listens = config.replace(
      "global\n",
      `global\n  stats socket ${PLACE}/admin.sock level admin\n  tune.bufsize 65536\n`,
    );
    writeFileSync(`${system.root}${PLACE}/haproxy.cfg`, listens);
    const child = Bun.spawn(["chroot", system.root, "haproxy", "-db", "-f", `${PLACE}/haproxy.cfg`], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    try {
      const last = `${OUTSIDE}/${taken.at(-1)?.index}.sock`;
      const isUp = () =>
        certificatesFrom(last).then(
          () => true,
          () => false,
        );
      await until("HAProxy serves", isUp, 15_000);
      const served = () => Promise.all(taken.map(({ index }) => certificatesFrom(`${OUTSIDE}/${index}.sock`)));
      const fromFiles = await served();
      const expected = taken.map(({ certificate }) => dersOf(certificate.payload));
      const odd = taken.flatMap(({ index }, at) => (same(fromFiles[at], expected[at]) ? [] : [rows[index]?.what]));
      expect(odd).toEqual([]);
      const first = taken[0]?.certificate.payload ?? "";
      for (const { index } of taken) await swapCertificate(`${OUTSIDE}/admin.sock`, fileOf(index), first);
      expect((await served()).filter((one) => !same(one, expected[0]))).toEqual([]);
      for (const { index, certificate } of taken)
        await swapCertificate(`${OUTSIDE}/admin.sock`, fileOf(index), certificate.payload);
      const swapped = await served();
      expect(taken.flatMap(({ index }, at) => (same(swapped[at], fromFiles[at]) ? [] : [rows[index]?.what]))).toEqual(
        [],
      );
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  }, 60_000);
});

/** HAProxy's verdict on every row: of those that ober finds good in one run, of the others one by one. */
async function verdictsOf(system: System, alone: readonly Examined[]): Promise<ReadonlyMap<string, HaproxyVerdict>> {
  const ask = haproxyAsker(system);
  const asked = alone.map(({ file, certificate }) => ({
    file,
    suspect: certificate === undefined,
    state: async () => "",
  }));
  const all = new Map<string, HaproxyVerdict>();
  // A question has a deadline.
  for (let at = 0; at < asked.length; at += 200)
    for (const [file, verdict] of await ask(asked.slice(at, at + 200))) all.set(file, verdict);
  return all;
}

const dersOf = (payload: string) =>
  readPem(payload).flatMap((part) =>
    part.kind === "block" && /CERTIFICATE$/.test(part.label) ? [part.der.toString("hex")] : [],
  );
const same = (served: readonly Buffer[] | undefined, expected: readonly string[] | readonly Buffer[] | undefined) =>
  JSON.stringify(served?.map((one) => one.toString("hex"))) ===
  JSON.stringify(expected?.map((one) => (typeof one === "string" ? one : one.toString("hex"))));
