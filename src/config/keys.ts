/**
 * Every key of `ober.yaml`, one row each. The schema, the wizard, the editors' JSON Schema, `ober config --example` and docs/config.md are made
 * from these rows. Rules between several keys are in schema/contradictions.ts.
 */
import * as v from "valibot";
import { type Family, parseAddress, specialUse } from "../domain/address.ts";
import { parseCanaryNetwork } from "../domain/canary.ts";
import { expandHostList } from "../domain/hostlist.ts";
import { INTERFACE_NAME } from "../domain/interface-name.ts";
import { quote } from "../domain/quote.ts";
import { OberError } from "../errors.ts";
import {
  choice,
  type Entries,
  free,
  ignored,
  type Kind,
  key,
  list,
  maybeText,
  mustBe,
  needed,
  number,
  parsedEntries,
  parsedList,
  parsedMapping,
  parsedText,
  rowsOf,
  section,
  sections,
  serverCount,
  text,
  truth,
  whole,
} from "./keys/kinds.ts";
import {
  isAdvertInterval,
  isGbit,
  PLAIN_NAME,
  PLAIN_NAME_TEXT,
  parseNetworks,
  parseServers,
  parseVipAddress,
  parseZones,
  UNSET_AS,
} from "./schema/values.ts";

/** `since` of a key: the Python version had it, or it came with 1.0.0. */
export const PYTHON = "the Python version";
const FIRST = "1.0.0";

/** Ports that ober or the daemons beside it need for something else: S3, ACME, BGP and BFD. */
const TAKEN_PORTS = [80, 443, 179, 3784];
/** Names of HAProxy's own proxies, and of sections that `haproxy.cfg` has on every node. */
const TAKEN_NAME = /^(ober|ober_.*|GLOBAL|MASTER)$/;
const LARGEST_AS = 4_294_967_295;

