/** An observation of a VIP as text with a time line, and as a picture. */
import { inSeconds } from "../domain/drills.ts";
import { type Column, joined, type Observation } from "../domain/observation.ts";
import { table } from "./table.ts";

const KIND_WORDS = { new: "new connections", kept: "kept connections", put: "uploads" } as const;

/** An observer that is later than this says so. */
const LATE_MS = 150;

/** The report in lines; `remark` compares it with what was promised. */
export function observationText(seen: Observation, width: number, remark?: string): string {
  const kinds = seen.kinds
    .map(({ kind, requests, failed }) => `${KIND_WORDS[kind]}: ${failed} of ${requests}`)
    .join(", ");
  const gap = `longest time without an answer: ${inSeconds(seen.longestGapMs)}, from ${inSeconds(seen.longestGapFromMs)} on`;
  const path =
    seen.newPathMs === null || seen.troubleFromMs === null
      ? "every request was answered in time"
      : `new path after ${inSeconds(seen.newPathMs)}, from ${inSeconds(seen.troubleFromMs)} on`;
  const columns = joined(seen.columns, Math.min(width, 100));
  const each = columns.length === 0 ? 0 : seen.durationMs / columns.length;
  const rows = seen.nodes.map(({ node, answers, silentMs, silentFromMs }) => [
    node,
    `${answers} answers`,
    `silent for ${inSeconds(silentMs)} from ${inSeconds(silentFromMs)} on`,
  ]);
  return [
    `${seen.requests} requests in ${inSeconds(seen.durationMs)}: ${seen.failed} failed, ${seen.slow} slow (failed of ${kinds})`,
    ...seen.reasons.map(({ reason, requests }) => `  ${requests}x ${reason}`),
    gap,
    path,
    `who answered: ${names(seen.before)} before, ${names(seen.after)} after`,
    ...(rows.length === 0 ? [] : [table([], rows)]),
    `time line, ${inSeconds(each)} a character: . answered, ~ slow, x some failed, X all failed`,
    columns.map(glyph).join(""),
    ...(remark === undefined ? [] : [remark]),
    ...(seen.lateMs < LATE_MS
      ? []
      : [
          `this machine was itself busy for up to ${inSeconds(seen.lateMs)}: the times are as uncertain as that; use a lower --rate`,
        ]),
  ].join("\n");
}

const names = (nodes: readonly string[]): string => (nodes.length === 0 ? "not known" : nodes.join(", "));

function glyph({ ok, slow, failed }: Column): string {
  if (failed > 0) return ok + slow > 0 ? "x" : "X";
  if (slow > 0) return "~";
  return ok > 0 ? "." : " ";
}

const WIDTH = 960;
const LEFT = 60;
const PLOT = WIDTH - LEFT - 20;
const BARS = 120;
const ROW = 18;
const COLOURS = { ok: "#2e7d32", slow: "#f9a825", failed: "#c62828" } as const;
const LEGEND = { ok: "answered", slow: "slow", failed: "failed" } as const;

/** The time line as an SVG picture: a bar for each moment, and who answered. */
export function observationSvg(seen: Observation, title: string): string {
  const most = Math.max(1, ...seen.columns.map(({ ok, slow, failed }) => ok + slow + failed));
  const step = PLOT / Math.max(1, seen.columns.length);
  const x = (ms: number) => fixed(LEFT + (PLOT * ms) / Math.max(1, seen.durationMs));
  const top = 60;
  const bars = seen.columns.flatMap((column, index) => {
    let y = top + BARS;
    return (["ok", "slow", "failed"] as const).flatMap((key) => {
      const height = (BARS * column[key]) / most;
      y -= height;
      const at = `x="${fixed(LEFT + index * step)}" y="${fixed(y)}" width="${fixed(step)}" height="${fixed(height)}"`;
      return height === 0 ? [] : [`<rect ${at} fill="${COLOURS[key]}"/>`];
    });
  });
  const base = top + BARS;
  const ticks = ticksOf(seen.durationMs).map(
    (ms) => `<text x="${x(ms)}" y="${base + 16}" text-anchor="middle">${ms / 1000} s</text>`,
  );
  const rows = seen.nodes.map(({ node, firstMs, lastMs, silentMs, silentFromMs }, index) => {
    const y = base + 40 + index * ROW;
    const line = (from: number, to: number, colour: string) =>
      `<line x1="${x(from)}" y1="${y}" x2="${x(Math.min(to, seen.durationMs))}" y2="${y}" stroke="${colour}" stroke-width="6"/>`;
    const silent = silentMs >= 1000 ? line(silentFromMs, silentFromMs + silentMs, "#e0e0e0") : "";
    return `<text x="4" y="${y + 4}">${escaped(node.slice(0, 12))}</text>${line(firstMs, lastMs, "#1565c0")}${silent}`;
  });
  const legend = (["ok", "slow", "failed"] as const).map(
    (key, index) =>
      `<rect x="${LEFT + index * 110}" y="36" width="10" height="10" fill="${COLOURS[key]}"/><text x="${LEFT + index * 110 + 15}" y="45">${LEGEND[key]}</text>`,
  );
  const trouble =
    seen.troubleFromMs === null || seen.newPathMs === null
      ? ""
      : `<text x="${x(seen.troubleFromMs)}" y="${top - 3}">${escaped(inSeconds(seen.newPathMs))} until the new path</text>`;
  const height = base + 50 + seen.nodes.length * ROW;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="22" font-size="15">${escaped(title)}</text>`,
    ...legend,
    ...bars,
    `<line x1="${LEFT}" y1="${base}" x2="${WIDTH - 20}" y2="${base}" stroke="#424242"/>`,
    ...ticks,
    trouble,
    ...rows,
    "</svg>",
    "",
  ].join("\n");
}

/** About ten round times. */
function ticksOf(durationMs: number): readonly number[] {
  const steps = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600].map((seconds) => seconds * 1000);
  const step = steps.find((one) => durationMs / one <= 12) ?? 1_200_000;
  return Array.from({ length: Math.floor(durationMs / step) + 1 }, (_, index) => index * step);
}

const fixed = (value: number): string => value.toFixed(2);

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign] ?? "");
