import http from "node:http";
import { OberError } from "../errors.ts";

/** The status code of a plain HTTP GET, how long it took, and the other side's clock where it says. Throws an OberError when there is no answer. */
export function httpStatus(
  url: string,
  timeoutMs: number,
): Promise<{ status: number; ms: number; date: number | undefined }> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const request = http.get(url, { agent: false }, (response) => {
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
