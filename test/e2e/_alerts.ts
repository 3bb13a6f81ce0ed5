/** What is broken under Prometheus, and exactly which alerts must fire. `NODE` in an alert is the node that is broken. */
import { selfSigned } from "../helpers/certificate.ts";
import type { Lab, LabNode } from "../lab/lab.ts";
import { VIP } from "../lab/places.ts";
import { becomes, until } from "../lab/process.ts";
import { METRICS_FILE, type Monitoring } from "../lab/prometheus.ts";
import { birdc } from "../lab/router.ts";
import { measured, ROUNDS } from "./_cluster.ts";

/**
 * What the rules' durations are divided by: 15 s are 750 ms with rounds. In a single run, beside a second lab, they are 2.5 s: one late writing of the metrics, every
 * two seconds, is no failure.
 */
export const FACTOR = ROUNDS > 1 ? 20 : 6;
/** BFD that a busy machine does not take for a cut, where seconds matter and not milliseconds. */
export const CALM = { bfdIntervalMs: 300 } as const;
/** The timer writes every 15 s; here as often as it matters to durations that are so much shorter. */
const EVERY = "2s";

export type Injection = {
  readonly what: string;
  readonly how: string | ((node: LabNode, lab: Lab, monitoring: Monitoring) => Promise<unknown>);
  readonly mend: Injection["how"];
  /** All that fires, and nothing else; none for what is no failure. */
  readonly alerts: readonly string[];
  /** How long until it fires, at most; what is counted in seconds and not in durations takes its time. */
  readonly withinMs?: number;
  /** Tried in every run; the others with OBER_ROUNDS, and by scripts/bench/monitoring.ts. */
  readonly always?: true;
};

const each = async (numbers: readonly number[], act: (index: number) => Promise<unknown>) => {
  for (const index of numbers) await act(index);
};
const NODES = ["n1", "n2", "n3"];
const PEM = "/opt/ober/etc/certs/vip.pem";

export const INJECTIONS: readonly Injection[] = [
  {
    what: "HAProxy's unit stopped",
    how: "systemctl stop ober-http",
    mend: "ober start -q",
    alerts: ["OberNodeNotServing NODE", "OberUnitDown NODE"],
    always: true,
  },
  {
    what: "every RGW stopped",
    how: (_, lab) => each([1, 2, 3], lab.stopEndpoint),
    mend: (_, lab) => each([1, 2, 3], lab.startEndpoint),
    alerts: [
      ...NODES.flatMap((name) => [`OberBackendsFew ${name}`, `OberNodeNotServing ${name}`]),
      `OberNobodyServes ${VIP}`,
    ],
    always: true,
  },
  {
    what: "the session closed by the router",
    how: ({ name }) => birdc(`disable ${name}`),
    mend: ({ name }) => birdc(`enable ${name}`),
    alerts: ["OberBgpSessionDown NODE", "OberNodeNotServing NODE"],
    always: true,
  },
  { what: "drained", how: "ober drain -q", mend: "ober undrain -q", alerts: [] },
  {
    what: "ExaBGP's unit stopped",
    how: "systemctl stop ober-bgp",
    mend: "ober start -q",
    alerts: ["OberNodeNotServing NODE", "OberUnitDown NODE"],
  },
  {
    what: "two of three RGWs stopped",
    how: (_, lab) => each([1, 2], lab.stopEndpoint),
    mend: (_, lab) => each([1, 2], lab.startEndpoint),
    alerts: NODES.map((name) => `OberBackendsFew ${name}`),
  },
  {
    what: "BFD's unit stopped",
    how: "systemctl stop ober-bfd",
    mend: "ober start -q",
    alerts: ["OberBfdSessionDown NODE", "OberUnitDown NODE"],
  },
  {
    what: "the machine without power",
    how: (node) => node.powerOff(),
    mend: async (node, _, monitoring) => {
      await node.boot();
      await monitoring.startExporter(node);
    },
    alerts: ["OberNodeGone NODE"],
  },
  {
    what: "a certificate that ends in three days",
    how: async (node) => {
      await node.exec(["cp", "-p", PEM, "/root/kept.pem"]);
      await Bun.write(node.root + PEM, await selfSigned("s3.example.org", 3));
    },
    mend: `mv /root/kept.pem ${PEM}`,
    alerts: ["OberCertificateEnds NODE"],
  },
  {
    what: "a generated file changed by hand",
    how: "echo '# by hand' >> /opt/ober/etc/haproxy/haproxy.cfg",
    mend: "sed -i '$d' /opt/ober/etc/haproxy/haproxy.cfg",
    alerts: ["OberFilesChangedByHand NODE"],
    withinMs: 280_000,
  },
  {
    what: "the timer of the metrics stopped",
    how: "systemctl stop ober-metrics.timer",
    mend: "systemctl start ober-metrics.timer",
    alerts: ["OberMetricsOld NODE"],
    withinMs: 280_000,
  },
];

/** Installs ober's metrics on a node as an operator does, and has the timer hurry. */
export async function writeMetrics(node: LabNode): Promise<void> {
  const dropIn = "/etc/systemd/system/ober-metrics.timer.d";
  const hurry = `mkdir -p ${dropIn} && printf '[Timer]\\nOnUnitActiveSec=\\nOnBootSec=1s\\nOnUnitActiveSec=${EVERY}\\nAccuracySec=100ms\\n' > ${dropIn}/test.conf`;
  const install = `mkdir -p $(dirname ${METRICS_FILE}) && ober metrics --install -q --out ${METRICS_FILE}`;
  await node.exec([
    "sh",
    "-c",
    `${install} && ${hurry} && systemctl daemon-reload && systemctl restart ober-metrics.timer`,
  ]);
}

export async function stopMetrics(node: LabNode): Promise<void> {
  await node.exec(["sh", "-c", `rm -rf /etc/systemd/system/ober-metrics.timer.d && ober metrics --remove -q`]);
}

/** Breaks, waits for the alerts, sees that no other comes, mends, and waits until all is quiet. Returns what fired. */
export async function inject(
  monitoring: Monitoring,
  { what, how, mend, alerts, withinMs = 40_000 }: Injection,
  { node, lab, watchMs }: { readonly node: LabNode; readonly lab: Lab; readonly watchMs: number },
): Promise<{ readonly wanted: readonly string[]; readonly fired: readonly string[] }> {
  const carryOut = async (it: Injection["how"]) => {
    if (typeof it === "string") await node.exec(["sh", "-c", it], { timeoutMs: 120_000 });
    else await it(node, lab, monitoring);
  };
  const wanted = alerts.map((alert) => alert.replace("NODE", node.name)).sort();
  const fired = new Set<string>();
  const complete = async () => {
    for (const alert of await monitoring.firing()) fired.add(alert);
    return wanted.every((alert) => fired.has(alert));
  };
  const at = performance.now();
  await carryOut(how);
  try {
    if (await becomes(complete, withinMs, 500)) {
      if (wanted.length > 0) measured(`alert, its times divided by ${FACTOR}, ${what}: fires`, performance.now() - at);
    }
    const end = performance.now() + watchMs;
    while (performance.now() < end) {
      await complete();
      await Bun.sleep(500);
    }
  } finally {
    await carryOut(mend);
  }
  await until(`all is quiet after ${what}`, async () => (await monitoring.firing()).length === 0, 120_000, 500);
  return { wanted, fired: [...fired].sort() };
}
