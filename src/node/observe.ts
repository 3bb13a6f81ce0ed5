/** `ober drill --observe`: requests to a VIP at a steady rate, from any machine. Nothing is installed, and nothing is changed but one object. */
import type { Kind, Sample } from "../domain/observation.ts";
import { OberError } from "../errors.ts";
import { type Lane, type LaneAnswer, type LaneTarget, openLane } from "../system/http-lane.ts";
import { type Credentials, signedHeaders } from "../system/s3.ts";
import type { Clock } from "../system/system.ts";

export type ObserveRequest = {
  readonly target: LaneTarget;
  /** The Host header. */
  readonly host: string;
  readonly path: string;
  /** Requests a second, of all kinds together. */
  readonly rate: number;
  readonly seconds: number;
  readonly timeoutMs: number;
  /** Also uploads one object again and again, and deletes it at the end. */
  readonly upload?: { readonly bucket: string; readonly credentials: Credentials } | undefined;
};

/** Beyond this many requests without an answer a further one is not sent, and counts as failed. */
const MOST_IN_FLIGHT = 2_000;
/** Connections that are kept. */
const MOST_KEPT = 64;
const OBJECT = "ober-drill-observe";
const TICK_MS = 5;

/** Asks until the time is over or `over` says so. Throws an OberError where the first request has no answer. */
export async function observe(
  clock: Clock,
  request: ObserveRequest,
  over: () => boolean = () => false,
): Promise<{ readonly samples: readonly Sample[]; readonly durationMs: number; readonly lateMs: number }> {
  const { rate, seconds, upload } = request;
  await firstAnswer(request);
  const kinds: readonly Kind[] = upload === undefined ? ["new", "kept"] : ["new", "kept", "put"];
  const samples: Sample[] = [];
  const flights = new Set<Promise<void>>();
  const kept: Lane[] = [];
  const began = clock.now();
  const elapsed = () => clock.now() - began;
  const ask = async (kind: Kind) => {
    const at = elapsed();
    const answer = await send(request, kind, kept);
    const { reason, node } = judged(answer);
    samples.push({ at, ms: elapsed() - at, kind, reason, node });
  };
  const all = rate * seconds;
  let sent = 0;
  let lateMs = 0;
  while (sent < all && !over()) {
    const looked = elapsed();
    const due = Math.min(all, Math.floor((elapsed() * rate) / 1000) + 1);
    for (; sent < due; sent++) {
      const kind = kinds[sent % kinds.length] ?? "new";
      if (flights.size >= MOST_IN_FLIGHT) {
        samples.push({ at: elapsed(), ms: 0, kind, reason: "not sent: too many wait for an answer", node: undefined });
        continue;
      }
      const flight: Promise<void> = ask(kind).finally(() => flights.delete(flight));
      flights.add(flight);
    }
    await clock.sleep(TICK_MS);
    lateMs = Math.max(lateMs, elapsed() - looked - TICK_MS);
  }
  const durationMs = elapsed();
  // Each has its deadline.
  await Promise.all(flights);
  for (const lane of kept) lane.close();
  if (upload !== undefined) await once(request, uploadText(request, upload, "DELETE"));
  return { samples, durationMs, lateMs };
}

/** An error of the server's, or none at all, is a failure; a refusal of this request (403, 404) is an answer. */
const judged = (answer: LaneAnswer): Pick<Sample, "reason" | "node"> => {
  if (answer.status === undefined) return { reason: answer.reason, node: undefined };
  const reason = answer.status >= 500 ? `status ${answer.status}` : undefined;
  return { reason, node: answer.node };
};

function send(request: ObserveRequest, kind: Kind, kept: Lane[]): Promise<LaneAnswer> {
  const { timeoutMs, target, upload } = request;
  if (kind === "put" && upload !== undefined) return once(request, uploadText(request, upload, "PUT"));
  if (kind === "new") return once(request, getText(request, "close"));
  for (const [index, lane] of [...kept.entries()].reverse()) if (lane.isClosed()) kept.splice(index, 1);
  const idle = kept.find((lane) => !lane.isBusy());
  if (idle !== undefined) return idle.send(getText(request, "keep-alive"), timeoutMs);
  const lane = openLane(target);
  if (kept.length < MOST_KEPT) kept.push(lane);
  return lane.send(getText(request, "keep-alive"), timeoutMs);
}

async function once({ target, timeoutMs }: ObserveRequest, text: string): Promise<LaneAnswer> {
  const lane = openLane(target);
  try {
    return await lane.send(text, timeoutMs);
  } finally {
    lane.close();
  }
}

const getText = ({ path, host }: ObserveRequest, connection: string): string =>
  requestText(`GET ${path}`, { host, connection });

function uploadText(
  { host }: ObserveRequest,
  { bucket, credentials }: NonNullable<ObserveRequest["upload"]>,
  method: "PUT" | "DELETE",
): string {
  const path = `/${encodeURIComponent(bucket)}/${OBJECT}`;
  const body = method === "PUT" ? "written by ober drill --observe, and deleted at its end\n" : "";
  const signed = signedHeaders({ method, host, path, body, credentials, at: new Date() });
  const headers = { ...signed, "content-length": String(body.length), connection: "close" };
  return `${requestText(`${method} ${path}`, headers)}${body}`;
}

function requestText(line: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries({ ...headers, "user-agent": "ober", "x-ober-observe": "1" });
  return `${line} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
}

/** OpenSSL's codes of a certificate that is not trusted, or not for this name. */
const DISTRUST = /CERT|SELF_SIGNED|ALTNAME|UNABLE_TO_|ISSUER/i;

async function firstAnswer(request: ObserveRequest): Promise<void> {
  const { address, port } = request.target;
  const { upload } = request;
  const refuse = (answer: LaneAnswer, what: string) => {
    if (answer.status !== undefined) return;
    const distrust = DISTRUST.test(answer.reason);
    throw new OberError(
      `${address}:${port} ${distrust ? "has a certificate that is not trusted" : `does not answer ${what}`}: ${answer.reason}`,
      {
        hint: distrust
          ? "--host NAME for the certificate's name, --ca FILE for its CA, or --insecure"
          : "begin while the VIP is served: ober status --all on a node",
      },
    );
  };
  refuse(await once(request, getText(request, "close")), "a GET");
  if (upload === undefined) return;
  const answer = await once(request, uploadText(request, upload, "PUT"));
  refuse(answer, "a PUT");
  if (answer.status !== undefined && answer.status >= 300) {
    throw new OberError(`a PUT into ${upload.bucket} is refused with status ${answer.status}`, {
      hint: "check the bucket, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; and --host, which is signed too",
    });
  }
}
