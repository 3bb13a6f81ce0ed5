/** Whether the RGWs do what this ingress needs of them, whatever their configuration says: `ober ceph-config` prints what to tell them. */
import { readNames } from "../certificates/lost-names.ts";
import type { Backend } from "../config/schema.ts";
import { several } from "../domain/foreign.ts";
import { rgwState } from "../domain/rgw.ts";
import { s3Names } from "../domain/s3-names.ts";
import { OberError } from "../errors.ts";
import { counted, type StatRow, serverRows } from "../haproxy/socket.ts";
import type { Sight } from "../node/sight.ts";
import { httpStatus, type Trust } from "../system/http.ts";
import type { System } from "../system/system.ts";
import { pass, skip, type Verdict, warn } from "./check.ts";

/** An RGW answers within milliseconds; each is asked for each name at the same time. */
const ASK_MS = 1_500;
/** Gateways of one kind are told the same: more need not be asked. */
const MOST_ASKED = 32;
const NAMED = 3;

/** A bucket that nobody has. */
const NO_BUCKET = "ober-doctor-asks-for-no-bucket";

/** What an RGW said to `GET /` for a host: a name of S3 itself, or a bucket below it (`bucket`). Status undefined: no answer. */
export type NameAnswer = {
  readonly group: string;
  readonly server: string;
  readonly name: string;
  readonly bucket: boolean;
  readonly status: number | undefined;
};

/**
 * Each RGW must know the names by which clients ask for S3. One with other names in `rgw_dns_name`, or its zone group, takes a name for a bucket and answers
 * 404; one without any takes a bucket in a host name for S3 itself and lists buckets (test/contract/radosgw.test.ts). The latter matters where the
 * certificate is for such names too.
 */
export async function checkGatewayNames(sight: Sight): Promise<Verdict> {
  const { system, paths, isRoot } = sight;
  const config = await sight.config();
  if (!config || !paths) return skip("not configured");
  const names = s3Names(config);
  if (names.length === 0) return skip("no names of S3 are known (s3_names)");
  if (!isRoot) return skip("needs root");
  const certified = [...((await readNames(system, paths))?.names ?? []), ...config.certs.acme_names];
  const hosts = names.flatMap((name) => [
    { name, bucket: false },
    ...(certified.includes(`*.${name}`) ? [{ name, bucket: true }] : []),
  ]);
  const rows = (await sight.rows()) ?? [];
  const servers = config.backends.flatMap((group) =>
    serverRows(rows, group.name)
      .filter(({ status, addr }) => status?.startsWith("UP") && addr)
      .slice(0, MOST_ASKED)
      .map((row) => ({ group, row })),
  );
  if (servers.length === 0) return skip("no RGW answers");
  const asked = servers.flatMap(({ group, row }) =>
    hosts.map(async ({ name, bucket }): Promise<NameAnswer> => {
      const status = await statusFor(system, group, row, bucket ? `${NO_BUCKET}.${name}` : name);
      return { group: group.name, server: row["svname"] ?? "", name, bucket, status };
    }),
  );
  return gatewayNamesVerdict(await Promise.all(asked));
}

async function statusFor(system: System, group: Backend, row: StatRow, host: string): Promise<number | undefined> {
  const ca = group.ca_file === "" ? undefined : await system.read(group.ca_file);
  const named = (row["svname"] ?? "").replace(/:\d+$/, "");
  const trust: Trust = { ca, servername: group.sni || named, verify: group.verify };
  const url = `${group.tls ? "https" : "http"}://${row["addr"]}/`;
  try {
    return (await httpStatus(url, ASK_MS, { ...(group.tls ? { trust } : {}), host })).status;
  } catch (error) {
    if (error instanceof OberError) return undefined;
    throw error;
  }
}

/**
 * With several groups a name may belong to the Ceph cluster of another one: it need not be known where that one knows it, and this one knows another. Pure.
 */
export function gatewayNamesVerdict(answers: readonly NameAnswer[]): Verdict {
  const isWrong = ({ bucket, status }: NameAnswer) => (bucket ? status === 200 : status === 404 || status === 400);
  const heard = answers.filter(({ status }) => status !== undefined);
  if (heard.length === 0) return skip("no RGW answers");
  const right = heard.filter((one) => !isWrong(one));
  const isElsewhere = ({ group, name, bucket }: NameAnswer) => {
    const same = right.filter((one) => one.name === name && one.bucket === bucket);
    const knowsAnother = right.some((one) => one.group === group && !one.bucket);
    return knowsAnother && same.length > 0 && same.every((one) => one.group !== group);
  };
  const wrong = heard.filter((one) => isWrong(one) && !isElsewhere(one));
  if (wrong.length === 0) {
    const [names, servers] = [heard.map(({ name }) => name), heard.map(({ group, server }) => `${group} ${server}`)];
    const count = new Set(servers).size;
    return pass(
      `${several([...new Set(names)], NAMED)}: known to ${count === 1 ? "the RGW" : `${count} RGWs`} that answered`,
    );
  }
  const said = Map.groupBy(wrong, ({ name, bucket, status }) =>
    bucket ? `a list of buckets for a bucket below ${name}` : `${status} for ${name}, which is taken for a bucket`,
  );
  const text = [...said].map(
    ([what, by]) => `${what}: ${several([...new Set(by.map(({ server }) => server))], NAMED)}`,
  );
  return warn(
    text.join("; "),
    "ober ceph-config prints what to tell Ceph (rgw_dns_name, or the zone group's hostnames)",
  );
}

/**
 * Whether an RGW says that it is busy while this node sends it less than its share. All nodes together stay below `max_requests`, so its own limit is lower, or
 * others use it too.
 */
export async function checkGatewayLimits(sight: Sight): Promise<Verdict> {
  const config = await sight.config();
  if (!config || !sight.paths) return skip("not configured");
  const rows = (await sight.rows()) ?? [];
  const servers = config.backends.flatMap(({ name }) => serverRows(rows, name));
  return servers.length === 0 ? skip("HAProxy says nothing of its servers") : gatewayLimitsVerdict(servers);
}

/** From the servers' rows of `show stat`: `scur` are requests under way, `slim` is this node's share. Pure. */
export function gatewayLimitsVerdict(rows: readonly StatRow[]): Verdict {
  const early = rows.filter((row) => rgwState(row).state === "busy" && counted(row, "scur") < counted(row, "slim"));
  if (early.length === 0) return pass("no RGW is busy below its share");
  const text = early.map(
    (row) =>
      `${row["svname"]} is busy with ${counted(row, "scur")} requests of this node, whose share is ${row["slim"]}`,
  );
  return warn(
    several(text, NAMED, "; "),
    "give the RGWs the rgw_max_concurrent_requests that ober ceph-config prints; name all nodes in nodes (ober.yaml); keep other clients away",
  );
}
