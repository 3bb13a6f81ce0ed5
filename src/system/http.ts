import http from "node:http";
import { OberError } from "../errors.ts";

/** The status code of a plain HTTP GET and how long it took. Throws an OberError when there is no answer. */
export function httpStatus(url: string, timeoutMs: number): Promise<{ status: number; ms: number }> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const request = http.get(url, { agent: false, timeout: timeoutMs }, (response) => {
      response.resume();
      resolve({ status: response.statusCode ?? 0, ms: performance.now() - startedAt });
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    request.on("error", (error) => reject(new OberError(`no answer from ${url}: ${error.message}`, { cause: error })));
  });
}
