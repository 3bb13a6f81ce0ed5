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
  const deadline = performance.now() + VANISHING_MS;
  while (!(await takes(server, prefix))) {
    const who = await holder(prefix);
    if (who !== undefined || performance.now() > deadline) {
      throw new OberError(`another ober is changing this machine: ${who ?? "it is about to end"}`, {
        hint: "wait until it has finished and run the command again",
      });
    }
    // It ended between the two looks.
    await Bun.sleep(10);
  }
  // The lock must not keep a command alive that has otherwise finished.
  server.unref();
  return server;
}

/** How long a holder may be on its way out, when it has the name and answers nobody any more. */
const VANISHING_MS = 2000;

function takes(server: net.Server, prefix: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const refused = (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" ? resolve(false) : reject(error));
    server.once("error", refused);
    server.listen({ path: nameOf(prefix) }, () => {
      server.off("error", refused);
      resolve(true);
    });
  });
}

function holder(prefix: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect({ path: nameOf(prefix), timeout: 1000 } as net.NetConnectOpts);
    let said = "";
    socket.on("data", (chunk) => {
      said += chunk;
    });
    socket.on("end", () => resolve(said === "" ? undefined : said));
    socket.on("timeout", () => resolve(said === "" ? "it does not answer" : said));
    socket.on("error", () => resolve(undefined));
  });
}
