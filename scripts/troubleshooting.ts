/**
 * Writes docs/troubleshooting.md: what clients and operators notice, and every condition that ober knows, from src/node/conditions.ts and the
 * table of broken nodes of the tests. `bun scripts/troubleshooting.ts`; a test says when it must run again.
 */
import { join } from "node:path";
import { CONDITIONS } from "../src/node/conditions.ts";
import { BROKEN, BROKEN_VRRP } from "../test/e2e/_broken.ts";

export const TROUBLESHOOTING_FILE = join(import.meta.dirname, "../docs/troubleshooting.md");

/** What is noticed, what it most often is (ids of conditions), and what to type. */
const SYMPTOMS: readonly (readonly [symptom: string, causes: readonly string[], type: string])[] = [
  [
    "No connection to the VIP: refused, or a timeout",
    ["units", "vips", "routes", "bgp", "vrrp", "firewall"],
    "ober why",
  ],
  ["One node gets no traffic, the others do", ["drained", "held", "routes", "bgp", "bfd"], "ober why"],
  ["Clients refuse the certificate", ["certificate", "held", "renewal"], "ober certs"],
  ["`503 SlowDown`", ["backends", "saturation"], "ober status"],
  ["`503` or `504` on every request", ["backends", "server-names", "errors"], "ober test"],
  ["Port 80 redirects to HTTPS", [], "ober sync --test ADDRESS"],
  ["Connections are closed before the handshake", ["saturation", "descriptors"], "ober status"],
  ["Large downloads hang, small requests work", ["client-paths"], "ober doctor --only client-paths"],
  ["A VIP answers on two machines", ["vrrp", "identity", "firewall"], "ober status"],
  [
    "`ober apply` or `ober config` refuses",
    ["configuration", "addresses", "identity", "unconfirmed"],
    "ober config validate /opt/ober/etc/ober.yaml",
  ],
  ["Nodes differ from each other", ["agreement", "applied", "drift"], "ober status --all"],
  ["HAProxy does not start", ["certificate", "ports", "foreign-units"], "ober logs --service http"],
  ["Everything is slow", ["sysctl", "network-queues", "descriptors", "saturation"], "ober doctor"],
  ["A node does not come back after its machine died", ["disk", "records", "units"], "ober doctor"],
];

const titleOf = (id: string): string => {
  const found = CONDITIONS.find((one) => one.id === id);
  if (found === undefined) throw new Error(`there is no condition ${id}`);
  return found.title;
};

const named = (ids: readonly string[]) =>
  ids.length === 0 ? "" : ids.map((id) => `[${titleOf(id)}](#${id})`).join(", ");

export function troubleshootingText(): string {
  const triedWith = (id: string) =>
    [...BROKEN, ...BROKEN_VRRP].filter(({ first }) => first[0] === id).map(({ what }) => what);
  return `${[
    "# When something is wrong",
    "",
    "Written by `bun scripts/troubleshooting.ts`. `ober status` says whether the node serves, `ober why` why it does not, `ober doctor` all that is",
    "wrong, each with what to type; `ober status --all` shows in what nodes differ. The first thing that is named is the cause: mend it, and look again.",
    "",
    "## By what you notice",
    "",
    "| you notice | most often | type |",
    "|---|---|---|",
    ...SYMPTOMS.map(([symptom, causes, type]) => `| ${symptom} | ${named(causes)} | \`${type}\` |`),
    "",
    "## Every condition",
    "",
    "In the order in which ober asks, cause before consequence. `ober doctor --only ID` asks one of them. The last column is what the tests break on a",
    "node, to see that this is named first, and that the node is well once it is mended.",
    "",
    "| id | what | of | follows from | tried with |",
    "|---|---|---|---|---|",
    ...CONDITIONS.map(
      ({ id, title, of, after = [] }) =>
        `| <a id="${id}"></a>\`${id}\` | ${title} | ${of === "vip" ? "a VIP" : "the node"} | ${after.map((one) => `\`${one}\``).join(", ")} | ${triedWith(id).join("; ")} |`,
    ),
  ].join("\n")}\n`;
}

if (import.meta.main) await Bun.write(TROUBLESHOOTING_FILE, troubleshootingText());
