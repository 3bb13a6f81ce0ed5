import net from "node:net";

export type TcpResult =
  | { readonly ok: true; readonly ms: number }
  | { readonly ok: false; readonly reason: string; readonly code: string };

/** Opens and closes a TCP connection; returns the time it took in milliseconds, or what went wrong. Never throws. */
export function tcpConnect(host: string, port: number, timeoutMs: number, localAddress?: string): Promise<TcpResult> {
  return new Promise((resolve) => {
    const startedAt = performance.now();
    const socket = net.connect({ host, port, ...(localAddress === undefined ? {} : { localAddress }) });
    const timer = setTimeout(
      () => settle({ ok: false, reason: `no answer within ${timeoutMs} ms`, code: "ETIMEDOUT" }),
      timeoutMs,
    );
    const settle = (result: TcpResult) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    socket.on("connect", () => settle({ ok: true, ms: performance.now() - startedAt }));
    socket.on("error", (error) =>
      settle({ ok: false, reason: error.message, code: (error as NodeJS.ErrnoException).code ?? "" }),
    );
  });
}
