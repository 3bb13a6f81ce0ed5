/** Ceph: one real radosgw that holds the objects, and in front of it the endpoints that the nodes know as RGWs. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { OberError } from "../../src/errors.ts";
import { inNamespace, inTools } from "./network.ts";
import { endpointAddress, LOG_DIRECTORY, SHARED_DIRECTORY, STORAGE, VIP_NAME } from "./places.ts";
import { type ProcessRecord, run, startDetached, until } from "./process.ts";

export const S3_USER = {
  accessKey: "LABACCESSKEY00000001",
  secretKey: "labsecretkey000000000000000000000000001",
} as const;
/** Where the hashing backends listen, at the addresses of the RGW endpoints. */
export const BACKEND_PORT = 9000;
const RADOSGW_OPTIONS = ["-c", "/lab/ceph.conf", "-n", "client.rgw.local", "--no-mon-config"];

/** Starts radosgw with one user in its store. */
export async function startRadosgw(): Promise<ProcessRecord> {
  mkdirSync(join(SHARED_DIRECTORY, "rgw"), { recursive: true });
  await Bun.write(join(SHARED_DIRECTORY, "ceph.conf"), CEPH_CONFIG);
  const { accessKey, secretKey } = S3_USER;
  const user = ["--uid=lab", "--display-name=Lab", `--access-key=${accessKey}`, `--secret-key=${secretKey}`];
  // Now and then radosgw-admin does its work, prints the user, and hangs at its exit.
  const limited = ["timeout", "--signal=KILL", "10", "radosgw-admin", ...RADOSGW_OPTIONS];
  const { stdout, stderr } = await run(inTools("rgw", [...limited, "user", "create", ...user]), { accept: [0, 137] });
  if (!stdout.includes(accessKey)) throw new OberError(`radosgw-admin made no user: ${stderr}`);
  const record = startDetached(
    inTools("rgw", ["radosgw", ...RADOSGW_OPTIONS, "-d"]),
    join(LOG_DIRECTORY, "radosgw.log"),
  );
  await until("radosgw answers", () => answers(STORAGE.address), 30_000, 100);
  return record;
}

/** Starts the n-th endpoint: the same radosgw at an address of its own. */
export async function startEndpoint(index: number): Promise<ProcessRecord> {
  const relay = [process.execPath, join(import.meta.dirname, "relay.ts")];
  const listen = [endpointAddress(index), String(STORAGE.port)];
  const target = [STORAGE.address, String(STORAGE.port)];
  const record = startDetached(
    inNamespace("rgw", [...relay, ...listen, ...target]),
    join(LOG_DIRECTORY, `rgw${index}.log`),
  );
  await until(`rgw${index} answers`, () => answers(endpointAddress(index)), 15_000, 50);
  return record;
}

/** Starts a hashing backend (backend.ts) at the address of the n-th endpoint: beside it, or at its port in its place. */
export async function startBackend(index: number, port = BACKEND_PORT): Promise<ProcessRecord> {
  const program = [process.execPath, join(import.meta.dirname, "backend.ts"), endpointAddress(index), String(port)];
  const record = startDetached(inNamespace("rgw", program), join(LOG_DIRECTORY, `backend${index}.log`));
  await until(`backend ${index} answers`, () => answers(endpointAddress(index), port), 15_000, 50);
  return record;
}

async function answers(address: string, port: number = STORAGE.port): Promise<boolean> {
  const url = `http://${address}:${port}/swift/healthcheck`;
  const curl = ["curl", "-s", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", url];
  const { stdout } = await run(inTools("rgw", curl), { accept: [0, 7, 28, 52, 56] });
  return stdout === "200";
}

/** A radosgw without a cluster: everything is in one SQLite store. It corrupts multi-part uploads; single parts are right. */
const CEPH_CONFIG = `[global]
fsid = 7b9d2f34-7c5a-4a0e-9d53-2f0c3e5b7a11
mon_host = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
[client.rgw.local]
rgw_frontends = beast endpoint=${STORAGE.address}:${STORAGE.port}
rgw_backend_store = dbstore
rgw_config_store = dbstore
dbstore_db_dir = /lab/rgw
rgw_data = /lab/rgw
rgw_trust_forwarded_https = true
rgw_dns_name = ${VIP_NAME}
log_to_file = false
`;
