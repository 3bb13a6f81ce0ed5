import net from "node:net";

/** Opens a TCP connection and closes it; returns the time it took in milliseconds, or what went wrong. Never throws. */
export function tcpConnect(
  host: string,
  port: number,
  timeoutMs: number,
  localAddress?: string,
): Promise<{ ok: true; ms: number } | { ok: false; reason: string }> {
  return new Promise((resolve) => {
    const startedAt = performance.now();
    const socket = net.connect({ host, port, ...(localAddress === undefined ? {} : { localAddress }) });
    const timer = setTimeout(() => settle({ ok: false, reason: `no answer within ${timeoutMs} ms` }), timeoutMs);
    const settle = (result: { ok: true; ms: number } | { ok: false; reason: string }) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    socket.on("connect", () => settle({ ok: true, ms: performance.now() - startedAt }));
    socket.on("error", (error) => settle({ ok: false, reason: error.message }));
  });
}
