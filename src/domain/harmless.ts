/**
 * The parts of a program's answer or a file that may leave the node: lines of known form, without foreign text in them. Other lines stay on the
 * node and are counted. Pure.
 */
import {
  lineRedactor,
  mapTexts,
  REDACTED,
  redact,
  withoutCredentials,
  withoutOpaque,
  withoutValues,
} from "./redact.ts";

/** The line in the form in which it may leave the node, or undefined. */
export type LineFilter = (line: string) => string | undefined;

/** The lines of `text` that `filter` knows, without `values`, and the number of those that it does not know. */
export function harmlessLines(text: string, filter: LineFilter, values: readonly string[]): string {
  const safe = lineRedactor(values);
  const kept: string[] = [];
  let left = 0;
  for (const line of text.replace(/\n$/, "").split("\n")) {
    const known = line.trim() === "" ? "" : filter(line);
    if (known === undefined) left += 1;
    else kept.push(known === "" ? "" : safe(known));
  }
  if (left > 0) kept.push(`(${left === 1 ? "1 line" : `${left} lines`} of other forms left out)`);
  return `${kept.join("\n")}\n`;
}

const matching =
  (...forms: readonly RegExp[]): LineFilter =>
  (line) =>
    forms.some((form) => form.test(line)) ? line : undefined;

const PROGRAMS =
  "haproxy|exabgp|python3?|keepalived|bird|birdc|ober|sshd|systemd[\\w-]*|node_exporter|chronyd?|radosgw";
const PROGRAM = new RegExp(`^(?:${PROGRAMS})$`, "i");

/** Forms of lines in journalctl's output by ober, systemd, HAProxy, ExaBGP, keepalived and BIRD. */
const LOG_LINE =
  /^(\w{3} [ \d]\d [\d:]{8} \S+ )((?:systemd|haproxy|exabgp|python3?|Keepalived\w*|keepalived|ober|bird|ip|nft|sh|timeout|\(\w+\))(?:\[\d+\])?: )(.*)$/;
/** The line of a failed request, without its path: names of buckets and objects belong to the users. */
const FAILED_REQUEST = /^(failed: \d{3}[^/]* [\w.<>-]+\/[\w.<>:-]+ [^/]*ms)( .*)?$/;
const LOG_FORMS: readonly RegExp[] = [
  /^ober[ :]/,
  /^(?:error|hint|warn|warning|bug)\b/,
  // systemd
  /^ober-[\w.-]+\.(?:service|path|timer|target): (?:Main process|Control process|Failed|Scheduled|Deactivated|Consumed|State|Killing|Sent|Start|Stopping|Triggering|Succeeded|Watchdog|A process|Unit|Changed|Service|Job|Got|Reload|Found|Service)/,
  /^(?:Started|Starting|Stopped|Stopping|Reloading|Reloaded|Finished|Failed to start|Closed|Listening|Condition check|Dependency failed|Triggered) (?:[\w.-]+ - )?(?:ober|Condition)/,
  // HAProxy
  FAILED_REQUEST,
  /^\[(?:NOTICE|WARNING|ALERT|INFO)\] +\(\d+\) *: /,
  /^(?:Server|Backup Server|Health check for|backend|Proxy|Connect from|Pausing|Resuming|Stopping|Loading|Reexecuting) /,
  /^[\da-fA-F.:[\]]+:\d+ \[[\w/:. ]+\] [\w.~-]+[ /:]/,
  // ExaBGP
  /^\d\d:\d\d:\d\d(?:\.\d+)? *\|? *\d* *\|? *(?:welcome|version|interpreter|os|installation|cli|cli control|configuration|reactor|reload|processes|process|daemon|network|outgoing-\d+|peer-\d+|api|advice|network|statemachine|startup|rib|wire|message|environment) /,
  // keepalived, with the time that --log-console prefixes
  /^(?:\w{3} \w{3} +\d+ [\d:]{8} \d{4}: )?(?:\([\w.-]+\) |Script |VRRP_Script|Starting |Startup |Stopped|Stopping|Running on|Opening file|Configuration file|Registering |Reloading|Reload |Netlink |Interface |VRRP |track_file|Assigned|Keepalived|Process|bogus VRRP|Unable to|WARNING - )/,
  // BIRD
  /^(?:Started|Reconfigured|Shutdown|Reading configuration|ober: |bfd|Chosen router ID|Initializing|Loading)/,
];

/** A server's answer to a check: HAProxy's own words for it, or nothing. */
const OWN_INFO =
  /^(?:HTTP status check returned code <\d+>|Connection refused[\w ]*|Layer[47][\w ]*|TCP check[\w ]*|SSL handshake failure[\w ]*)$/;

