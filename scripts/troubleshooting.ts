/**
 * Writes docs/troubleshooting.md: symptoms, each with the command that shows the cause; then every condition (src/node/conditions.ts), and the
 * faults tested on real nodes (test/e2e/_broken.ts). Run `bun scripts/troubleshooting.ts`; a test fails if it must run again.
 */
import { join } from "node:path";
import { CONDITIONS } from "../src/node/conditions.ts";
import { BROKEN, BROKEN_VRRP, type Broken } from "../test/e2e/_broken.ts";

export const TROUBLESHOOTING_FILE = join(import.meta.dirname, "../docs/troubleshooting.md");

type Symptom = {
  readonly seen: string;
  /** The usual cause, and the fix if one command is enough. */
  readonly why: string;
  /** What to type first, without `ober`. */
  readonly ask?: string;
  /** The conditions behind it, for `ober doctor --only`. */
  readonly ids?: readonly string[];
};

/** In the order of severity. */
export const SYMPTOMS: Readonly<Record<string, readonly Symptom[]>> = {
  "What clients see": [
    {
      seen: "connection refused",
      why: "The packet reached a node on which HAProxy does not listen: the node is stopped, or HAProxy does not start.",
      ask: "status --all",
      ids: ["units", "haproxy", "ports", "certificate"],
    },
    {
      seen: "connection times out, all clients",
      why: "No router has a route to the VIP, no node holds it, or a firewall drops the packets.",
      ask: "status --all",
      ids: ["link", "bgp", "routes", "vrrp", "firewall"],
    },
    {
      seen: "connection is closed at once, some clients",
      why: "That address already has `max_connections_per_client` connections. If many clients share one NAT, raise the limit or set 0.",
      ask: "why",
      ids: ["saturation"],
    },
    {
      seen: "certificate error",
      why: "The certificate is expired, self-signed, for other names, or its chain is incomplete.",
      ask: "certs check",
      ids: ["certificate", "renewal", "held"],
    },
    {
      seen: "503 SlowDown",
      why: "A request waited 20 s for busy RGWs (`sQ` in the journal), or no RGW answers (`SC`). HAProxy 2.6 shows neither.",
      ask: "logs --service http --since 10m",
      ids: ["backends", "errors", "rgw-limits", "saturation"],
    },
    {
      seen: "404 NoSuchBucket for the name of S3 itself, or a list of buckets for a bucket's name",
      why: "The RGWs do not know the names that clients use: `ober ceph-config` prints what to tell Ceph.",
      ask: "ceph-config",
      ids: ["rgw-names"],
    },
    {
      seen: "500, 502 or 504",
      why: "An RGW failed, closed without an answer, or did not answer in time. The journal names the RGW and the path.",
      ask: "logs --service http --since 10m",
      ids: ["errors", "backends"],
    },
    {
      seen: "plain HTTP is redirected to https",
      why: "The client is not on a list for plain HTTP; set the list with `ober sync --frontend-http`.",
      ask: "sync --test ADDRESS",
    },
    {
      seen: "RequestTimeTooSkewed",
      why: "The clock of the client or of the RGW is more than 15 minutes off. `doctor` checks the RGW's.",
      ids: ["clock"],
    },
    {
      seen: "small objects work, large ones hang",
      why: "Large packets are lost on the path, or exceed its MTU.",
      ask: "test",
      ids: ["client-paths"],
    },
    {
      seen: "transfers break when a node leaves or joins",
      why: "The nodes do not know each other (`nodes` in `ober.yaml`), or cannot hand connections over.",
      ids: ["handover"],
    },
    {
      seen: "everything is slow",
      why: "The node is at its limit of connections, or one CPU does all the network's work.",
      ask: "status",
      ids: ["saturation", "network-queues", "steal", "sysctl", "descriptors"],
    },
  ],
  "What a node shows": [
    {
      seen: "one node gets no traffic",
      why: "It is drained, stopped or held back for its certificate; or no router has a session with it.",
      ask: "why",
      ids: ["drained", "held", "units", "bgp", "vrrp"],
    },
    {
      seen: "`status` is red after a reboot",
      why: "A drain outlives a reboot: `ober undrain`. Otherwise `why` names the first fault.",
      ask: "status --wait 60",
      ids: ["drained", "units", "link", "disk"],
    },
    {
      seen: "a VIP is on two nodes (keepalived)",
      why: "The nodes do not hear each other's VRRP (IP protocol 112), or have different lists of nodes. Run the commands on each of them.",
      ids: ["vrrp", "identity", "agreement"],
    },
    {
      seen: "a VIP is on another node than its owner (keepalived)",
      why: "The owner is drained or unhealthy, or the nodes have different `ober.yaml`.",
      ask: "status --all",
      ids: ["vrrp", "vrrp-cluster", "agreement"],
    },
    {
      seen: "a BGP session is down",
      why: "AS number, password, TTL, firewall or link; the router's own reason is shown.",
      ids: ["link", "bgp"],
    },
    {
      seen: "a dead node is noticed only after seconds",
      why: "BFD is down or off, so the hold time decides.",
      ids: ["bfd"],
    },
    {
      seen: "an RGW runs and is DOWN here",
      why: "Its health check fails, its name does not resolve, or the path to it is blocked.",
      ask: "test",
      ids: ["backends", "server-names"],
    },
    {
      seen: "an RGW has a new address, HAProxy the old one",
      why: "Names are resolved at a start or reload: `ober restart --reload-only`. `resolve: follow` does this automatically.",
      ask: "names",
      ids: ["server-names"],
    },
    {
      seen: "`ober-http` keeps ending",
      why: "HAProxy refuses a certificate or its configuration, or another program has its port.",
      ask: "logs --service http",
      ids: ["certificate", "ports", "drift"],
    },
    {
      seen: '"timed out" or "not known" beside a finding',
      why: "A program or a disk hangs; everything that does not need it is still shown.",
      ids: ["disk", "programs", "systemd"],
    },
    {
      seen: "metrics do not change",
      why: "The timer that writes them does not run, or node_exporter does not.",
      ids: ["metrics"],
    },
  ],
  "When a change is refused": [
    {
      seen: "`this node stays: ...`",
      why: "No other node serves, or another one is leaving. `--wait-turn 600` waits; `--force` leaves anyway and may cause an outage.",
      ask: "status --all",
    },
    {
      seen: "`... waits for its confirmation`",
      why: "An earlier change is not confirmed: `ober confirm` keeps it, `ober confirm --undo` undoes it.",
      ids: ["unconfirmed"],
    },
    {
      seen: "`your SSH session comes in by ...`",
      why: "The change removes the VIP through which you are connected. Connect to the node's own address.",
    },
    {
      seen: "`two nodes would hold one VIP: ...`",
      why: "A peer knows itself, or this node, by another address (keepalived). Apply a renumbered node first.",
      ids: ["identity", "names"],
    },
    {
      seen: "`ober.yaml` is refused",
      why: "Every problem is named with its key and what to write. The node keeps serving with the last applied configuration.",
      ask: "config validate /opt/ober/etc/ober.yaml",
      ids: ["configuration"],
    },
    {
      seen: "a program refuses a generated file",
      why: "Nothing was changed; the message has that program's words and the line.",
      ask: "apply --dry-run",
    },
    {
      seen: "a change has been undone",
      why: "It was not confirmed in time, the node did not become healthy, or it was rolled back.",
      ask: "history --since 1d",
      ids: ["unconfirmed", "applied"],
    },
    {
      seen: "a record is missing, damaged or newer",
      why: "ober's own files under `var/` are lost or have another version.",
      ids: ["records"],
    },
  ],
};

