/** `ober rgw` as it is typed on a node whose HAProxy remembers what it is told. */
import { beforeEach, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Documents } from "../../src/documents.ts";
import { checkedDocument } from "../helpers/documents.ts";
import { OWN, PEERS, RGWS, STAT, stageAmongPeers } from "./_stage.ts";

const here = stageAmongPeers();
const [ONE = "", TWO = ""] = RGWS;
const [HOST = ""] = ONE.split(":");

/** What HAProxy was told, by server. */
const told = new Map<string, { admin: number; weight: number }>();
const ofServer = (name: string) => told.get(name) ?? { admin: 0, weight: 100 };

function say(command: string): string {
  const [, name = "", what, value = ""] = /^set server s3\/(\S+) (state|weight) (\S+)/.exec(command) ?? [];
  if (what === "weight") told.set(name, { ...ofServer(name), weight: Number(value) });
  if (what === "state") told.set(name, { ...ofServer(name), admin: value === "drain" ? 8 : value === "maint" ? 1 : 0 });
  if (command.startsWith("show servers state"))
    return `1\n# be_id\n${RGWS.map((one) => `4 s3 1 ${one} ${one.split(":")[0]} 2 ${ofServer(one).admin} ${ofServer(one).weight} 100 17 15 3 4 6 0 0 0 - 7480 -`).join("\n")}\n`;
  if (!command.startsWith("show stat")) return "\n";
  return RGWS.reduce((text, one) => {
    const word = { 0: "UP", 1: "MAINT", 8: "DRAIN" }[ofServer(one).admin] ?? "";
    return text.replace(`s3,${one},0,2,1000,50,1,2,UP`, `s3,${one},0,${word === "UP" ? 2 : 0},1000,50,1,2,${word}`);
  }, STAT);
}

beforeEach(() => {
  told.clear();
  here().haproxy.say = say;
  rmSync(join(here().prefix, "var/rgws.json"), { force: true });
});

const words = (line: string) =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
async function type(line: string, code = 0, options: { within?: string } = {}) {
  const said = await here().ober(["rgw", ...words(line)], options);
  expect(said.code, `${said.stdout}${said.stderr}`).toBe(code);
  return said;
}
async function document<T>(line: string, code = 0): Promise<T> {
  const { stdout } = await type(`${line} --json`, code);
  return checkedDocument(["rgw", ...words(line), "--json"], stdout) as T;
}
const kept = () => JSON.parse(readFileSync(join(here().prefix, "var/rgws.json"), "utf8")).wishes as unknown[];

test("takes an RGW out, says by whom and why wherever it is shown, and takes it back", async () => {
  const drained = await document<Documents["rgw drain"]>(`drain ${HOST} --wait --reason 'new disks'`);
  expect(drained).toEqual({
    ...{
      group: "s3",
      server: ONE,
      changed: true,
      inForce: true,
      notKept: null,
      change: "drain",
      weight: null,
      left: 0,
    },
  });
  expect(told.get(ONE)).toEqual({ admin: 8, weight: 100 });
  expect(kept()).toMatchObject([{ group: "s3", server: ONE, wish: "drain", reason: "new disks" }]);
  expect(await document(`drain ${ONE}`)).toMatchObject({ changed: false });
  const { rgws, stale } = await document<Documents["rgw"]>("list");
  expect(rgws.map(({ server, state }) => `${server} ${state}`)).toEqual([`${ONE} drained`, `${TWO} serves`]);
  expect(stale).toEqual([]);
  const shown = (await type("")).stdout;
  expect(shown).toMatch(/s3 +10\.66\.0\.11:7480 +drained/);
  expect(shown).toMatch(
    /10\.66\.0\.11:7480 was taken out \ds ago by \S+: new disks \(ober rgw undrain 10\.66\.0\.11:7480\)/,
  );
  expect(shown).toContain("p50 and p99 of the last minute: not known");
  for (const command of ["status", "why", "doctor --only backends"]) {
    const { stdout } = await here().ober(command.split(" "));
    expect(stdout, command).toMatch(/10\.66\.0\.11:7480 is drained: taken out by \S+ \(ober rgw drain\): new disks/);
  }
  const doctor = await here().ober(["doctor", "--only", "backends"]);
  expect(doctor.stdout).toContain(`ober rgw undrain ${ONE} --group s3`);
  expect((await type(`undrain ${HOST}`)).stdout).toContain("gets requests from this node again");
  expect(told.get(ONE)).toEqual({ admin: 0, weight: 100 });
  expect(existsSync(join(here().prefix, "var/rgws.json"))).toBe(false);
  const { stdout } = await here().ober(["history"]);
  expect(stdout).toMatch(/ober rgw drain 10\.66\.0\.11 --wait --reason new disks/);
  expect(stdout).not.toContain("rgw list");
}, 60_000);

