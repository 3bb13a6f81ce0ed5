/**
 * The one description of `ober.yaml`: every key, its default and its limits. What passes here is safe to put into a
 * generated file as it is; no renderer has to escape anything.
 */
import * as v from "valibot";
import { type Family, parseAddress, specialUse } from "../domain/address.ts";
import { expandHostList } from "../domain/hostlist.ts";
import { INTERFACE_NAME } from "../domain/interface-name.ts";
import { quote } from "../domain/quote.ts";
import { ConfigError, type ConfigProblem, OberError } from "../errors.ts";
import { contradictions, UNSET_AS } from "./schema/contradictions.ts";
import { expected, isMapping, keysOf, pathOf, unknownKeys } from "./schema/problems.ts";
import { isAdvertInterval, isListOfTexts, parseNetworks, parseServers, parseVipAddress } from "./schema/values.ts";

export type Config = DeepReadonly<ReturnType<typeof complete>>;
export type HaMode = Config["ha_mode"];
export type Vip = Config["vips"][number];
export type Backend = Config["backends"][number];
export type Server = Backend["servers"][number];

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/** Ports that ober or the daemons beside it need for something else: S3, ACME, BGP and BFD. */
const TAKEN_PORTS = [80, 443, 179, 3784];

/** Names of HAProxy's own proxies, and what `haproxy.cfg` calls the sections that every node has. */
const TAKEN_NAME = /^(ober|ober_.*|GLOBAL|MASTER)$/;

const text = (pattern: RegExp, what: string) =>
  v.custom<string>((input) => typeof input === "string" && pattern.test(input), expected(what));
const wholeNumber = (least: number, most: number) =>
  v.custom<number>(
    (input) => Number.isInteger(input) && (input as number) >= least && (input as number) <= most,
    expected(`a whole number from ${least} to ${most}`),
  );
const trueOrFalse = v.boolean(expected("true or false"));
const oneOf = <const T extends readonly string[]>(...words: T) =>
  v.picklist(words, expected(`one of ${words.join(", ")}`));
/** A text that may be absent; "" then says so. valibot checks a default like any other value. */
const optionalText = (pattern: RegExp, what: string) => v.optional(text(new RegExp(`^$|${pattern.source}`), what), "");
/** valibot takes a list for an object too; a mapping is neither. */
const mapping = <const T extends v.ObjectEntries>(entries: T, what = "a section of keys") =>
  v.pipe(v.custom<Record<string, unknown>>(isMapping, expected(what)), v.object(entries));
const section = <const T extends v.ObjectEntries>(entries: T) => v.optional(mapping(entries), {});

/** YAML reads it as a number. */
const isTlsVersion = (input: unknown) => [1.2, 1.3, "1.2", "1.3"].some((version) => version === input);
const interfaceName = "the name of a network interface";
const ABSOLUTE_PATH = /^\/[A-Za-z0-9_.,+@/-]{0,1023}$/;
const DOMAIN =
  /^(?=.{1,253}$)(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const HTTPS_URL = /^https:\/\/[A-Za-z0-9.-]{1,253}(:\d{1,5})?\/[A-Za-z0-9/._~-]{0,512}$/;
const SERVER_AND_PORT = /^([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:]{2,45}\])(:\d{1,5})?$/;
const EMAIL = /^[A-Za-z0-9_.+-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}$/;
/** Everything that a request path needs and that HAProxy neither splits, quotes nor expands: no blank, quote, #, % or $. */
const REQUEST_PATH = /^\/[A-Za-z0-9/._~:@?&=+,-]{0,1023}$/;

/** A value that `parse` reads from a text or a list of texts; what it throws becomes the problem of this key. */
const parsed = <T, R>(input: (value: unknown) => value is T, what: string, parse: (value: T) => R) =>
  v.pipe(
    v.custom<T>(input, expected(what)),
    v.rawTransform<T, R>(({ dataset, addIssue, NEVER }) => {
      try {
        return parse(dataset.value);
      } catch (error) {
        if (!(error instanceof OberError)) throw error;
        addIssue({ message: error.message });
        return NEVER;
      }
    }),
  );
const isText = (input: unknown) => typeof input === "string";
const hostList = v.optional(parsed(isListOfTexts, "a list of names or addresses", expandHostList), []);

/** Names for a certificate; host lists have no wildcards, so these are texts. */
const hostNames = v.optional(
  v.array(text(DOMAIN, "a domain name such as s3.example.org or *.s3.example.org"), expected("a list of domain names")),
  [],
);

const ownAddress = (family?: Family) =>
  v.optional(
    parsed(isText, "an IP address", (input) => {
      const address = parseAddress(input);
      if (input === "") return "";
      if (address !== undefined && specialUse(address) === undefined && address.family === (family ?? address.family)) {
        return address.text;
      }
      throw new OberError(
        `expected an ${family === 4 ? "IPv4" : "IP"} address, or "" to detect it, found the text ${quote(input)}`,
      );
    }),
    "",
  );