const DOMAIN =
  /^(?=.{1,253}$)(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
/** The same without a wildcard. */
const NAME = /^(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const HTTPS_URL = /^https:\/\/[A-Za-z0-9.-]{1,253}(:\d{1,5})?\/[A-Za-z0-9/._~-]{0,512}$/;
const SERVER_AND_PORT = /^([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:]{2,45}\])(:\d{1,5})?$/;
const EMAIL = /^[A-Za-z0-9_.+-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}$/;
/** A request path without what HAProxy would split, quote or expand: no blank, quote, #, % or $. */
const REQUEST_PATH = /^\/[A-Za-z0-9/._~:@?&=+,-]{0,1023}$/;

const hosts = parsedList("a list of names or addresses", expandHostList);
const interfaceName = text(INTERFACE_NAME, "the name of a network interface");
const absolutePath = maybeText(
  /^\/[A-Za-z0-9_.,+@/-]{0,1023}$/,
  "an absolute path of letters, digits and the characters ._,+@-",
);
const domain = maybeText(DOMAIN, "a domain name such as s3.example.org");

const asNumber: Kind<v.GenericSchema<number>> = {
  ...whole(UNSET_AS, LARGEST_AS),
  schema: v.custom<number>(
    (input) => Number.isInteger(input) && (input as number) >= UNSET_AS && (input as number) <= LARGEST_AS,
    mustBe(`an AS number (1-${LARGEST_AS})`),
  ),
  range: `1-${LARGEST_AS}`,
};

function ownAddress(family?: Family) {
  const what = family === 4 ? "an IPv4 address" : "an IP address";
  return parsedText(what, (input) => {
    const address = parseAddress(input);
    if (input === "") return "";
    if (address !== undefined && specialUse(address) === undefined && address.family === (family ?? address.family)) {
      return address.text;
    }
    throw new OberError(`must be ${what} or empty (detected), not ${quote(input)}`);
  });
}

const canary = parsedText("an IPv4 network such as 10.0.1.0/28", (input) =>
  input === "" ? "" : parseCanaryNetwork(input),
);
const holdTime = whole(3, 65_535, { unit: "seconds" });
const tlsVersion = choice({ "1.2": "TLS 1.2 and 1.3", "1.3": "TLS 1.3 only" });
const curve = choice({
  X25519MLKEM768: "hybrid with ML-KEM, against quantum computers",
  X25519: "Curve25519",
  "P-256": "NIST P-256",
  "P-384": "NIST P-384",
  "P-521": "NIST P-521",
});
const curves = list(curve, "a list of key exchanges");
const port = whole(1, 65_535, { what: "a port" });
const groupName = text(PLAIN_NAME, PLAIN_NAME_TEXT);
/** A server with more than its name, for editors. */
const SERVER_JSON = {
  type: "object",
  additionalProperties: false,
  properties: {
    name: { type: "string" },
    zone: { type: ["string", "null"] },
    local: { type: ["boolean", "null"] },
    file: { type: "string" },
    command: { type: "array", items: { type: "string" } },
    port: { type: "integer", minimum: 1, maximum: 65_535 },
  },
};

const seconds = "seconds";
const milliseconds = "milliseconds";

export const KEYS = {
  ha_mode: key(choice({ bgp: "BGP and ECMP (there is a router)", keepalived: "VRRP (there is none)" }), "bgp", {
    says: "How traffic reaches the nodes: bgp (routers spread it by ECMP) or keepalived (VRRP moves the VIPs).",
    since: PYTHON,
    example: "keepalived",
    ask: { message: "How does traffic reach this node?" },
  }),
  nodes: key(hosts, [], {
    says: "All ingress nodes, for the connection handover, for leaving one at a time and for status --all. Host lists such as node[01-04] work everywhere.",
    since: FIRST,
    example: ["node[01-04]"],
    empty: "this node; in keepalived mode also its peers",
    ask: { message: "All ingress nodes, for the handover (may be empty)", placeholder: "node[01-04]" },
  }),
  zones: key(
    parsedMapping("a section of zones, each with a list of nodes", hosts.json, parseZones),
    {},
    {
      says: "Which nodes are where: each asks the RGWs of its own zone first (zone of a server). The nodes are those of nodes or keepalived.peers, spelled in the same way.",
      since: FIRST,
      example: { a: ["node[01-02]"], b: ["node[03-04]"] },
      empty: "no zones",
      ask: false,
    },
  ),
  handover: key(
    choice({
      auto: "where the kernel can",
      always: "an error where the kernel cannot",
      off: "never",
    }),
    "auto",
    {
      says: "Whether packets of running connections are forwarded to the node that has the connection, so that no transfer breaks when a VIP moves.",
      since: FIRST,
      example: "off",
      ask: { message: "Hand over running connections before a planned stop?" },
    },
  ),
  settle_time: key(whole(0, 600, { unit: seconds }), 5, {
    says: "How long a node that came back must have served before another node may leave.",
    since: FIRST,
    example: 30,
    ask: false,
  }),
  hold_down: key(whole(0, 3_600, { unit: seconds }), 300, {
    says: "The longest time for which a node that fails again and again comes back as the last choice: 10 seconds after the third failure within ten minutes, twice as long after each further one, up to this. 0: never.",
    since: FIRST,
    example: 60,
    ask: false,
  }),
  when_all_down: key(
    choice({
      announce:
        "stay announced, as the routers' last choice, while no other node serves: clients get 503 ServiceUnavailable at once",
      withdraw: "withdraw",
    }),
    "announce",
    {
      says: "What a node in BGP mode does that has lost all RGWs, and knows of no other node that serves. Where another one serves, it withdraws.",
      since: FIRST,
      example: "withdraw",
      ask: false,
    },
  ),
  rebalance: key(
    choice({
      on: "for some minutes after a node returned, nodes with more connections than their share close some after a response",
      off: "never",
    }),
    "on",
    {
      says: "Whether load comes back to a node that returned or joined: clients that keep their connections open would stay on the other nodes. BGP mode.",
      since: FIRST,
      example: "off",
      ask: false,
    },
  ),
  bgp: section(PYTHON, "BGP mode. The routers are the neighbors; empty router_id and local_address are detected.", {
    local_as: key(asNumber, UNSET_AS, {
      says: "The AS number of the nodes.",
      since: PYTHON,
      example: 65_001,
      empty: "required in BGP mode",
      ask: { message: "AS number of the nodes", placeholder: "65001" },
    }),
    peer_as: key(asNumber, UNSET_AS, {
      says: "The AS number of the routers.",
      since: PYTHON,
      example: 65_000,
      empty: "required in BGP mode",
      ask: { message: "AS number of the routers", placeholder: "65000" },
    }),
    neighbors: key(hosts, [], {
      says: "The routers, by name or IPv4 address.",
      since: PYTHON,
      example: ["10.0.0.1", "10.0.0.2"],
      empty: "required in BGP mode",
      ask: { message: "Routers (names, addresses or host lists)", placeholder: "10.0.0.1, leaf[1-2]" },
    }),
    router_id: key(ownAddress(4), "", {
      says: "The BGP router id of this node.",
      since: PYTHON,
      example: "10.0.0.11",
      empty: "this node's address; detected on each node",
      ask: { message: "Router id (empty: this node's address)" },
    }),
    local_address: key(ownAddress(), "", {
      says: "The source address of the BGP sessions. Leave it empty if all nodes share one file.",
      since: PYTHON,
      example: "10.0.0.11",
      empty: "the source address of the route to each router; detected on each node",
      ask: { message: "Local address (empty: the one towards the routers)", also: "bgp.neighbors" },
    }),
    hold_time: key(
      {
        ...holdTime,
        schema: v.custom<number>(
          (input) => Number.isInteger(input) && (input as number) >= 3 && (input as number) <= 65_535,
          (issue) =>
            issue.input === 0
              ? "must be at least 3 seconds: 0 would disable the detection of dead nodes"
              : mustBe("a whole number of seconds (3-65535)")(issue),
        ),
      },
      3,
      {
        says: "How long a BGP session may be silent before it is dead. BFD is faster.",
        since: PYTHON,
        example: 9,
        ask: { message: "Hold time, seconds" },
      },
    ),
    ttl_security: key(truth, false, {
      says: "Accept BGP packets only from routers on the same link (GTSM, RFC 5082). The routers must do the same.",
      since: PYTHON,
      example: true,
      ask: false,
    }),
    bfd_enabled: key(truth, true, {
      says: "Detect a dead link or node with BFD, within bfd_interval_ms times bfd_multiplier.",
      since: PYTHON,
      example: false,
      ask: { message: "Detect a dead link or node with BFD?" },
    }),
    bfd_interval_ms: key(whole(10, 10_000, { unit: milliseconds }), 100, {
      says: "The interval of BFD packets.",
      since: FIRST,
      example: 300,
      ask: { message: "BFD interval, milliseconds", when: { bfd_enabled: true } },
    }),
    bfd_multiplier: key(whole(2, 50), 3, {
      says: "How many BFD packets in a row may be lost before the link is dead.",
      since: FIRST,
      example: 5,
      ask: { message: "BFD: packets that may be lost in a row", when: { bfd_enabled: true } },
    }),
    canary: key(canary, "", {
      says: "A network from which each node announces one address of its own, which the other nodes fetch through the routers every few seconds: so a fault of the routing is named. The routers' filters must let it in (ober router-config).",
      since: FIRST,
      example: "10.0.1.0/28",
      empty: "no such addresses",
      ask: false,
    }),
  }),
  keepalived: section(PYTHON, "Keepalived mode. The peers are the ingress nodes; an empty interface is detected.", {
    enabled: ignored("ha_mode decides this"),
    peers: key(hosts, [], {
      says: "The ingress nodes, with or without this one.",
      since: PYTHON,
      example: ["192.168.1.[11-13]"],
      empty: "this node alone",
      ask: { message: "Ingress nodes (names, addresses or host lists)", placeholder: "192.168.1.[11-13]" },
    }),
    interface: key({ ...interfaceName, ...maybeText(INTERFACE_NAME, "the name of a network interface") }, "", {
      says: "The interface for VRRP and for the VIPs.",
      since: PYTHON,
      example: "eth1",
      empty: "the interface with this node's address; detected on each node",
      ask: { message: "Interface of the VIPs (empty: detected)" },
    }),
    owners: key(
      choice({
        address: "by the order of the nodes' addresses, as in older clusters",
        name: "by the order of their names in peers: nodes keep their VIPs when they are renumbered",
      }),
      "address",
      {
        says: "What decides which node owns which VIP. It must be the same on all nodes.",
        since: FIRST,
        example: "name",
        ask: false,
      },
    ),
    check: key(
      choice({
        loop: "the resident health loop, which leaves an HAProxy that hangs within a second",
        script: "two programs that keepalived starts every two seconds, as in older clusters",
      }),
      "loop",
      {
        says: "What tells keepalived whether HAProxy can serve.",
        since: FIRST,
        example: "script",
        ask: false,
      },
    ),
    use_multicast: key(truth, false, {
      says: "Send VRRP adverts by multicast instead of to each peer.",
      since: PYTHON,
      example: true,
      ask: { message: "Send VRRP adverts by multicast?" },
    }),
    advert_int: key(
      {
        ...number(isAdvertInterval, {
          from: 0.05,
          to: 40,
          what: "a number of seconds",
          unit: seconds,
          note: "in steps of 0.01",
        }),
      },
      1,
      {
        says: "The interval of VRRP adverts; a VIP moves after three missing ones.",
        since: PYTHON,
        example: 0.2,
        ask: { message: "Advertisement interval, seconds" },
      },
    ),
  }),
  vips: sections(
    PYTHON,
    "The addresses that clients use, each a plain address or a section of these keys.",
    { one: "an address or a section of keys", all: "a list of addresses" },
    {
      address: needed(parsedText("an IPv4 address", parseVipAddress), {
        says: "The address, with /32 or without.",
        since: PYTHON,
        example: "10.0.0.100",
        ask: false,
      }),
      interface: key(interfaceName, "lo-vip", {
        says: "The interface that gets the address. ober creates interfaces named lo-*, dummy*, ober* and vip*.",
        since: PYTHON,
        example: "dummy0",
        ask: false,
      }),
      backend: free(
        {
          schema: v.string(mustBe("the name of a backend group")),
          typed: "text",
          json: { type: "string" },
          range: "the name of a backend group",
        },
        {
          says: "The backend group that serves this VIP.",
          since: FIRST,
          example: "s3",
          empty: "the first group",
          ask: false,
        },
      ),
      vrid: free(whole(1, 255), {
        says: "The VRRP router id of this VIP (keepalived mode); set it if others on the segment use VRRP too.",
        since: FIRST,
        example: 51,
        empty: "chosen by ober, the same on all nodes",
        ask: false,
      }),
    },
  ),
  s3_names: key(list(text(NAME, "a domain name such as s3.example.org"), "a list of domain names"), [], {
    says: "The names by which clients ask for S3 itself; those of buckets are below them. At these, as at the VIPs' addresses, HAProxy answers GET /-/healthy.",
    since: FIRST,
    example: ["s3.example.org"],
    empty: "acme_domain and acme_names, without wildcards and names below another one",
    ask: false,
  }),
  backends: sections(
    PYTHON,
    "Groups of RADOS gateways. The first is the default of every VIP.",
    { all: "a list of backend groups" },
    {
      name: needed(
        {
          ...groupName,
          schema: v.pipe(
            groupName.schema,
            v.check(
              (name) => !TAKEN_NAME.test(name),
              ({ input }) => `${quote(input)} is reserved for a section that ober writes: choose another name`,
            ),
          ),
        },
        { says: "The name of the group.", since: PYTHON, example: "s3", ask: false },
      ),
      servers: needed(parsedEntries("a list of servers such as rgw[1-4].internal:7480", SERVER_JSON, parseServers), {
        says: "The gateways, as name:port or address:port; host lists on both sides of the colon. Addresses come and go without a reload from HAProxy 3.0.6 on. Or as {name: rgw[1-4]:7480, zone: a}, asked first by the nodes of that zone, and {name: node[01-04]:7480, local: true}, asked first by the node with that address. Or a list that is followed without a reload: {file: /etc/site/rgws, port: 7480}, {command: [/usr/local/sbin/rgws], port: 7480}.",
        since: PYTHON,
        example: ["rgw[1-4].internal:7480"],
        ask: { message: "RADOS gateways (host:port; host lists)", placeholder: "rgw[1-4].internal:7480" },
      }),
      health_check_path: key(
        text(REQUEST_PATH, "a path that begins with '/', without blanks, quotes, '#', '%' and '$'"),
        "/swift/healthcheck",
        {
          says: "The path that a healthy gateway answers with 200.",
          since: PYTHON,
          example: "/",
          ask: { message: "Path that a healthy gateway answers with 200" },
        },
      ),
      health_check_interval: key(whole(100, 60_000, { unit: milliseconds }), 1000, {
        says: "How often each gateway is checked.",
        since: PYTHON,
        example: 2000,
        ask: { message: "Check interval, milliseconds" },
      }),
      resolve: key(
        choice({
          start: "when HAProxy starts or reloads; an unresolved name as soon as it resolves",
          follow: "also later, whenever addresses change",
        }),
        "start",
        {
          says: "When the names of the gateways are resolved.",
          since: FIRST,
          example: "follow",
          ask: false,
        },
      ),
      min_servers: key(serverCount, 0, {
        says: "With fewer gateways than this, a node in BGP mode is the routers' last choice: they prefer nodes that see more. A number, or a share such as 50%.",
        since: FIRST,
        example: "50%",
        empty: "one is enough",
        ask: false,
      }),
      enough_servers: key(serverCount, 0, {
        says: "With this many gateways again, the node is as good as any. Above min_servers, it keeps a gateway that comes and goes from moving traffic.",
        since: FIRST,
        example: "75%",
        empty: "min_servers",
        ask: false,
      }),
      max_requests: key(whole(1, 1_000_000, { unit: "requests" }), 1024, {
        says: "How many requests from all nodes a gateway handles at once (its rgw_max_concurrent_requests). Further requests wait, then get 503 SlowDown.",
        since: FIRST,
        example: 2048,
        ask: { message: "Requests that each gateway handles at once (its rgw_max_concurrent_requests)" },
      }),
      fallback: key(maybeText(PLAIN_NAME, "the name of another backend group"), "", {
        says: "Another group, which gets requests while no gateway of this one takes any: another site's VIP or gateways. A request that it gets has the header X-Ober-Fallback, and goes to no other fallback.",
        since: FIRST,
        example: "archive",
        empty: "none: clients get 503 ServiceUnavailable",
        ask: false,
      }),
      fallback_for: key(
        choice({ reads: "only GET and HEAD", all: "every request: the other site takes writes, too" }),
        "reads",
        { says: "Which requests the fallback gets.", since: FIRST, example: "all", ask: false },
      ),
      tls: key(truth, false, {
        says: "Use TLS to the gateways.",
        since: FIRST,
        example: true,
        ask: { message: "Use TLS to the gateways?" },
      }),
      ca_file: key(absolutePath, "", {
        says: "The CA of the gateways' certificates, as a PEM file.",
        since: FIRST,
        example: "/etc/ssl/ceph-ca.pem",
        empty: "the CAs of the system",
        ask: { message: "File with the CA of their certificates (empty: the system's)", when: { tls: true } },
      }),
      sni: key(maybeText(DOMAIN, "the name in the gateways' certificate"), "", {
        says: "The name in the gateways' certificates. Gateways given as addresses need it.",
        since: FIRST,
        example: "rgw.example.org",
        empty: "each gateway's own name",
        ask: { message: "Name in their certificates (empty: each server's own)", when: { tls: true } },
      }),
      verify: key(truth, true, {
        says: "Verify the gateways' certificates.",
        since: FIRST,
        example: false,
        ask: false,
      }),
    },
  ),
  certs: section(PYTHON, "The certificate for clients: your own, or one that ober gets by ACME.", {
    path: key(absolutePath, "", {
      says: "A PEM file with certificate, chain and key, or a directory of such files.",
      since: PYTHON,
      example: "/etc/ssl/private/s3.pem",
      empty: "etc/certs of the installation",
      ask: { message: "Certificate: PEM file or directory (empty: etc/certs of the installation)" },
    }),
    acme_enabled: key(truth, false, {
      says: "Get the certificate by ACME and renew it.",
      since: PYTHON,
      example: true,
      ask: { message: "Get certificates by ACME (Let's Encrypt)?" },
    }),
    acme_email: key(maybeText(EMAIL, "an e-mail address"), "", {
      says: "The address that the CA writes to.",
      since: PYTHON,
      example: "storage@example.org",
      ask: { message: "E-mail address for the ACME account (may be empty)", when: { acme_enabled: true } },
    }),
    acme_domain: key(domain, "", {
      says: "The first name of the certificate.",
      since: PYTHON,
      example: "s3.example.org",
      empty: "required with acme_enabled",
      ask: { message: "Domain", placeholder: "s3.example.org", when: { acme_enabled: true } },
    }),
    acme_names: key(
      list(
        text(DOMAIN, "a domain name such as s3.example.org or *.s3.example.org"),
        "a list of domain names such as *.s3.example.org",
      ),
      [],
      {
        says: "Further names of the certificate.",
        since: FIRST,
        example: ["*.s3.example.org"],
        ask: {
          message: "Further names, such as *.s3.example.org (may be empty)",
          when: { acme_enabled: true },
        },
      },
    ),
    acme_server: key(maybeText(HTTPS_URL, "the https:// address of an ACME directory"), "", {
      says: "The directory of the CA.",
      since: FIRST,
      example: "https://ca.example.org/acme/directory",
      empty: "Let's Encrypt",
      ask: { message: "Directory of the CA (empty: Let's Encrypt)", when: { acme_enabled: true } },
    }),
    acme_ca_file: key(absolutePath, "", {
      says: "The CA of the ACME server's TLS certificate, as a PEM file.",
      since: FIRST,
      example: "/etc/ssl/site-ca.pem",
      empty: "the CAs of the system",
      ask: false,
    }),
    acme_eab_kid: key(maybeText(/^[A-Za-z0-9_.:/+=-]{1,256}$/, "a key id for external account binding"), "", {
      says: "The key id that the CA gave out for external account binding; its key is acme_eab_hmac in ~/.ober/login.",
      since: FIRST,
      example: "kid-1",
      ask: false,
    }),
    acme_key_type: key(
      choice({ ecdsa: "ECDSA P-256", rsa: "RSA 2048", both: "one of each, for clients that lack ECDSA" }),
      "ecdsa",
      { says: "The kind of key.", since: FIRST, example: "both", ask: false },
    ),
    acme_dns: key(
      choice({
        auto: "by the keys below that are set",
        route53: "Amazon Route 53",
        rfc2136: "dynamic updates (RFC 2136)",
        hook: "your own program",
      }),
      "auto",
      {
        says: "How the DNS record that proves the domain is made.",
        since: FIRST,
        example: "rfc2136",
        ask: {
          message: "How is the DNS record that proves the domain made?",
          initial: "rfc2136",
          without: ["auto"],
          when: { acme_enabled: true },
        },
      },
    ),
    acme_dns_timeout: key(whole(10, 3600, { unit: seconds }), 180, {
      says: "How long to wait for all name servers to have the record.",
      since: FIRST,
      example: 600,
      ask: false,
    }),
    acme_hook: key(absolutePath, "", {
      says: "The program that adds and removes the record: add|remove NAME VALUE. Only root may have write access to it.",
      since: FIRST,
      example: "/usr/local/sbin/dns-record",
      empty: "required with acme_dns: hook",
      ask: { message: "The program (add|remove NAME VALUE)", when: { acme_enabled: true, acme_dns: "hook" } },
    }),
    rfc2136_server: key(maybeText(SERVER_AND_PORT, "a name or an address, with :port if it is not 53"), "", {
      says: "The name server that accepts dynamic updates.",
      since: FIRST,
      example: "ns1.example.org",
      empty: "required with acme_dns: rfc2136",
      ask: {
        message: "Name server that accepts updates",
        placeholder: "ns1.example.org",
        when: { acme_enabled: true, acme_dns: "rfc2136" },
      },
    }),
    rfc2136_key_file: key(absolutePath, "", {
      says: "The file with the TSIG key for updates, mode 600.",
      since: FIRST,
      example: "/etc/ober-tsig.key",
      empty: "updates without a key",
      ask: {
        message: "File with the TSIG key (may be empty)",
        when: { acme_enabled: true, acme_dns: "rfc2136" },
      },
    }),
    route53_enabled: key(truth, false, {
      says: "Old form of acme_dns: route53.",
      since: PYTHON,
      example: true,
      ask: false,
    }),
    route53_profile: key(maybeText(/^[A-Za-z0-9_.@-]{1,128}$/, "the name of an AWS profile"), "", {
      says: "The AWS profile for Route 53.",
      since: PYTHON,
      example: "dns",
      empty: "the environment, ~/.ober/login or the default profile",
      ask: { message: "AWS profile (may be empty)", when: { acme_enabled: true, acme_dns: "route53" } },
    }),
    route53_hosted_zone_id: key(
      maybeText(/^(\/hostedzone\/)?[A-Z0-9]{1,32}$/, "a Route 53 zone id such as Z0123456789ABC"),
      "",
      {
        says: "The hosted zone at Route 53.",
        since: PYTHON,
        example: "Z0123456789ABC",
        empty: "found by the domain",
        ask: {
          message: "Hosted zone id (empty: found by the domain)",
          when: { acme_enabled: true, acme_dns: "route53" },
        },
      },
    ),
  }),
  log_retention_days: key(whole(1, 3650, { unit: "days" }), 7, {
    says: "How long the journal of ober's units is kept.",
    since: PYTHON,
    example: 30,
    ask: { message: "Days that the journal is kept" },
  }),
  stats_port: key(
    {
      ...port,
      schema: v.pipe(
        port.schema,
        v.check(
          (number) => !TAKEN_PORTS.includes(number),
          ({ input }) => `must not be ${input}: S3, ACME, BGP or BFD needs that port`,
        ),
      ),
    },
    8404,
    {
      says: "The port of health checks, statistics and metrics.",
      since: PYTHON,
      example: 9000,
      ask: { message: "Port of health, statistics and metrics" },
    },
  ),
  tls: section(FIRST, "What clients may use.", {
    min_version: key(
      {
        ...tlsVersion,
        // YAML reads 1.2 and 1.3 as numbers.
        schema: v.pipe(
          v.custom<string | number>(
            (input) => [1.2, 1.3, "1.2", "1.3"].some((one) => one === input),
            mustBe("1.2 or 1.3"),
          ),
          v.transform(String),
        ),
        json: { enum: [1.2, 1.3, "1.2", "1.3"] },
      },
      "1.2",
      { says: "The oldest version of TLS.", since: FIRST, example: "1.3", ask: false },
    ),
    curves: key(
      {
        ...curves,
        schema: v.pipe(
          curves.schema,
          v.check((names) => new Set(names).size === names.length, "names a key exchange twice"),
        ),
        json: { ...curves.json, uniqueItems: true },
        range: curve.range.replace(" or ", ", "),
      },
      [],
      {
        says: "The key exchanges, best first.",
        since: FIRST,
        example: ["X25519", "P-256"],
        empty: "a list that fits this node's TLS library",
        ask: false,
      },
    ),
  }),
  max_connections: key(whole(20, 25_000, { unit: "connections" }), 25_000, {
    says: "How many client connections a node accepts; fewer if it lacks the file descriptors.",
    since: FIRST,
    example: 10_000,
    ask: { message: "Most client connections on a node" },
  }),
  max_connections_per_client: key(whole(0, 25_000, { unit: "connections" }), 500, {
    says: "How many of them one client address may have. 0 means no limit, for clients behind one NAT.",
    since: FIRST,
    example: 0,
    ask: { message: "Most connections of one client address (0: no limit, for clients behind one NAT)" },
  }),
  capacity_gbit: key(
    { ...number(isGbit, { from: 0, to: 1600, what: "a number of Gbit/s", unit: "Gbit/s", note: "in steps of 0.001" }) },
    0,
    {
      says: "How much a node's network carries in each direction, for ober whatif. Set it where the kernel does not know: virtual network cards, and machines whose host lets through less than the card.",
      since: FIRST,
      example: 10,
      empty: "as the kernel says of the interface; unknown where it says nothing",
      ask: false,
    },
  ),
  stats_allow: key(parsedList("a list of addresses or networks", parseNetworks), [], {
    says: "The networks that may see statistics and metrics.",
    since: FIRST,
    example: ["10.1.0.0/16"],
    empty: "the networks that this node is on",
    ask: {
      message: "Networks that may see statistics and metrics (empty: those that this node is on)",
      placeholder: "10.1.0.0/16",
    },
  }),
  install_path: ignored("ober finds its own path"),
  venv_path: ignored("ober no longer uses Python"),
} satisfies Entries;

/** Every key with its place, in the order of the file. */
export const ROWS = rowsOf(KEYS);

/** What a key or section at the top of the file is; empty for anything else. */
export const topSays = (name: string): string => (KEYS as Entries)[name]?.says ?? "";