test("a weight, and its end", async () => {
  expect((await type(`weight ${HOST} 50`)).stdout).toContain(`${ONE} has the weight 50, of 100, on this node`);
  expect(told.get(ONE)).toEqual({ admin: 0, weight: 50 });
  expect((await type("list")).stdout).toMatch(/10\.66\.0\.11:7480 has the weight 50 since \ds, by \S+/);
  await type(`weight ${HOST} 100`);
  expect(existsSync(join(here().prefix, "var/rgws.json"))).toBe(false);
}, 30_000);

test("the last one stays, unless forced", async () => {
  await type(`disable ${HOST}`);
  const refused = await type(`drain ${TWO}`, 1);
  expect(refused.stderr).toContain("error: no other RGW of s3 takes requests on this node");
  expect(told.get(TWO)).toBeUndefined();
  await type(`drain ${TWO} --force`);
  expect(told.get(TWO)).toEqual({ admin: 8, weight: 100 });
}, 30_000);

test("what ober.yaml no longer has is named, and forgotten", async () => {
  const wish = { group: "s3", server: "old:7480", wish: "drain", by: "ann", at: "2026-01-01T12:00:00Z", reason: "" };
  writeFileSync(join(here().prefix, "var/rgws.json"), JSON.stringify({ wishes: [wish] }));
  const doctor = await here().ober(["doctor", "--only", "backends"]);
  expect(doctor.stdout).toMatch(
    /old:7480 of s3 is not in ober\.yaml any more[\s\S]*ober rgw undrain old:7480 --group s3/,
  );
  expect((await type("")).stdout).toContain("old:7480 of s3 is not in ober.yaml any more");
  expect(await document("undrain old")).toMatchObject({ server: "old:7480", changed: true });
  expect(existsSync(join(here().prefix, "var/rgws.json"))).toBe(false);
}, 30_000);

test("with a disk that cannot be written HAProxy is told all the same, and the operator until when", async () => {
  const within = `mount --bind "$STAGE/node/var" "$STAGE/node/var" && mount -o remount,ro,bind "$STAGE/node/var" && exec "$@"`;
  const { stderr } = await type(`drain ${HOST}`, 0, { within });
  expect(stderr).toContain(`${ONE} is as before after HAProxy's next restart, because this could not be kept`);
  expect(told.get(ONE)).toEqual({ admin: 8, weight: 100 });
}, 30_000);

test("--all says what to type on each node, and changes nothing", async () => {
  const said = await document<{ type: { node: string; command: string }[] }>(
    `drain ${HOST} --all --reason 'new disks'`,
  );
  expect(said.type.map(({ node }) => node)).toEqual([OWN, ...PEERS]);
  expect(said.type[0]?.command).toBe(`ssh ${OWN} sudo 'ober rgw drain ${ONE} --reason '\\''new disks'\\'''`);
  expect(told.size).toBe(0);
  expect(existsSync(join(here().prefix, "var/rgws.json"))).toBe(false);
}, 30_000);

test.each([
  ["drain rgw9", 1, 'error: there is no RGW "rgw9"'],
  ["drain", 2, "error: `ober rgw drain` needs the name of an RGW"],
  ["weight 10.66.0.11", 2, "error: `ober rgw weight` needs a weight"],
  ["weight 10.66.0.11 0", 2, 'error: the weight "0" is not a whole number from 1 to 256'],
  ["undrain 10.66.0.11 --wait", 2, "error: --wait goes with drain and disable"],
  ["list 10.66.0.11", 2, "error: `ober rgw list` does not take '10.66.0.11'"],
])(
  "ober rgw %s is refused",
  async (line, code, error) => {
    expect((await type(line, code)).stderr).toContain(error);
  },
  20_000,
);
