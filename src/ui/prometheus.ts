/** The text format of Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats. Pure. */
export type Metric = {
  readonly name: string;
  readonly help: string;
  readonly type: "gauge" | "counter";
  readonly samples: readonly Sample[];
};

export type Sample = { readonly labels?: Readonly<Record<string, string>>; readonly value: number };

export type Histogram = {
  readonly name: string;
  readonly help: string;
  readonly type: "histogram";
  /** Ascending upper bounds, and the count of each bucket alone; the last count is what exceeds all bounds. */
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
};

/** Leaves out metrics without a sample: absent means "unknown", zero would mean "none". */
export function exposition(metrics: readonly (Metric | Histogram)[]): string {
  return metrics.map((metric) => (metric.type === "histogram" ? histogram(metric) : plain(metric))).join("");
}

function plain({ name, help, type, samples }: Metric): string {
  if (samples.length === 0) return "";
  return [...heading(name, help, type), ...samples.map((sample) => line(name, sample)), ""].join("\n");
}

function histogram({ name, help, type, bounds, counts, sum }: Histogram): string {
  let count = 0;
  const buckets = [...bounds.map(String), "+Inf"].map((le, i) => {
    count += counts[i] ?? 0;
    return line(`${name}_bucket`, { labels: { le }, value: count });
  });
  const totals = [line(`${name}_sum`, { value: sum }), line(`${name}_count`, { value: count })];
  return [...heading(name, help, type), ...buckets, ...totals, ""].join("\n");
}

const heading = (name: string, help: string, type: string) => [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];

function line(name: string, { labels = {}, value }: Sample): string {
  const escaped = (text: string) => text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`;
}
