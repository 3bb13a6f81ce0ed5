import type { LoopOptions } from "./options.ts";
export function runLoop(_options: LoopOptions): Promise<number> {
  return Promise.reject(new Error("not merged yet"));
}
