/** What the fixes of findings name to type. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CONDITIONS } from "../../../src/node/conditions.ts";
import { commandIn } from "../../helpers/said.ts";

test.each([
  ["ober start", "ober start"],
  ["ober start; if it ends again: ober logs --service http", "ober start"],
  ["ober undrain, when the work is done", "ober undrain"],
  ["correct the file, or put back what is live: ober rollback 3 --yes", "ober rollback 3 --yes"],
  ["put what you need into ober.yaml, then: ober apply --yes; the difference: ober doctor", "ober apply --yes"],
  [
    "systemctl unmask a.service && ober apply --yes && ober start",
    "systemctl unmask a.service && ober apply --yes && ober start",
  ],
  ["on the one whose clock is wrong (date -u): timedatectl set-ntp true; more", "timedatectl set-ntp true"],
  ["kill 12", "kill 12"],
  ["chown root:root /etc/x && chmod go-w /etc/x", "chown root:root /etc/x && chmod go-w /etc/x"],
  ["start that RGW; what each of them answers: ober test", undefined],
  ["renew it", undefined],
  ["on the router: this node's neighbor entry (ober router-config); TCP 179 must pass: ober doctor", undefined],
])("the command in '%s'", (fix, command) => {
  expect(commandIn(fix)).toBe(command as string);
});

const SOURCE = join(import.meta.dirname, "../../../src");

test("every condition that a message asks doctor for exists", () => {
  const known = CONDITIONS.map(({ id }) => id);
  const files = (readdirSync(SOURCE, { recursive: true }) as string[]).filter((file) => file.endsWith(".ts"));
  const named = files.flatMap((file) =>
    [...readFileSync(join(SOURCE, file), "utf8").matchAll(/doctor --only ([a-z,-]+)/g)].flatMap(([, ids = ""]) =>
      ids.split(","),
    ),
  );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((id) => !known.includes(id))).toEqual([]);
});