function logLine(line: string): string | undefined {
  const [, head = "", ident = "", message = ""] = LOG_LINE.exec(line) ?? [];
  if (head === "" || !(LOG_FORMS.some((form) => form.test(message)) || /^ober\b/.test(ident))) return undefined;
  const shown = message
    // A request, malformed or not; keep only its method.
    .replace(/"(?:([A-Z]{2,12}) )?[^"]*( HTTP\/\d\.\d)?"$/, (_, method = "", version = "") =>
      /^[\da-fA-F.:[\]]+:\d+ \[/.test(message) ? `"${method ? `${method} ` : ""}${REDACTED}${version}"` : _,
    )
    .replace(FAILED_REQUEST, `$1 ${REDACTED}`)
    // Captured headers.
    .replace(/ \{[^}]*\}/g, "")
    .replace(
      /(info: )"([^"]*)"?/g,
      (_, name: string, info: string) => `${name}"${OWN_INFO.test(info) ? info : REDACTED}"`,
    );
  return `${head}${ident}${shown}`;
}

const unitLine: LineFilter = (line) => {
  const process = /^([\s│├└─|`-]*)(\d+ )(\S+)(.*)$/.exec(line);
  if (process) {
    const [, tree = "", pid = "", name = "", words = ""] = process;
    return PROGRAM.test(
      name
        .split("/")
        .at(-1)
        ?.replace(/[:"]+$/, "") ?? "",
    )
      ? `${tree}${pid}${name}${words}`
      : `${tree}${pid}${REDACTED}`;
  }
  return matching(
    /^[●○×↻*] [\w.@-]+( - [\w:() ]+)?$/,
    /^ +(?:Loaded|Active|Main PID|Tasks|Memory|CPU|IO|IP|CGroup|Docs|Drop-In|TriggeredBy|Triggers|Trigger|Invocation|Process|Until|Duration|Notify Access|FD Store|Cntrl PID): /,
    /^ +[├└]─[\w./@-]+$/,
    /^Unit [\w.@-]+ could not be found\.$/,
  )(line);
};

/** The site's own text, such as an alias. */
const ipLine: LineFilter = (line) =>
  /^\s*alias\b/.test(line)
    ? undefined
    : matching(
        /^\d+: /,
        /^ +(?:link|inet6?|valid_lft|altname|RX|TX|vf|\d)/,
        /^(?:[a-z]+ )?[\da-fA-F.:/]+ /,
        /^(?:default|broadcast|local|unreachable|blackhole|prohibit|multicast|anycast) /,
        /^\s+nexthop /,
      )(line);

const socketLine: LineFilter = (line) =>
  matching(
    /^(?:State|Netid|UNCONN|LISTEN|ESTAB|SYN|FIN|TIME|CLOS|LAST)/,
    /^(?:Total|TCP|UDP|RAW|INET|FRAG|Transport)\b/,
  )(line.replace(/"([^"]*)"/g, (whole, name: string) => (PROGRAM.test(name) ? whole : `"${REDACTED}"`)));

const RULE_NAME = /((?:i|o)(?:if|ifname|br)(?:name)? (?:!= )?|devices? = ?\{? ?)("[\w.@*-]{1,16}")/g;
/** Quoted texts are comments and log prefixes, but interface names are kept. */
const firewallLine: LineFilter = (line) =>
  line
    .replace(RULE_NAME, (_, where: string, name: string) => `${where}${name.replaceAll('"', "\u0001")}`)
    .replace(/ ?comment "[^"]*"?/g, "")
    .replace(/"[^"]*"?/g, `"${REDACTED}"`)
    .replaceAll("\u0001", '"');

const KERNEL =
  /\b(?:eth\d|en[ops]\w+|bond\d|lo-vip|link (?:is|becomes)|carrier|NETDEV|nf_conntrack|nf_tables|TCP: |UDP: |Out of memory|oom|Killed process|I\/O error|EXT4-fs|XFS|blocked for more|segfault|soft lockup|hung_task|haproxy|keepalived|exabgp|bird|clocksource|watchdog)\b/i;
const kernelLine: LineFilter = (line) => (/command line/i.test(line) || !KERNEL.test(line) ? undefined : line);

const KEY = /(?:^|[\s{,-])["']?([A-Za-z_][\w-]*)["']?\s*:(?=[\s"'[{]|$)/g;
/** An entry of a list, or part of a list over several lines: names, addresses, ports, host lists. */
const ENTRY = /^[\s\-[\]{}",'.:/\w*()]+$/;
const VALUE_FORM = /^[\s\w.:/@*,+~?&=()[\]{}"'-]*$/;

/** ober.yaml, valid or broken: its `keys` and the lists below them, without comments. */
export function configLine(ofConfig: ReadonlySet<string>): LineFilter {
  let known = false;
  return (line) => {
    const bare = line.replace(/(^|\s)#.*$/, "");
    if (bare.trim() === "") return undefined;
    const keys = [...bare.matchAll(KEY)].map(([, key = ""]) => key);
    if (keys.length > 0) known = keys.every((key) => ofConfig.has(key)) && VALUE_FORM.test(bare);
    else if (!/^[\s-]*[[{"']?[\w*]|^[\s\]}]+$/.test(bare) || !ENTRY.test(bare) || !/^\s*-|\[|\]|,|\}/.test(bare))
      known = false;
    return known ? bare : undefined;
  };
}

/** The first words of the lines of `templates`: the directives that ober writes. */
export function directivesOf(templates: readonly string[]): ReadonlySet<string> {
  return new Set(templates.flatMap((text) => text.split("\n")).flatMap((line) => directiveOf(line) ?? []));
}

const directiveOf = (line: string) => /^\s*([A-Za-z][\w.-]*(?:=|\b)|[}\]])/.exec(line)?.[1];
const MORE_DIRECTIVES = [
  "server",
  "server-template",
  "neighbor",
  "unicast_peer",
  "unicast_src_ip",
  "http-check",
  "ipv4",
  "ipv6",
  "node",
  "serves",
  "turn",
  "elements",
  "interval",
  "tcp-request",
];
/** Text that never occurs in a line that ober writes: it was added by hand. */
const BY_HAND = /auth|passw|secret|token|tsig|credential|cookie|_key\b|private/i;
const ADDRESSES = /^\s*[\da-fA-F.:/]{2,49}(?: [\w.-]{1,16})?$/;
const OWN_PASSWORD = / md5-password "[^"\\]{1,80}"; md5-base64 false;/;

/** A generated file: lines that begin like ober's, without comments. A line with a word for a credential is not ober's. */
export const directiveLine =
  (directives: ReadonlySet<string>): LineFilter =>
  (line) => {
    const own = line.replace(OWN_PASSWORD, ` md5-password ${REDACTED}; md5-base64 false;`);
    const rest = own.replace(` md5-password ${REDACTED};`, "");
    if (ADDRESSES.test(line)) return line;
    const word = directiveOf(line);
    if (word === undefined || !(directives.has(word) || MORE_DIRECTIVES.includes(word))) return undefined;
    if (word === "h1-case-adjust") return /^\s*h1-case-adjust [\w-]{1,40} [\w-]{1,40}$/.test(line) ? line : undefined;
    return BY_HAND.test(rest) ? undefined : own;
  };

const COPIED = /^[\da-f]{8,128}$/i;
const DIGEST = /digest|sha256|commit|fingerprint|serial|identity/i;

/** A document of ober's: without credentials, and with long words only if a key says that they are digests. */
export function harmlessDocument(value: unknown, values: readonly string[]): string {
  const change = (text: string, key: string) =>
    DIGEST.test(key) && COPIED.test(text) ? text : withoutOpaque(withoutCredentials(withoutValues(text, values)));
  return `${JSON.stringify(mapTexts(value, change), null, 1)}\n`;
}

/** A JSON file of ober's. Anything that is not JSON is not ober's. */
export function harmlessJson(text: string, values: readonly string[]): string {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "number") return text;
    return harmlessDocument(
      mapTexts(value, (inner) => redact(inner, values)),
      values,
    );
  } catch {
    return "(left out: ober did not write this)\n";
  }
}

/** Filters by the name of the archive's piece. */
export const PIECES: Readonly<Record<string, LineFilter>> = {
  "units.txt": unitLine,
  "log.txt": logLine,
  "addresses.txt": ipLine,
  "routes.txt": ipLine,
  "links.txt": ipLine,
  "sockets.txt": socketLine,
  "sockets-summary.txt": socketLine,
  "firewall.txt": firewallLine,
  "disks.txt": matching(/^Filesystem /, /^(?:\/dev\/\S+|tmpfs|devtmpfs|udev|overlay|efivarfs) /),
  "memory.txt": matching(/^\s+total /, /^(?:Mem|Swap|Low|High|Total):/),
  "load.txt": matching(/^ \d\d:\d\d:\d\d up /),
  "kernel.txt": matching(/^Linux /),
  "kernel-log.txt": kernelLine,
  "packages.txt": matching(
    /^[a-zA-Z]{2,3}\s+(?:haproxy|exabgp|keepalived|bird2?|nftables)\S* /,
    /^(?:haproxy|exabgp|keepalived|bird|nftables)-\S+$/,
    /^package \w+ is not installed$/,
  ),
  "haproxy/show-info.txt": (line) =>
    /^(?!description)[A-Za-z_]{1,40}: ?[\w.:,/%() +~-]{0,120}$/i.test(line) ? line : undefined,
  "haproxy/show-servers-state.txt": matching(/^\d$/, /^# be_id /, /^\d+ [\w.:-]+ \d+ [\w.:-]+( [\w.:,/<>-]+){3,30}$/),
  "/etc/os-release": matching(
    /^(?:NAME|ID|ID_LIKE|VERSION|VERSION_ID|VERSION_CODENAME|PRETTY_NAME|PLATFORM_ID)=["\w. /:()-]+$/,
  ),
};