const VipSchema = mapping(
  {
    address: parsed(isText, "an IP address", parseVipAddress),
    interface: v.optional(text(INTERFACE_NAME, interfaceName), "lo-vip"),
    backend: v.optional(v.string(expected("the name of a backend group"))),
    /** 0: chosen by ober. Only keepalived mode has one. */
    vrid: v.optional(wholeNumber(1, 255)),
  },
  "an address or a section of keys",
);

const BackendSchema = mapping({
  name: v.pipe(
    text(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, "up to 64 letters, digits, '_', '.' or '-', a letter or digit first"),
    v.check(
      (name) => !TAKEN_NAME.test(name),
      ({ input }) => `${quote(input)} is the name of a section that ober writes itself; choose another`,
    ),
  ),
  servers: parsed(isListOfTexts, 'a list of servers such as "rgw[1-4].internal:7480"', parseServers),
  health_check_path: v.optional(
    text(REQUEST_PATH, "a path that begins with '/' and holds no blanks, quotes, '#', '%' or '$'"),
    "/swift/healthcheck",
  ),
  health_check_interval: v.optional(wholeNumber(100, 60_000), 1000),
  /** `start`: names are resolved when HAProxy starts or reloads, or as soon as they resolve after it; `follow`: also when they change. */
  resolve: v.optional(oneOf("start", "follow"), "start"),
  max_requests: v.optional(wholeNumber(1, 1_000_000), 1024),
  tls: v.optional(trueOrFalse, false),
  ca_file: optionalText(ABSOLUTE_PATH, "an absolute path of letters, digits and ._,+@-"),
  sni: optionalText(DOMAIN, "the name in the servers' certificate"),
  verify: v.optional(trueOrFalse, true),
});

const asNumber = v.optional(
  v.custom<number>(
    (input) => Number.isInteger(input) && (input as number) >= UNSET_AS && (input as number) <= 4_294_967_295,
    expected("a whole number from 1 to 4294967295"),
  ),
  UNSET_AS,
);

const ConfigSchema = mapping(
  {
    ha_mode: v.optional(oneOf("bgp", "keepalived"), "bgp"),
    nodes: hostList,
    handover: v.optional(oneOf("auto", "always", "off"), "auto"),
    settle_time: v.optional(wholeNumber(0, 600), 5),
    bgp: section({
      local_as: asNumber,
      peer_as: asNumber,
      neighbors: hostList,
      router_id: ownAddress(4),
      local_address: ownAddress(),
      hold_time: v.optional(
        v.custom<number>(
          (input) => Number.isInteger(input) && (input as number) >= 3 && (input as number) <= 65_535,
          (issue) =>
            issue.input === 0
              ? "0 turns the detection of a dead node off; the least is 3 seconds"
              : expected("a whole number of seconds from 3 (BGP allows no 1 or 2) to 65535")(issue),
        ),
        3,
      ),
      ttl_security: v.optional(trueOrFalse, false),
      bfd_enabled: v.optional(trueOrFalse, true),
      bfd_interval_ms: v.optional(wholeNumber(10, 10_000), 100),
      bfd_multiplier: v.optional(wholeNumber(2, 50), 3),
    }),
    keepalived: section({
      enabled: v.optional(v.unknown()),
      peers: hostList,
      interface: optionalText(INTERFACE_NAME, interfaceName),
      /** What a VIP's owner goes by: nodes with names keep theirs when they are renumbered. `address` is what clusters of old have. */
      owners: v.optional(oneOf("address", "name"), "address"),
      use_multicast: v.optional(trueOrFalse, false),
      advert_int: v.optional(
        v.custom<number>(isAdvertInterval, expected("seconds from 0.05 to 40 in steps of 0.01")),
        1,
      ),
    }),
    vips: v.optional(v.array(VipSchema, expected("a list of addresses")), []),
    backends: v.optional(v.array(BackendSchema, expected("a list of backend groups")), []),
    certs: section({
      path: optionalText(ABSOLUTE_PATH, "an absolute path of letters, digits and ._,+@-"),
      acme_enabled: v.optional(trueOrFalse, false),
      acme_email: optionalText(EMAIL, "an e-mail address"),
      acme_domain: optionalText(DOMAIN, "a domain name such as s3.example.org"),
      acme_names: hostNames,
      acme_server: optionalText(HTTPS_URL, "the https:// address of an ACME directory"),
      acme_ca_file: optionalText(ABSOLUTE_PATH, "an absolute path of letters, digits and ._,+@-"),
      acme_eab_kid: optionalText(/^[A-Za-z0-9_.:/+=-]{1,256}$/, "a key id for external account binding"),
      acme_key_type: v.optional(oneOf("ecdsa", "rsa", "both"), "ecdsa"),
      acme_dns: v.optional(oneOf("auto", "route53", "rfc2136", "hook"), "auto"),
      acme_dns_timeout: v.optional(wholeNumber(10, 3600), 180),
      acme_hook: optionalText(ABSOLUTE_PATH, "an absolute path of letters, digits and ._,+@-"),
      rfc2136_server: optionalText(SERVER_AND_PORT, "a name or address, with :port where it is not 53"),
      rfc2136_key_file: optionalText(ABSOLUTE_PATH, "an absolute path of letters, digits and ._,+@-"),
      route53_enabled: v.optional(trueOrFalse, false),
      route53_profile: optionalText(/^[A-Za-z0-9_.@-]{1,128}$/, "the name of an AWS profile"),
      route53_hosted_zone_id: optionalText(
        /^(\/hostedzone\/)?[A-Z0-9]{1,32}$/,
        "a Route 53 zone id such as Z0123456789ABC",
      ),
    }),
    log_retention_days: v.optional(wholeNumber(1, 3650), 7),
    stats_port: v.optional(
      v.pipe(
        wholeNumber(1, 65_535),
        v.check(
          (port) => !TAKEN_PORTS.includes(port),
          ({ input }) => `port ${input} is needed for S3, ACME, BGP or BFD`,
        ),
      ),
      8404,
    ),
    tls: section({
      min_version: v.optional(
        v.pipe(v.custom<string | number>(isTlsVersion, expected("1.2 or 1.3")), v.transform(String)),
        "1.2",
      ),
      /** Key exchanges, the best first; none: what ober knows to be right for this node's TLS library. */
      curves: v.optional(
        v.pipe(
          v.array(oneOf("X25519MLKEM768", "X25519", "P-256", "P-384", "P-521"), expected("a list of key exchanges")),
          v.check((curves) => new Set(curves).size === curves.length, "names one of them twice"),
        ),
        [],
      ),
    }),
    max_connections: v.optional(wholeNumber(20, 25_000), 25_000),
    /** 0: no limit, for clients that all come from the address of one NAT. */
    max_connections_per_client: v.optional(wholeNumber(0, 25_000), 500),
    stats_allow: v.optional(parsed(isListOfTexts, "a list of addresses or networks", parseNetworks), []),
    install_path: v.optional(v.unknown()),
    venv_path: v.optional(v.unknown()),
  },
  "a mapping of keys such as ha_mode, vips and backends",
);

