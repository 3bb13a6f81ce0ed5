/** What the wizard asks, section by section, in the order of the prompts. */
export type Question = {
  /** The key, with the section before a dot. */
  readonly path: string;
  readonly message: string;
  readonly kind: "text" | "number" | "list" | "truth" | readonly string[];
  /** What stands in the prompt when the file says nothing; the schema's own default. */
  readonly fallback?: string | number | boolean;
  readonly placeholder?: string;
  /** Another key whose problems this answer can cause. */
  readonly also?: string;
};

export const MODE: readonly Question[] = [
  { path: "ha_mode", message: "How do clients find a living node?", kind: ["bgp", "keepalived"], fallback: "bgp" },
];

export const BGP: readonly Question[] = [
  { path: "bgp.local_as", message: "AS number of the nodes", kind: "number", placeholder: "65001" },
  { path: "bgp.peer_as", message: "AS number of the routers", kind: "number", placeholder: "65000" },
  {
    path: "bgp.neighbors",
    message: "Routers (names, addresses or host lists)",
    kind: "list",
    placeholder: "10.0.0.1, leaf[1-2]",
  },
  { path: "bgp.router_id", message: "Router id (empty: this node's address)", kind: "text" },
  {
    path: "bgp.local_address",
    message: "Local address (empty: the one towards the routers)",
    kind: "text",
    also: "bgp.neighbors",
  },
  { path: "bgp.hold_time", message: "Hold time, seconds", kind: "number", fallback: 3 },
  { path: "bgp.bfd_enabled", message: "Detect a dead link or node with BFD?", kind: "truth", fallback: true },
];

export const BFD: readonly Question[] = [
  { path: "bgp.bfd_interval_ms", message: "BFD interval, milliseconds", kind: "number", fallback: 100 },
  { path: "bgp.bfd_multiplier", message: "BFD: packets that may be lost in a row", kind: "number", fallback: 3 },
];

export const KEEPALIVED: readonly Question[] = [
  {
    path: "keepalived.peers",
    message: "Ingress nodes (names, addresses or host lists)",
    kind: "list",
    placeholder: "192.168.1.[11-13]",
  },
  { path: "keepalived.interface", message: "Interface of the VIPs (empty: detected)", kind: "text" },
  { path: "keepalived.use_multicast", message: "Speak VRRP by multicast?", kind: "truth", fallback: false },
  { path: "keepalived.advert_int", message: "Advertisement interval, seconds", kind: "number", fallback: 1 },
];

export const CERTIFICATES: readonly Question[] = [
  { path: "certs.path", message: "Certificate: PEM file or directory (empty: this node's own place)", kind: "text" },
  { path: "certs.acme_enabled", message: "Get certificates by ACME (Let's Encrypt)?", kind: "truth", fallback: false },
];

export const ACME: readonly Question[] = [
  {
    path: "certs.acme_dns",
    message: "How is the domain proved? (DNS records by Route 53, dynamic updates, or a program of yours)",
    kind: ["route53", "rfc2136", "hook"],
    fallback: "rfc2136",
  },
  { path: "certs.acme_domain", message: "Domain", kind: "text", placeholder: "s3.example.org" },
  { path: "certs.acme_names", message: "Further names, such as *.s3.example.org (may be empty)", kind: "list" },
  { path: "certs.acme_server", message: "Directory of the CA (empty: Let's Encrypt)", kind: "text" },
  { path: "certs.acme_email", message: "E-mail address for the ACME account (may be empty)", kind: "text" },
];

/** What each way to a DNS record needs. */
export const WAYS: Readonly<Record<string, readonly Question[]>> = {
  rfc2136: [
    {
      path: "certs.rfc2136_server",
      message: "Name server that takes updates",
      kind: "text",
      placeholder: "ns1.example.org",
    },
    { path: "certs.rfc2136_key_file", message: "File with the TSIG key (may be empty)", kind: "text" },
  ],
  hook: [{ path: "certs.acme_hook", message: "The program (add|remove NAME VALUE)", kind: "text" }],
  route53: [
    { path: "certs.route53_profile", message: "AWS profile (may be empty)", kind: "text" },
    { path: "certs.route53_hosted_zone_id", message: "Hosted zone id (empty: found by the domain)", kind: "text" },
  ],
};

export const OTHER: readonly Question[] = [
  {
    path: "nodes",
    message: "All ingress nodes, for the handover (may be empty)",
    kind: "list",
    placeholder: "node[01-04]",
  },
  {
    path: "handover",
    message: "Hand running connections over before a planned stop?",
    kind: ["auto", "always", "off"],
    fallback: "auto",
  },
  { path: "stats_port", message: "Port of health, statistics and metrics", kind: "number", fallback: 8404 },
  {
    path: "stats_allow",
    message: "Networks that may see statistics and metrics (empty: those that this node is in)",
    kind: "list",
    placeholder: "10.1.0.0/16",
  },
  { path: "max_connections", message: "Most connections of clients on a node", kind: "number", fallback: 25_000 },
  {
    path: "max_connections_per_client",
    message: "Most connections of one client address (0: no limit, for clients behind one NAT)",
    kind: "number",
    fallback: 500,
  },
  { path: "log_retention_days", message: "Days that the journal is kept", kind: "number", fallback: 7 },
];

export const GROUP: readonly Question[] = [
  {
    path: "servers",
    message: "RADOS gateways (host:port; host lists)",
    kind: "list",
    placeholder: "rgw[1-4].internal:7480",
  },
  {
    path: "health_check_path",
    message: "Path that a healthy gateway answers with 200",
    kind: "text",
    fallback: "/swift/healthcheck",
  },
  { path: "health_check_interval", message: "Check interval, milliseconds", kind: "number", fallback: 1000 },
  {
    path: "max_requests",
    message: "Requests that each gateway works on at a time (its rgw_max_concurrent_requests)",
    kind: "number",
    fallback: 1024,
  },
  { path: "tls", message: "Speak TLS to the gateways?", kind: "truth", fallback: false },
];

export const GROUP_TLS: readonly Question[] = [
  { path: "ca_file", message: "File with the CA of their certificates (empty: the system's)", kind: "text" },
  { path: "sni", message: "Name in their certificates (empty: each server's own)", kind: "text" },
];
