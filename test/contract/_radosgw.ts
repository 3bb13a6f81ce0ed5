/** A real radosgw with the limit and the files that a test asks for, in the network that the test has entered. */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { signedHeaders } from "../../src/system/s3.ts";
import { run, until } from "../lab/process.ts";
import { toolsTree } from "../lab/trees.ts";
import { type Answer, exchange, get, request } from "./_peers.ts";

export const USER = { accessKey: "OBERACCESSKEY0000001", secretKey: "obersecretkey0000000000000000000000001" } as const;

/** The tree with radosgw; built before the test enters its isolated network. */
export const radosgwTree = (): Promise<string> => toolsTree((line) => process.stderr.write(`${line}\n`));

/** Starts radosgw at `address`, with `maxRequests` as its rgw_max_concurrent_requests, and further options in `more`. Dispose it at the end. */
export async function startRadosgw(
  tree: string,
  at: { address: string; port: number; maxRequests: number; more?: Readonly<Record<string, string>> },
) {
  const { address, port, maxRequests, more = {} } = at;
  const inside = `/tmp/ober-radosgw-${process.pid}`;
  const outside = tree + inside;
  const disablingFile = `${inside}/disabled`;
  rmSync(outside, { recursive: true, force: true });
  mkdirSync(`${outside}/store`, { recursive: true });
  writeFileSync(
    `${outside}/ceph.conf`,
    `[global]
fsid = 7b9d2f34-7c5a-4a0e-9d53-2f0c3e5b7a11
mon_host = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
[client.rgw.local]
rgw_frontends = beast endpoint=${address}:${port}
rgw_backend_store = dbstore
rgw_config_store = dbstore
dbstore_db_dir = ${inside}/store
rgw_data = ${inside}/store
rgw_max_concurrent_requests = ${maxRequests}
rgw_healthcheck_disabling_path = ${disablingFile}
log_to_file = false
${Object.entries(more)
  .map(([option, value]) => `${option} = ${value}\n`)
  .join("")}`,
  );
  const options = ["-c", `${inside}/ceph.conf`, "-n", "client.rgw.local", "--no-mon-config"];
  const { accessKey, secretKey } = USER;
  const user = ["--uid=ober", "--display-name=Ober", `--access-key=${accessKey}`, `--secret-key=${secretKey}`];
  // Now and then radosgw-admin does its work, prints the user, and hangs at its exit.
  const admin = ["timeout", "--signal=KILL", "10", "chroot", tree, "radosgw-admin", ...options, "user", "create"];
  const { stdout, stderr } = await run([...admin, ...user], { accept: [0, 137] });
  if (!stdout.includes(accessKey)) throw new Error(`radosgw-admin made no user: ${stderr}`);
  const log = openSync(`${outside}/log`, "a");
  const child = Bun.spawn(["chroot", tree, "radosgw", ...options, "-d"], { stdin: "ignore", stdout: log, stderr: log });
  closeSync(log);
  const end = async () => {
    child.kill("SIGKILL");
    await child.exited;
    rmSync(outside, { recursive: true, force: true });
  };
  const here = { to: address, port };
  try {
    const serves = () =>
      ask("/swift/healthcheck").then(
        ({ status }) => status === 200,
        () => false,
      );
    await until("radosgw answers", serves, 30_000, 50);
    const made = await request(signed("PUT", "/bucket"), here);
    if (made.status !== 200) throw new Error(`radosgw makes no bucket: ${made.head}`);
  } catch (error) {
    const said = readFileSync(`${outside}/log`, "utf8").slice(-2_000);
    await end();
    throw new Error(`radosgw does not start: ${said}`, { cause: error });
  }

  function ask(path: string): Promise<Answer> {
    return request(get(path), here);
  }
  function signed(method: "PUT" | "GET", path: string, length = 0): string {
    const host = `${address}:${port}`;
    const headers = {
      ...signedHeaders({ method, path, body: new Uint8Array(length), host, credentials: USER, at: new Date() }),
      host,
      "content-length": String(length),
    };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    return `${method} ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
  }

  return {
    /** Where its files are, from outside its tree. */
    outside,
    version: (await run(["chroot", tree, "radosgw", "--version"])).stdout.split(" ")[2] ?? "",
    ask,
    /** Begins `count` uploads that radosgw works on until `finish` sends their bodies and returns their statuses. */
    async upload(count: number) {
      const BYTES = 1_000;
      const sockets = await Promise.all(
        Array.from({ length: count }, async (_, number) => {
          const socket = net.connect({ host: address, port });
          socket.on("error", () => {});
          await new Promise((resolve) => socket.once("connect", resolve));
          socket.write(signed("PUT", `/bucket/upload${number}`, BYTES));
          return socket;
        }),
      );
      return {
        finish: () =>
          Promise.all(
            sockets.map(async (socket) => {
              const { status } = await exchange(socket, Buffer.alloc(BYTES));
              socket.destroy();
              return status;
            }),
          ),
      };
    },
    /** Makes the file of rgw_healthcheck_disabling_path, or takes it away. */
    disable: (on: boolean) =>
      on ? writeFileSync(tree + disablingFile, "") : rmSync(tree + disablingFile, { force: true }),
    [Symbol.asyncDispose]: end,
  };
}
