/**
 * A server for what radosgw is not suited to: `bun backend.ts ADDRESS PORT`. It hashes what it receives, sends bodies of any size whose
 * content is known beforehand, slowly if asked to, and can be told to misbehave.
 *
 *   GET  /swift/healthcheck                         200, or what the mode says
 *   PUT  /anything                                  200 with {bytes, sha256} of the body
 *   GET  /body/SIZE[?seed=N&bytesPerSecond=N]       SIZE bytes as `bodyChunks` makes them
 *   GET  /requests                                  how many requests were served (health checks apart)
 *   POST /mode/ok|unavailable|failing|fast-clock|hang|die
 *                                                   unavailable: 503 to everything; failing: 500 to all but health checks; fast-clock: ten
 *                                                   minutes ahead; hang: no answers; die: exits at once
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

const CHUNK_BYTES = 64 * 1024;

/** The content of /body/SIZE: numbered chunks of a pattern that depends on the seed, so that swapped or repeated parts change the hash. */
export function* bodyChunks(size: number, seed = 0): Generator<Uint8Array> {
  const pattern = createHash("sha256").update(`seed ${seed}`).digest();
  const chunk = Buffer.alloc(CHUNK_BYTES, pattern);
  for (let offset = 0; offset < size; offset += CHUNK_BYTES) {
    chunk.writeBigUInt64BE(BigInt(offset), 0);
    // The reader may still hold the chunk before when this one is made.
    yield Uint8Array.prototype.slice.call(chunk, 0, Math.min(CHUNK_BYTES, size - offset));
  }
}

/** The digest that a receiver of /body/SIZE must come to. */
export function bodyDigest(size: number, seed = 0): string {
  const hash = createHash("sha256");
  for (const chunk of bodyChunks(size, seed)) hash.update(chunk);
  return hash.digest("hex");
}

if (import.meta.main) {
  const [address = "", port = ""] = process.argv.slice(2);
  let mode = "ok";
  let served = 0;

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "/", "http://backend");
    const [, first = "", second = ""] = url.pathname.split("/");
    if (request.method === "POST" && first === "mode") {
      if (second === "die") process.exit(1);
      mode = second;
      return answer(response, 200, { mode });
    }
    if (mode === "hang") return;
    if (mode === "fast-clock") response.setHeader("date", new Date(Date.now() + 600_000).toUTCString());
    if (mode === "unavailable") return answer(response, 503, { mode });
    if (url.pathname === "/swift/healthcheck") return answer(response, 200, { mode });
    if (mode === "failing") return answer(response, 500, { mode });
    if (url.pathname === "/requests") return answer(response, 200, { served });
    served++;
    if (request.method === "PUT") {
      const digest = await digestOf(request);
      return digest === undefined ? response.destroy() : answer(response, 200, digest);
    }
    if (first === "body") return sendBody(response, Number(second), url.searchParams);
    return answer(response, 404, { path: url.pathname });
  });
  server.requestTimeout = 0;
  server.listen(Number(port), address, 1024);
}

/** What came; undefined when the sender went away in the middle. */
async function digestOf(
  request: IncomingMessage,
): Promise<{ readonly bytes: number; readonly sha256: string } | undefined> {
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
    return undefined;
  }
  return { bytes, sha256: hash.digest("hex") };
}

async function sendBody(response: ServerResponse, size: number, parameters: URLSearchParams): Promise<void> {
  const pace = Number(parameters.get("bytesPerSecond") ?? Number.POSITIVE_INFINITY);
  const begin = performance.now();
  let sent = 0;
  const closed = once(response, "close");
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": size });
  for (const chunk of bodyChunks(size, Number(parameters.get("seed") ?? 0))) {
    if (response.destroyed) return;
    if (!response.write(chunk)) await Promise.race([once(response, "drain"), closed]);
    sent += chunk.length;
    const aheadMs = (sent / pace) * 1000 - (performance.now() - begin);
    if (aheadMs > 0) await delay(aheadMs);
  }
  response.end();
}

function answer(response: ServerResponse, status: number, content: object): void {
  const body = `${JSON.stringify(content)}\n`;
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}
