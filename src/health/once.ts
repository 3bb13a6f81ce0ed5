import { createProber } from "./probe.ts";

/** Whether HAProxy on this machine answers 200 on its health path now. */
export async function isHealthy(statsPort: number, timeoutMs = 1000): Promise<boolean> {
  const result = await healthNow(statsPort, timeoutMs);
  return result.ok;
}

/** The same, with the reason if it does not. */
export async function healthNow(statsPort: number, timeoutMs = 1000, path = "/health") {
  const text = `http://127.0.0.1:${statsPort}${path}`;
  const prober = createProber({ host: "127.0.0.1", port: statsPort, path, text }, () => {});
  try {
    return await prober.probe(timeoutMs);
  } finally {
    prober.close();
  }
}
