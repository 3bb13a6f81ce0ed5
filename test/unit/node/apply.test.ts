/** What `config`, `apply` and `rollback` do on a node in service: what they return, ask and tell, and what they leave when they fail. */
import { describe, expect, test } from "bun:test";
import { isHeldBack } from "../../../src/certificates/admission.ts";
import { generationNumbers } from "../../../src/change/generations.ts";
import { hasSecret } from "../../../src/config/secrets.ts";
import type { FileChange } from "../../../src/documents.ts";
import { UNIT } from "../../../src/domain/units.ts";
import { CancelledError, ConfigError } from "../../../src/errors.ts";
import { applyText } from "../../../src/node/apply.ts";
import { appliedText } from "../../../src/ui/applied.ts";
import { type LiveNode, liveNode } from "../../helpers/live-node.ts";
import { heard } from "../../helpers/output.ts";
import { paths } from "../../helpers/serving-node.ts";

const longer = (yaml: string) => `${yaml}log_retention_days: 9\n`;
const optionsFor = (text: string) => ({ text, source: paths.config, command: "apply", locked: true });
const generations = ({ node }: LiveNode) => generationNumbers(node.system, paths);

describe("a change of ober.yaml", () => {
  test("is applied, kept as a generation, and returned as a document", async () => {
    using one = await liveNode();
    const text = longer(one.yaml);
    const teller = heard();
    const document = await applyText(one.node, teller, optionsFor(text));
    expect(document).toMatchObject({ generation: 2, unconfirmedUntil: null, warnings: [] });
    expect(document.changed).toContain(paths.config);
    expect(appliedText(document)).toBe(`applied: ${document.changed.length} files changed, kept as generation 2`);
    expect(teller.stages[0]).toBe("checking the new files with the programs that will read them");
    expect(await one.node.system.read(paths.config)).toBe(text);
  });

  test("that is none does nothing", async () => {
    using one = await liveNode();
    const before = one.node.system.deeds.length;
    const document = await applyText(one.node, heard(), optionsFor(one.yaml));
    expect(document).toEqual({
      generation: null,
      unconfirmedUntil: null,
      changed: [],
      haproxy: { by: "nothing", because: null },
      warnings: [],
    });
    expect(appliedText(document)).toBe("nothing to change: the node already has this configuration");
    expect([await generations(one), one.node.system.deeds.length]).toEqual([[1], before]);
  });

  test("in a dry run is shown, and changes nothing", async () => {
    using one = await liveNode();
    const deeds = one.node.system.deeds.length;
    const document = await applyText(one.node, heard(), { ...optionsFor(longer(one.yaml)), dryRun: true });
    expect(document).toMatchObject({ changed: expect.arrayContaining([paths.config]) });
    expect(appliedText(document)).toContain("+log_retention_days: 9");
    expect(await one.node.system.read(paths.config)).toBe(one.yaml);
    expect([await generations(one), one.node.system.deeds.length]).toEqual([[1], deeds]);
    const nothing = await applyText(one.node, heard(), { ...optionsFor(one.yaml), dryRun: true });
    expect([nothing.changed, appliedText(nothing)]).toEqual([[], "nothing would change"]);
  });

  test("of servers alone is told to HAProxy without a reload, which a dry run foresees", async () => {
    using one = await liveNode();
    const text = one.yaml.replace('"10.0.1.1:7480"', '"10.0.1.1:7480", "10.0.1.2:7480"');
    const dry = async () => appliedText(await applyText(one.node, heard(), { ...optionsFor(text), dryRun: true }));
    expect(await dry()).toEndWith("\nHAProxy is reloaded: HAProxy does not say its version");
    const names = ["10.0.1.1"];
    one.haproxy.now.version = "3.0.11-1";
    one.haproxy.now.others = (command) => {
      const [, added = ""] = /^add server s3\/(\S+):7480 /.exec(command) ?? [];
      if (added !== "") names.push(added);
      if (added !== "") return "New server registered.\n";
      const line = (name: string) => `6 s3 1 ${name}:7480 ${name} 2 0 100 100 1 15 3 4 6 0 0 0 - 7480 - 0 0 - - 0`;
      return command === "show servers state" ? `1\n${names.map(line).join("\n")}\n` : "";
    };
    expect(await dry()).toEndWith("\nHAProxy takes this without a reload");
    const deeds = one.node.system.deeds.length;
    const document = await applyText(one.node, heard(), optionsFor(text));
    expect(document).toMatchObject({ generation: 2, haproxy: { by: "runtime", because: null } });
    expect(appliedText(document)).toContain(" files changed without a reload of HAProxy, kept as generation 2");
    expect(one.node.system.deeds.slice(deeds)).toEqual([]);
    expect(one.haproxy.said.findLast((command) => command.startsWith("set map"))).toContain(' node {"ober":');
    expect(await dry()).toBe("nothing would change");
  });

  test("is asked about before anything changes; a no leaves the node as it was", async () => {
    using one = await liveNode();
    const asked: string[][] = [];
    const admit = async (changes: readonly FileChange[]) => {
      asked.push(changes.map(({ path, kind }) => `${kind} ${path}`));
      throw new CancelledError();
    };
    const refused = applyText(one.node, heard(), { ...optionsFor(longer(one.yaml)), admit });
    await expect(refused).rejects.toBeInstanceOf(CancelledError);
    expect(asked).toEqual([expect.arrayContaining([`change ${paths.config}`])]);
    expect([await one.node.system.read(paths.config), await generations(one)]).toEqual([one.yaml, [1]]);
    await applyText(one.node, heard(), { ...optionsFor(one.yaml), admit });
    expect(asked).toHaveLength(1);
  });

  test("waits for its confirmation where that is wanted", async () => {
    using one = await liveNode();
    const document = await applyText(one.node, heard(), { ...optionsFor(longer(one.yaml)), confirmMinutes: 5 });
    expect({ ...document }).toMatchObject({ generation: null, unconfirmedUntil: expect.stringMatching(/^20.*Z$/) });
    expect(appliedText(document)).toMatch(
      /^applied: \d+ files changed; reverts in 5 min unless you run: ober confirm$/,
    );
    expect(await generations(one)).toEqual([1]);
    const again = applyText(one.node, heard(), optionsFor(one.yaml));
    await expect(again).rejects.toMatchObject({ hint: expect.stringContaining("ober confirm") });
  });

  test.each<[what: string, spoil: (one: LiveNode) => unknown, message: string]>([
    ["HAProxy refuses its file", (one) => one.refuse("haproxy -c", "[ALERT] bad"), "haproxy rejected"],
    ["a unit does not reload", (one) => one.refuse("systemctl reload ober-http", "Job failed"), "reload ober-http"],
    ["a program is missing", (one) => one.refuse('/bin/sh -c command -v "$0" exabgp', ""), "exabgp is not installed"],
    [
      "HAProxy does not serve with it",
      ({ haproxy, node: { system } }) => {
        const { run } = system;
        system.run = async (argv, options) => {
          if (argv.join(" ") === `systemctl reload ${UNIT.http}`) haproxy.now.healthy = false;
          return run(argv, options);
        };
      },
      "HAProxy is not healthy",
    ],
  ])("is undone where %s", async (_what, spoil, message) => {
    using one = await liveNode();
    const text = one.yaml.replace("10.0.1.1", "10.0.1.2");
    await spoil(one);
    await expect(applyText(one.node, heard(), optionsFor(text))).rejects.toThrow(message);
    expect([await one.node.system.read(paths.config), await generations(one)]).toEqual([one.yaml, [1]]);
  });

  test("that is no configuration names every problem, and is not tried", async () => {
    using one = await liveNode();
    const calls = one.node.system.calls.length;
    const refused = applyText(one.node, heard(), optionsFor(one.yaml.replace("65001", "abc")));
    await expect(refused).rejects.toBeInstanceOf(ConfigError);
    expect(one.node.system.calls).toHaveLength(calls);
  });

  test("keeps a new password only when it is applied", async () => {
    using one = await liveNode();
    await one.node.system.makeDirectory("/root");
    const options = { ...optionsFor(one.yaml), secrets: { bgp_password: "hunter2" } };
    one.refuse("exabgp --test", "no");
    await expect(applyText(one.node, heard(), options)).rejects.toThrow("exabgp rejected");
    expect(await hasSecret(one.node.system, "bgp_password")).toBe(false);
    one.refuse("exabgp --test", "");
    using other = await liveNode();
    expect(await applyText(other.node, heard(), options)).toMatchObject({ generation: 2 });
    expect(await hasSecret(other.node.system, "bgp_password")).toBe(true);
  });

  test("is made from the file as it was read: an edit since then is not overwritten", async () => {
    using one = await liveNode();
    await one.node.system.writeAtomic(paths.config, `${one.yaml}# mine\n`);
    const options = { ...optionsFor(longer(one.yaml)), madeFrom: one.yaml };
    await expect(applyText(one.node, heard(), options)).rejects.toThrow("edited");
    expect(await one.node.system.read(paths.config)).toBe(`${one.yaml}# mine\n`);
  });
});