/** More problems than this are one mistake (the wrong file), not many. */
const MOST_PROBLEMS = 50;

/**
 * The configuration in `input`, the value of a YAML or JSON document, with every default filled in.
 *
 * Throws a ConfigError with every problem at once. `file` is what messages call the document.
 */
/** The keys of ober.yaml, of all its sections. */
export const CONFIG_KEYS: ReadonlySet<string> = new Set(keysOf(ConfigSchema));

export function parseConfig(input: unknown, file: string): Config {
  const { problems, output } = examine(input);
  const more = problems.length - MOST_PROBLEMS;
  if (more > 0) {
    throw new ConfigError(file, [...problems.slice(0, MOST_PROBLEMS), { path: "", message: `and ${more} more` }]);
  }
  if (output === undefined) throw new ConfigError(file, problems);
  return complete(output);
}

/** Everything that is wrong with `input`; the wizard asks it about each answer, so that it has no rules of its own. */
export function problemsOf(input: unknown): readonly ConfigProblem[] {
  return examine(input).problems;
}

function examine(input: unknown) {
  const result = v.safeParse(ConfigSchema, withoutUnset(input ?? {}));
  const problems: ConfigProblem[] = [
    ...unknownKeys(ConfigSchema, input),
    ...(result.issues ?? []).map((issue) => ({ path: pathOf(issue.path ?? []), message: messageOf(issue) })),
    ...contradictions(result.output),
  ];
  return { problems, output: result.success && problems.length === 0 ? result.output : undefined };
}

/** What the rest of ober reads: without the keys that are only accepted, every VIP with its family and its group. */
function complete(output: v.InferOutput<typeof ConfigSchema>) {
  const { install_path: _path, venv_path: _venv, keepalived, vips, ...rest } = output;
  const { enabled: _enabled, ...vrrp } = keepalived;
  const firstGroup = rest.backends[0]?.name ?? "";
  return {
    ...rest,
    keepalived: vrrp,
    vips: vips.map(({ address, interface: link, backend, vrid }) => ({
      address: address.text,
      family: address.family,
      interface: link,
      backend: backend ?? firstGroup,
      vrid: vrid ?? 0,
    })),
  };
}

/**
 * Null and "" say "not set" everywhere, as the Python version wrote them; a bare VIP is a mapping with only its address.
 * Depth is bounded: the schema is flat, and a document of a million brackets must not exhaust the stack.
 */
function withoutUnset(value: unknown, depth = 0): unknown {
  if (!isMapping(value) || depth > 3) return value;
  const set = Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined && inner !== "");
  return Object.fromEntries(
    set.map(([key, inner]) => {
      if (!Array.isArray(inner)) return [key, withoutUnset(inner, depth + 1)];
      const items = inner.map((item) => withoutUnset(item, depth + 1));
      return [key, key === "vips" ? items.map((item) => (typeof item === "string" ? { address: item } : item)) : items];
    }),
  );
}

function messageOf(issue: v.BaseIssue<unknown>): string {
  // valibot reports a missing key of an object with the message of the object itself.
  return issue.type === "object" && issue.expected?.startsWith('"') ? "is missing" : issue.message;
}
