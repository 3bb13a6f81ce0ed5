/** Steers the clients that hold connections. */
import { join } from "node:path";
import { CA_FILE } from "./certificate.ts";
import type { HoldPlan, HoldReport } from "./hold-client.ts";
import { inNamespace } from "./network.ts";
import { VIP, VIP_NAME } from "./places.ts";

/** Opens connections from behind the router and holds them until `stop`, which lets each carry a last request. */
export function startHold(options: Pick<HoldPlan, "idle" | "active" | "opening" | "pauseMs">) {
  const plan: HoldPlan = { address: VIP, port: 443, serverName: VIP_NAME, caFile: CA_FILE, ...options };
  const program = [process.execPath, join(import.meta.dirname, "hold-client.ts"), JSON.stringify(plan)];
  const client = Bun.spawn(inNamespace("client", program), { stdout: "pipe", stderr: "inherit" });
  let last: HoldReport = { idle: 0, active: 0, requests: 0, failed: {}, over: false };
  const reading = (async () => {
    let rest = "";
    for await (const chunk of client.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) last = JSON.parse(line) as HoldReport;
    }
  })();
  return {
    last: (): HoldReport => last,
    stop: async (): Promise<HoldReport> => {
      client.kill("SIGTERM");
      await client.exited;
      await reading;
      if (!last.over) throw new Error(`the client of held connections ended early: ${JSON.stringify(last)}`);
      return last;
    },
  };
}