/** What to type, as a list of code. */
function commandsOf({ ask, ids }: Symptom): string {
  const commands = [
    ...(ask === undefined ? [] : [ask]),
    ...(ids === undefined ? [] : [`doctor --only ${ids.join(",")}`]),
  ];
  return commands.map((command) => `\`ober ${command}\``).join("<br>") || "the message itself";
}

const cell = (text: string) => text.replaceAll("|", "\\|");
const row = (...cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |`;

const symptomTable = (symptoms: readonly Symptom[]): string =>
  [
    row("symptom", "likely cause", "check with"),
    "|---|---|---|",
    ...symptoms.map((symptom) => row(symptom.seen, symptom.why, commandsOf(symptom))),
  ].join("\n");

const link = (id: string) => `[${id}](#${id})`;

function conditionRow({ id, title, of, after = [], deep }: (typeof CONDITIONS)[number]): string {
  const shown = ["`doctor`", ...(of === "vip" ? ["`why`"] : []), ...(deep ? [] : ["`status`, metrics"])];
  return row(`<a id="${id}"></a>\`${id}\``, title, after.map(link).join(", "), shown.join(", "));
}

/** A pattern of the table of broken nodes in readable form. */
export function spoken({ source }: RegExp): string {
  return source
    .replaceAll(/\\d\+|\d?\[[^\]]+\]\S*|\\d\*/g, "N")
    .replaceAll(/ ?\.\* ?/g, " ... ")
    .replaceAll(/\^|\$$/g, "")
    .replaceAll(/\\(.)/g, "$1")
    .replaceAll("|", "` or `")
    .trim();
}

/** What mends it: the command that ober says, or what an operator does. */
export const remedyOf = ({ mends, remedy }: Broken): string => (mends === undefined ? `${remedy} *` : `\`${mends}\``);

function brokenTable(broken: readonly Broken[]): string {
  const place = new Map(CONDITIONS.map(({ id }, index) => [id, index]));
  const at = ({ first: [id] }: Broken) => place.get(id) ?? 0;
  return [
    row("condition", "what was broken", "message", "fix"),
    "|---|---|---|---|",
    ...[...broken]
      .sort((a, b) => at(a) - at(b))
      .map((one) => row(link(one.first[0]), one.what, `\`${spoken(one.first[1])}\``, remedyOf(one))),
  ].join("\n");
}

/** docs/troubleshooting.md as text. */
export function troubleshootingText(): string {
  return `${[
    "# Troubleshooting, by symptom",
    "Made by `bun scripts/troubleshooting.ts`.",
    `Three commands answer most questions, on any node, and change nothing:

    ober status --all      # which nodes serve, and how they differ
    ober why VIP           # why this node serves the VIP or not, cause first, and what to type
    ober doctor            # all that is wrong with this machine, problems first

\`ober history --since 1h\` says what happened and who did what. \`ober doctor --fix\` makes the repairs that cannot do harm.
\`ober support\` packs everything for a colleague, without secrets. Where no command mends it: [operate.md](operate.md).`,
    ...Object.entries(SYMPTOMS).map(([title, symptoms]) => `## ${title}\n\n${symptomTable(symptoms)}`),
    `## Every condition

One list says what can be wrong, cause before consequence. A condition that follows from another one is shown behind it: mend the cause first.
\`ober doctor --only ID\` asks one of them.

${["| id | about | follows from | shown by |", "|---|---|---|---|", ...CONDITIONS.map(conditionRow)].join("\n")}`,
    `## Tested faults and their fixes

\`test/e2e/broken.test.ts\` breaks a real node of the [lab](lab.md) in each of these ways. \`ober doctor\`, \`why\` and \`status\` must name the condition
first, and say the same fix. The test types the command of that fix as it stands, and the node must be well afterwards. A remedy with a * is what
no command does: the fix must ask for it, and the lab does it.
The addresses are the lab's; N is a number.

### BGP mode

Most of these are the same in keepalived mode.

${brokenTable(BROKEN)}

### Keepalived mode

${brokenTable(BROKEN_VRRP)}`,
  ].join("\n\n")}\n`;
}

if (import.meta.main) await Bun.write(TROUBLESHOOTING_FILE, troubleshootingText());
