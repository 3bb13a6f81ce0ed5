/** TXT records at Route 53, by its REST interface of 2013-04-01. */
import { OberError } from "../../errors.ts";
import { type Credentials, signedHeaders } from "../../system/s3.ts";
import { awsCredentials } from "./aws.ts";
import type { Dns, DnsInput } from "./dns.ts";
import { TTL } from "./dns.ts";

const VERSION = "/2013-04-01";
const ANSWER_MS = 30_000;

export async function route53({ system, certs, secrets, homes }: DnsInput): Promise<Dns> {
  const login = { accessKey: secrets.awsAccessKeyId ?? "", secretKey: secrets.awsSecretAccessKey ?? "" };
  const credentials = await awsCredentials({ system, profile: certs.route53_profile, homes, env: process.env, login });
  const zones = new Map<string, string>();
  const zoneOf = async (name: string) => {
    const given = certs.route53_hosted_zone_id.replace(/^\/hostedzone\//, "");
    const zone = given || zones.get(name) || (await findZone(credentials, name));
    zones.set(name, zone);
    return zone;
  };
  // Keep other values: another node may prove the same name at the same moment.
  const change = async (name: string, edit: (values: readonly string[]) => readonly string[]) => {
    const zone = await zoneOf(name);
    const before = await valuesAt(credentials, zone, name);
    const after = edit(before);
    if (after.length === before.length) return;
    await send(
      credentials,
      zone,
      after.length > 0 ? recordSet("UPSERT", name, after) : recordSet("DELETE", name, before),
    );
  };
  return {
    what: "Route 53",
    home: credentials.home,
    add: (name, value) => change(name, (values) => [...new Set([...values, value])]),
    remove: (name, value) => change(name, (values) => values.filter((other) => other !== value)),
  };
}

/** The public zone with the longest name that `name` is in. */
async function findZone(credentials: Credentials, name: string): Promise<string> {
  const labels = name.split(".");
  for (let cut = 1; cut < labels.length - 1; cut++) {
    const zone = labels.slice(cut).join(".");
    const text = await call(credentials, "GET", "/hostedzonesbyname", { query: `dnsname=${zone}&maxitems=10` });
    const found = [...text.matchAll(/<HostedZone>(.*?)<\/HostedZone>/gs)].map(([, body = ""]) => ({
      id: tag(body, "Id").replace("/hostedzone/", ""),
      name: tag(body, "Name"),
      isPrivate: tag(body, "PrivateZone") === "true",
    }));
    const match = found.find((one) => one.name === `${zone}.` && !one.isPrivate);
    if (match) return match.id;
  }
  throw new OberError(`Route 53 has no public zone for ${name} with these credentials`, {
    hint: "check certs.route53_profile or certs.route53_hosted_zone_id",
  });
}

/** A value in quotes, which an XML writer may have escaped or put into a CDATA section. */
const TXT_VALUE = /<Value>(?:<!\[CDATA\[)?(?:"|&quot;)(.*?)(?:"|&quot;)(?:\]\]>)?<\/Value>/gs;

async function valuesAt(credentials: Credentials, zone: string, name: string): Promise<readonly string[]> {
  const text = await call(credentials, "GET", `/hostedzone/${zone}/rrset`, {
    query: `maxitems=1&name=${name}&type=TXT`,
  });
  const set = [...text.matchAll(/<ResourceRecordSet>(.*?)<\/ResourceRecordSet>/gs)].map(([, body = ""]) => body);
  const own = set.find((body) => tag(body, "Name").replace(/\.$/, "") === name && tag(body, "Type") === "TXT");
  return [...(own ?? "").matchAll(TXT_VALUE)].map(([, value = ""]) => value);
}

const tag = (body: string, name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1] ?? "";

function recordSet(action: "UPSERT" | "DELETE", name: string, values: readonly string[]): string {
  const records = values.map((value) => `<ResourceRecord><Value>"${value}"</Value></ResourceRecord>`).join("");
  const set = `<Name>${name}.</Name><Type>TXT</Type><TTL>${TTL}</TTL><ResourceRecords>${records}</ResourceRecords>`;
  return `<?xml version="1.0" encoding="UTF-8"?><ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeBatch><Changes><Change><Action>${action}</Action><ResourceRecordSet>${set}</ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>`;
}

const send = (credentials: Credentials, zone: string, body: string) =>
  call(credentials, "POST", `/hostedzone/${zone}/rrset`, { body });

/** One signed request. AWS_ENDPOINT_URL redirects it, as with the AWS tools. Throws an OberError with Route 53's answer. */
async function call(
  credentials: Credentials,
  method: string,
  place: string,
  { query = "", body = "" }: { query?: string; body?: string },
): Promise<string> {
  const endpoint =
    process.env["AWS_ENDPOINT_URL_ROUTE_53"] ?? process.env["AWS_ENDPOINT_URL"] ?? "https://route53.amazonaws.com";
  const { host, origin } = new URL(endpoint);
  const path = `${VERSION}${place}`;
  const { host: _host, ...headers } = signedHeaders({
    method,
    host,
    path,
    query,
    body,
    credentials,
    at: new Date(),
    service: "route53",
  });
  const fail = (reason: string, hint = "check certs.route53_profile and the clock", cause?: unknown) =>
    new OberError(`Route 53: ${reason}`, { hint, cause });
  try {
    const answer = await fetch(`${origin}${path}${query === "" ? "" : `?${query}`}`, {
      method,
      headers: { ...headers, ...(body === "" ? {} : { "content-type": "text/xml" }) },
      ...(body === "" ? {} : { body }),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const text = await answer.text();
    if (answer.ok) return text;
    throw fail(`${tag(text, "Code") || answer.status}: ${tag(text, "Message") || text.slice(0, 200)}`);
  } catch (error) {
    if (error instanceof OberError) throw error;
    throw fail(
      `${origin} does not answer: ${error instanceof Error ? error.message : String(error)}`,
      `curl -sI ${origin}`,
      error,
    );
  }
}