describe("a first change without a certificate", () => {
  test("makes one, says what that means, and holds the node back", async () => {
    using one = await liveNode({ withCertificate: false });
    expect(await isHeldBack(one.node.system, paths)).toBe(true);
    expect(await one.node.system.list(paths.certs)).toHaveLength(1);
  });

  test("leaves none behind when it fails", async () => {
    using one = await liveNode();
    await one.node.system.remove(`${paths.certs}/s3.pem`);
    one.refuse("haproxy -c", "[ALERT] bad");
    const teller = heard();
    await expect(applyText(one.node, teller, optionsFor(longer(one.yaml)))).rejects.toThrow("haproxy rejected");
    expect(teller.warnings[0]).toStartWith("there is no certificate yet: made ");
    expect(await one.node.system.list(paths.certs)).toEqual([]);
  });

  test("is foreseen by a dry run, which does not fail for it", async () => {
    using one = await liveNode();
    await one.node.system.remove(`${paths.certs}/s3.pem`);
    const teller = heard();
    await applyText(one.node, teller, { ...optionsFor(longer(one.yaml)), dryRun: true });
    expect(teller.warnings).toContain("there is no certificate yet: ober would make one");
    expect(await one.node.system.list(paths.certs)).toEqual([]);
  });
});

describe("what an apply says", () => {
  const haproxy = { by: "nothing", because: null } as const;
  const document = { generation: 3, unconfirmedUntil: null, changed: ["/a"], haproxy, warnings: [] };
  const now = Date.parse("2026-01-01T12:00:00Z");
  test.each<[string, Parameters<typeof appliedText>[0]]>([
    ["applied: 1 file changed, kept as generation 3", document],
    [
      "applied: 1 file changed without a reload of HAProxy, kept as generation 3",
      { ...document, haproxy: { by: "runtime", because: null } },
    ],
    ["nothing to change; what is live is kept again, as generation 3", { ...document, changed: [] }],
    [
      "applied: 1 file changed; reverts in 1 min unless you run: ober confirm",
      { ...document, generation: null, unconfirmedUntil: "2026-01-01T12:00:20Z" },
    ],
  ])("%s", (text, given) => {
    expect(appliedText(given, now)).toBe(text);
  });
});
