/**
 * A name server for the nodes, told what to do by a file: `bun dns.ts ADDRESS FILE`. It answers as the file says at each question, so a
 * test changes what it knows, or has it refuse, deny or fall silent, by writing the file.
 */
import { createSocket } from "node:dgram";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inNamespace } from "./network.ts";
import { LOG_DIRECTORY, RUN_DIRECTORY, SEGMENT } from "./places.ts";
import { type ProcessRecord, startDetached } from "./process.ts";

export type Zone = {
  /** denies: NXDOMAIN to every name; refuses: REFUSED; silent: takes questions and says nothing. */
  readonly mode: "answers" | "denies" | "refuses" | "silent";
  /** Addresses of names, IPv4 and IPv6. */
  readonly records: Readonly<Record<string, readonly string[]>>;
};

const FILE = join(RUN_DIRECTORY, "dns.json");

/** What the name server says from now on. */
export function setDns(zone: Zone): void {
  writeFileSync(`${FILE}.new`, JSON.stringify(zone));
  renameSync(`${FILE}.new`, FILE);
}

/** Starts the name server at the router's address on the nodes' segment. */
export async function startDns(): Promise<ProcessRecord> {
  const argv = [process.execPath, import.meta.filename, SEGMENT.router, FILE];
  return startDetached(inNamespace("router", argv), join(LOG_DIRECTORY, "dns.log"));
}

const RCODES = { answers: 0, denies: 3, refuses: 5, silent: 0 } as const;
const TYPES = { A: 1, AAAA: 28 } as const;

/** The answer to a question as it came by UDP; undefined where there is none. See RFC 1035, section 4. */
export function answerTo(message: Buffer, { mode, records }: Zone): Buffer | undefined {
  if (mode === "silent" || message.length < 17) return undefined;
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
    if (at >= message.length) return undefined;
  }
  const type = message.readUInt16BE(at + 1);
  const question = message.subarray(12, at + 5);
  const addresses = records[labels.join(".").toLowerCase()];
  const wanted = mode !== "answers" ? [] : (addresses ?? []).filter((address) => typeOf(address) === type);
  const header = Buffer.alloc(12);
  message.copy(header, 0, 0, 2);
  const code = mode === "answers" && addresses === undefined ? RCODES.denies : RCODES[mode];
  header.writeUInt16BE(0x8180 | code, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(wanted.length, 6);
  return Buffer.concat([header, question, ...wanted.map(record)]);
}

const typeOf = (address: string) => (address.includes(":") ? TYPES.AAAA : TYPES.A);

function record(address: string): Buffer {
  const data = bytesOf(address);
  const head = Buffer.alloc(12);
  // The name is that of the question.
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(typeOf(address), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(1, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function bytesOf(address: string): Buffer {
  if (!address.includes(":")) return Buffer.from(address.split(".").map(Number));
  const [front = "", back = ""] = address.split("::");
  const groups = (text: string) => text.split(":").filter(Boolean);
  const zeros = Array.from({ length: 8 - groups(front).length - groups(back).length }, () => "0");
  return Buffer.from(
    [...groups(front), ...zeros, ...groups(back)].map((group) => group.padStart(4, "0")).join(""),
    "hex",
  );
}

if (import.meta.main) {
  const [address = "", file = ""] = process.argv.slice(2);
  const socket = createSocket("udp4");
  socket.on("message", (message, { address: from, port }) => {
    const answer = answerTo(message, JSON.parse(readFileSync(file, "utf8")));
    if (answer) socket.send(answer, port, from);
  });
  socket.bind(53, address);
}
