import http from "node:http";
import https from "node:https";
import { OberError } from "../errors.ts";

/** How a server by https:// is judged: by this CA (PEM; the system's without), under this name, or not at all. */
export type Trust = {
  readonly ca?: string | undefined;
  readonly servername?: string | undefined;
  readonly verify: boolean;
};

/** The status code of an HTTP GET, how long it took, and the other side's clock where it says. Throws an OberError when there is no answer. */
export function httpStatus(
  url: string,
  timeoutMs: number,
  trust?: Trust,
): Promise<{ status: number; ms: number; date: number | undefined }> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const { ca, servername, verify = true } = trust ?? {};
    const secure = { rejectUnauthorized: verify, ...(ca ? { ca } : {}), ...(servername ? { servername } : {}) };
    const get = url.startsWith("https:") ? https.get : http.get;
    const request = get(url, { agent: false, ...secure }, (response) => {
      response.resume();
      const date = Date.parse(response.headers.date ?? "");
      const ms = performance.now() - startedAt;
      resolve({ status: response.statusCode ?? 0, ms, date: Number.isNaN(date) ? undefined : date });
    });
    const refuse = (reason: string, cause?: unknown) =>
      reject(new OberError(`no answer from ${url}: ${reason}`, { cause }));
    // The time-out of the request itself begins only when it is connected.
    const timer = setTimeout(() => {
      refuse(`nothing within ${timeoutMs} ms`);
      request.destroy();
    }, timeoutMs);
    request.on("error", (error) => refuse(error.message, error));
    request.on("close", () => clearTimeout(timer));
  });
}
