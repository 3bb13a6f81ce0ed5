/** Every golden case, rendered for the versions of each of Debian's suites, is read by the very programs without a word. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { validate, validators } from "../../src/change/validators.ts";
import { findPrograms } from "../../src/system/programs.ts";
import type { System } from "../../src/system/system.ts";
import { type GoldenCase, goldenCases, paths, renderCase } from "../golden/_cases.ts";
import { selfSigned } from "../helpers/certificate.ts";
import { addSurroundings, PARSER_TREES, parserSystem } from "./_parsers.ts";

/** Of its own for each run: trees are shared. */
const STAGING = `/tmp/ober-staged-${process.pid}`;

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let system: System;
  let installed: Awaited<ReturnType<typeof findPrograms>>;

  beforeAll(async () => {
    system = await parserSystem(tree);
    installed = await findPrograms(system);
    const pem = await selfSigned("s3.example.org");
    addSurroundings(system, pem, [
      "/opt/ober/etc/certs/s3.pem",
      "/etc/ssl/private/s3.pem",
      "/etc/ssl/private/ceph-ca.pem",
    ]);
  }, 600_000);

  afterAll(() => system?.removeTree(STAGING));

  /** The case as it would be on a node with this tree's programs. */
  function here(golden: GoldenCase): GoldenCase {
    const { haproxy, exabgp, keepalived } = installed;
    if (!haproxy || !exabgp || !keepalived) throw new Error("a program is missing from the tree");
    return { ...golden, facts: { ...golden.facts, haproxy, exabgp, keepalived } };
  }

  test.each(goldenCases.map((golden) => [golden.name, golden] as const))(
    "accepts %s",
    async (_, golden) => {
      const local = here(golden);
      const remarks = await validate(system, {
        files: renderCase(local),
        paths,
        facts: local.facts,
        directory: STAGING,
      });
      expect(remarks).toEqual([]);
    },
    60_000,
  );

  /** One mistake that only the program can know, in each kind of file; the refusal must name the file and the line. */
  const mistakes: readonly [name: string, file: string, from: string, to: string, said: RegExp][] = [
    [
      "smallest",
      paths.haproxyConfig,
      "balance leastconn",
      "blance leastconn",
      /haproxy rejected .*haproxy\.cfg:(.|\n)*line \d+: blance/,
    ],
    [
      "smallest",
      paths.haproxyConfig,
      "timeout client 120s",
      "timeout client soon",
      /haproxy rejected .*haproxy\.cfg(.|\n)*soon/,
    ],
    ["smallest", paths.exabgpConfig, "hold-time 3;", "hold-time 2;", /exabgp rejected .*config\.ini(.|\n)*hold-?time/i],
    [
      "smallest",
      paths.bfdConfig,
      "multiplier 3;",
      "multiplayer 3;",
      /bird rejected .*bfd\.conf(.|\n)*line \d+: multiplayer/,
    ],
    [
      "vrrp",
      paths.keepalivedConfig,
      "virtual_router_id 101",
      "virtual_router_id 999",
      /keepalived rejected .*keepalived\.conf(.|\n)*999/,
    ],
    [
      "vrrp",
      paths.keepalivedConfig,
      "interface eth0",
      "interface eth7",
      /keepalived rejected .*keepalived\.conf(.|\n)*eth7/,
    ],
  ];

  test.each(mistakes)(
    "refuses a mistake in %s, %s: %s -> %s",
    async (name, file, from, to, said) => {
      const local = here(goldenCases.find((golden) => golden.name === name) as GoldenCase);
      const files = renderCase(local).map((rendered) =>
        rendered.path === file ? { ...rendered, content: rendered.content.replace(from, to) } : rendered,
      );
      expect(files).not.toEqual([...renderCase(local)]);
      const refused = validate(system, { files, paths, facts: local.facts, directory: STAGING });
      expect(refused).rejects.toThrow(said);
      await refused.catch(() => {});
    },
    60_000,
  );

  test("is asked about every kind of file that a BGP node has", () => {
    const rendered = renderCase(here(goldenCases.find(({ name }) => name === "smallest") as GoldenCase));
    const asked = new Set(validators(paths, here(goldenCases[0] as GoldenCase).facts).flatMap(({ reads }) => reads));
    const unread = rendered.filter(({ path }) => !asked.has(path)).map(({ path }) => path.split("/").at(-1) ?? "");
    // Lists are read with haproxy.cfg; the script runs and the keys are set on a live node, in the lab.
    expect(unread).toEqual([
      "99-herr-ober.conf",
      "journald@ober.conf",
      "backend-http.lst",
      "frontend-http.lst",
      "identity.map",
      "leaving.lst",
      "routers.lst",
      "serves.map",
      "stats.lst",
      "vips.lst",
      "ober-vip",
    ]);
  });
});
