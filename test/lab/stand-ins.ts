/**
 * Stand-ins for RGWs that answer as radosgw does, each with its own limit: `bun stand-ins.ts PORT LIMIT MS ADDRESS...`. What radosgw
 * answers is recorded in test/contract/radosgw.test.ts; the health check counts against the limit like a request there, and here.
 *
 *   GET  /swift/healthcheck     200, 498 at the limit, 503 while the file of rgw_healthcheck_disabling_path "exists"
 *   GET, PUT /anything          200 after MS milliseconds; 503 SlowDown at the limit
 *   GET  /slow?ms=N&chunks=M    200 and M pieces, N milliseconds apart
 *   POST /mode/ok|busy|disabled|hang   busy: 498 and 503 to everything; hang: nothing is answered until another mode comes
 *   GET  /counts                {served, refused, inFlight, most}
 */
import { setTimeout as delay } from "node:timers/promises";

const SLOW_DOWN =
  '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message></Message><HostId></HostId></Error>';

export type Mode = "ok" | "busy" | "disabled" | "hang";
export type Counts = {
  readonly served: number;
  readonly refused: number;
  readonly inFlight: number;
  /** The most at a time so far. */
  readonly most: number;
};

const json = (status: number, statusText: string, code: string) =>
  new Response(JSON.stringify({ Code: code, Message: "", HostId: "" }), {
    status,
    statusText,
    headers: { "content-type": "application/json; charset=utf-8" },
  });

function standIn(hostname: string, port: number, { limit, ms }: { limit: number; ms: number }) {
  let mode: Mode = "ok";
  let changed = Promise.withResolvers<void>();
  let [served, refused, inFlight, most] = [0, 0, 0, 0];

  const work = async (request: Request, url: URL): Promise<Response> => {
    const health = url.pathname === "/swift/healthcheck";
    while (mode === "hang") await changed.promise;
    if (mode === "busy" || inFlight > limit) {
      if (health) return json(498, "Rate Limited", "Rate Limited");
      refused++;
      return new Response(SLOW_DOWN, {
        status: 503,
        statusText: "Slow Down",
        headers: { "content-type": "application/xml" },
      });
    }
    if (health) return mode === "disabled" ? json(503, "Slow Down", "ServiceUnavailable") : new Response("");
    if (request.method === "PUT") await request.arrayBuffer();
    if (url.pathname === "/slow") {
      inFlight++;
      return slow(Number(url.searchParams.get("ms")), Number(url.searchParams.get("chunks")), () => {
        inFlight--;
      });
    }
    await delay(ms);
    served++;
    return new Response("ok".repeat(500));
  };

  Bun.serve({
    hostname,
    port,
    idleTimeout: 0,
    async fetch(request) {
      const url = new URL(request.url, "http://rgw");
      if (request.method === "POST" && url.pathname.startsWith("/mode/")) {
        mode = url.pathname.slice("/mode/".length) as Mode;
        changed.resolve();
        changed = Promise.withResolvers();
        return Response.json({ mode });
      }
      if (url.pathname === "/counts") return Response.json({ served, refused, inFlight, most } satisfies Counts);
      inFlight++;
      try {
        const response = await work(request, url);
        most = Math.max(most, Math.min(inFlight, limit));
        return response;
      } finally {
        inFlight--;
      }
    },
  });
}

/** A body that takes its time; its length is known from the start. Calls `over` when all is sent, or nobody reads any more. */
function slow(ms: number, chunks: number, over: () => void): Response {
  const piece = new Uint8Array(10_000).fill(120);
  let gone = false;
  const body = new ReadableStream({
    async start(controller) {
      for (let count = 0; count < chunks && !gone; count++) {
        controller.enqueue(piece);
        await delay(ms);
      }
      if (!gone) controller.close();
      over();
    },
    cancel() {
      gone = true;
    },
  });
  return new Response(body, { headers: { "content-length": String(chunks * piece.length) } });
}

if (import.meta.main) {
  const [port = "", limit = "", ms = "", ...addresses] = process.argv.slice(2);
  for (const address of addresses) standIn(address, Number(port), { limit: Number(limit), ms: Number(ms) });
}
