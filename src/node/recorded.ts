import { pathsOf } from "../domain/paths.ts";
import { typedWithoutSecrets } from "../domain/redact.ts";
import { RGW_CHANGES } from "../domain/rgw-wishes.ts";
import { appendHistory } from "../health/history.ts";
import { author, installPathOf, isRoot } from "./node.ts";

/** Commands that change how this node serves, each with the flags by which it only looks or is not an operator's. */
const RECORDED: Readonly<Record<string, readonly string[]>> = {
  __proto__: null as never,
  bootstrap: ["--dry-run"],
  config: ["--dry-run", "--example", "--schema", "get", "validate"],
  apply: ["--dry-run"],
  confirm: [],
  rollback: ["--dry-run", "--list"],
  sync: ["--dry-run", "--test"],
  // The timer looks every hour; what it gets it notes itself.
  certs: ["--timer"],
  start: [],
  stop: [],
  // HAProxy's unit runs this as it stops.
  drain: ["--only-wait"],
  undrain: [],
  // With --all it says what to type on each node.
  rgw: ["--all"],
  drill: ["--list", "--show", "--observe", "--dry-run"],
  restart: [],
  upgrade: ["--check-only"],
};

/** Of these commands only what begins with one of these words changes something. */
const CHANGING: Readonly<Record<string, readonly string[]>> = {
  __proto__: null as never,
  certs: ["renew", "reload"],
  rgw: RGW_CHANGES,
};

/** What was typed, while it runs; undefined for a command that is none of an operator's changes. */
let running: { readonly typed: string; begun: boolean } | undefined;

/**
 * Runs a command, and notes for `ober history` who has typed it and how it ended. What finds nothing to do notes nothing: a change is
 * noted when it begins, so that the record is there if the machine dies in the middle.
 */
export async function recorded(name: string, words: readonly string[], action: () => Promise<void>): Promise<void> {
  const harmless = RECORDED[name];
  const changes = CHANGING[name]?.some((word) => words.includes(word)) ?? true;
  const looks =
    !changes || harmless?.some((flag) => words.some((word) => word === flag || word.startsWith(`${flag}=`)));
  if (harmless === undefined || looks || !isRoot()) return action();
  const typed = [name, ...words].join(" ");
  running = { typed, begun: false };
  const began = performance.now();
  try {
    await action();
    if (running.begun) await record(typed, `done in ${Math.ceil((performance.now() - began) / 1000)} s`);
  } catch (error) {
    if (error instanceof Error) await record(typed, `failed: ${error.message}`);
    throw error;
  } finally {
    running = undefined;
  }
}

/** Notes that what was typed begins to change the node; once a command, and nothing for a command that is not recorded. */
export async function noteBegun(): Promise<void> {
  if (running === undefined || running.begun) return;
  running.begun = true;
  await record(running.typed, "begun");
}

/** Notes what an operator did. Does nothing if ober is not installed; a history that cannot be written fails no command. */
export async function record(typed: string, cause: string): Promise<void> {
  const prefix = installPathOf(process.execPath);
  if (prefix === undefined) return;
  const line = (text: string) =>
    typedWithoutSecrets(text)
      .replace(/\p{Cc}+/gu, " ")
      .slice(0, 300);
  const entry = { at: new Date().toISOString(), kind: "command", vips: [], by: author() } as const;
  await appendHistory(pathsOf(prefix).history, { ...entry, to: `ober ${line(typed)}`, cause: line(cause) });
}
