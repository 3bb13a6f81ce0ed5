/**
 * Long transfers: `bun transfer-client.ts PLAN-AS-JSON`, run where the clients are. Keeps a number of uploads and downloads in
 * flight, each on a TLS connection of its own and at a constant pace, and begins short requests beside them. Prints a JSON
 * line for each when it is over. The backend is backend.ts; every byte is checked by digest. SIGTERM: no new ones, then the end.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:tls";
import { bodyChunks, bodyDigest } from "./backend.ts";

export type TransferPlan = {
  /** VIPs, used in turn. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly serverName: string;
  readonly caFile: string;
  /** Transfers in flight, half of them uploads. */
  readonly inFlight: number;
  /** How long a transfer takes at least and at most. */
  readonly seconds: readonly [least: number, most: number];
  readonly bytesPerSecond: number;
  /** Short requests begun each second. */
  readonly shortPerSecond: number;
};

/** Times in milliseconds since 1970. */
export type TransferRecord = {
  readonly begin: number;
  readonly end: number;
  readonly kind: "upload" | "download" | "short";
  readonly address: string;
  readonly ok: boolean;
  readonly error?: string;
};

const SHORT_BYTES = 1024;
/** Nothing moved for so long: the transfer is dead. */
const SILENCE_MS = 30_000;
const now = () => performance.timeOrigin + performance.now();

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] ?? "") as TransferPlan;
  const ca = readFileSync(plan.caFile, "utf8");
  const running = new Set<Promise<void>>();
  const shortDigest = bodyDigest(SHORT_BYTES);
  const began = performance.now();
  let [count, short, stopping] = [0, 0, false];
  const begin = (kind: TransferRecord["kind"], bytes: number, digest: string) => {
    const address = plan.addresses[count++ % plan.addresses.length] ?? "";
    const transfer = carry(plan, { ca, kind, bytes, digest, address }).then((record) => {
      process.stdout.write(`${JSON.stringify(record)}\n`);
    });
    running.add(transfer);
    return transfer.finally(() => running.delete(transfer));
  };
  /** One place among those in flight: a transfer after the other. */
  const place = async (index: number) => {
    const [least, most] = plan.seconds;
    while (!stopping) {
      // Spread over the whole span, so that they do not begin and end together.
      const seconds = least + ((index * 7 + count) % 97) * ((most - least) / 96);
      const bytes = Math.round(seconds * plan.bytesPerSecond);
      await begin(index % 2 === 0 ? "upload" : "download", bytes, bodyDigest(bytes));
    }
  };
  for (let index = 0; index < plan.inFlight; index++) {
    place(index);
    if (index % 20 === 19) await Bun.sleep(100);
  }
  const timer = setInterval(() => {
    for (; short < ((performance.now() - began) / 1000) * plan.shortPerSecond; short++)
      begin("short", SHORT_BYTES, shortDigest);
  }, 5);
  process.once("SIGTERM", async () => {
    stopping = true;
    clearInterval(timer);
    while (running.size > 0) await Promise.all(running);
    process.exit(0);
  });
}

type Wanted = {
  readonly ca: string;
  readonly kind: TransferRecord["kind"];
  readonly bytes: number;
  readonly digest: string;
  readonly address: string;
};

/** One transfer from its connection to its last byte; never rejects. */
function carry(plan: TransferPlan, { ca, kind, bytes, digest, address }: Wanted): Promise<TransferRecord> {
  const begin = now();
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: plan.port, servername: plan.serverName, ca });
    let over = false;
    const finish = (error?: string) => {
      if (over) return;
      over = true;
      clearTimeout(silence);
      socket.destroy();
      resolve({ begin, end: now(), kind, address, ...(error === undefined ? { ok: true } : { ok: false, error }) });
    };
    const silence = setTimeout(() => finish("silence"), SILENCE_MS);
    socket.on("secureConnect", async () => {
      if (kind !== "upload") {
        const pace = kind === "download" ? `?bytesPerSecond=${plan.bytesPerSecond}` : "";
        socket.write(`GET /body/${bytes}${pace} HTTP/1.1\r\nhost: ${plan.serverName}\r\nconnection: close\r\n\r\n`);
        return;
      }
      socket.write(
        `PUT /x HTTP/1.1\r\nhost: ${plan.serverName}\r\nconnection: close\r\ncontent-length: ${bytes}\r\n\r\n`,
      );
      await sendSlowly(socket, plan, bytes, () => over || void silence.refresh());
    });
    let head = "";
    let received = 0;
    let length = -1;
    const hash = createHash("sha256");
    let answer = "";
    socket.on("data", (chunk: Buffer) => {
      silence.refresh();
      let body = chunk;
      if (length < 0) {
        head += chunk.toString("latin1");
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        body = Buffer.from(head.slice(end + 4), "latin1");
        if (!head.startsWith("HTTP/1.1 200")) return finish(`answer ${head.slice(0, 40).split("\r")[0]}`);
        length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
      }
      received += body.length;
      if (kind === "upload") answer += body.toString();
      else hash.update(body);
      if (received < length) return;
      const right = kind === "upload" ? answer.includes(digest) : hash.digest("hex") === digest;
      finish(right ? undefined : "wrong content");
    });
    socket.on("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    socket.on("close", () => finish("closed before the end of the answer"));
  });
}

/** Sends the body in small pieces, four a second; `moves` is told of each and says whether to stop. */
async function sendSlowly(
  socket: ReturnType<typeof connect>,
  { bytesPerSecond }: TransferPlan,
  bytes: number,
  moves: () => boolean | undefined,
): Promise<void> {
  const body = Buffer.concat([...bodyChunks(bytes)]);
  const began = performance.now();
  for (let sent = 0; sent < bytes; ) {
    if (moves()) return;
    const due = Math.min(bytes, Math.ceil(((performance.now() - began) / 1000) * bytesPerSecond) + 1);
    if (due > sent) socket.write(body.subarray(sent, due));
    sent = due;
    await Bun.sleep(250);
  }
}
