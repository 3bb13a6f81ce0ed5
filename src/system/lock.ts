import net from "node:net";
import { OberError } from "../errors.ts";

/**
 * Runs `action` while no other ober changes this installation; throws an OberError that names the holder otherwise.
 *
 * The lock is an abstract unix socket: the kernel gives the name to one process only and takes it back when that process
 * dies, however it dies, so there is no stale lock file to judge. Whoever connects is told who holds it.
 */
export async function withLock<T>(prefix: string, command: string, action: () => Promise<T>): Promise<T> {
  const server = await acquire(prefix, command);
  try {
    return await action();
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

/** Whether another process holds the lock now. */
export async function isLocked(prefix: string): Promise<boolean> {
  return (await holder(prefix)) !== undefined;
}

const nameOf = (prefix: string) => `\0ober-lock:${prefix}`;

async function acquire(prefix: string, command: string): Promise<net.Server> {
  const server = net.createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.end(`\`ober ${command}\` (pid ${process.pid})`);
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path: nameOf(prefix) }, resolve);
    });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EADDRINUSE")) throw error;
    throw new OberError(`another ober is changing this machine: ${(await holder(prefix)) ?? "it has just ended"}`, {
      hint: "wait until it has finished and run the command again",
      cause: error,
    });
  }
  // The lock must not keep a command alive that has otherwise finished.
  server.unref();
  return server;
}

function holder(prefix: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect({ path: nameOf(prefix), timeout: 1000 } as net.NetConnectOpts);
    let said = "";
    socket.on("data", (chunk) => {
      said += chunk;
    });
    socket.on("end", () => resolve(said));
    socket.on("timeout", () => resolve(said === "" ? "it does not answer" : said));
    socket.on("error", () => resolve(undefined));
  });
}
