/** The last page of the demo: what was seen, in the words of somebody who was not there. */
import type { LoadSummary } from "./load.ts";
import { VIP_NAME } from "./places.ts";

/** What one failure under load did. */
export type Loss = {
  readonly title: string;
  readonly goneMs: number;
  readonly backMs: number;
  readonly routeDuring: string;
  readonly inFlight: number;
  readonly load: LoadSummary;
};

/** What a newcomer reads at the end. */
export function lastPage(seen: {
  readonly yaml: string;
  readonly route: string;
  readonly bytes: number;
  readonly hashes: { readonly sent: string; readonly received: string };
  readonly losses: readonly Loss[];
}): string {
  const indent = (text: string) => text.trimEnd().replace(/^/gm, "    ");
  const losses = seen.losses.map(({ title, goneMs, backMs, routeDuring, inFlight, load }) => {
    const failed =
      load.failed === 0
        ? `none of the ${load.requests} requests that were begun after it failed; the slowest took ${load.slowestMs.toFixed(0)} ms`
        : `${load.failed} of the ${load.requests} requests that were begun after it failed, the last of them ${load.failingMs.toFixed(0)} ms after it: ${JSON.stringify(load.errors)}`;
    return `${title}
    out of the router's kernel after ${goneMs.toFixed(0)} ms, back after ${(backMs / 1000).toFixed(1)} s
    meanwhile:
${indent(indent(routeDuring))}
    ${inFlight} of the requests in flight were cut off
    ${failed}
`;
  });
  return `
What was seen

The same ober.yaml on three bare Debian machines:
${indent(seen.yaml)}

The route in the router's kernel:
${indent(seen.route)}

An object of ${seen.bytes} bytes through https://${VIP_NAME} (TLS, SigV4):
    sha256 sent      ${seen.hashes.sent}
    sha256 received  ${seen.hashes.received}

${losses.join("\n")}
`;
}

/** How to go on with a demo that was kept. */
export const KEPT = `The lab is still there. Look around:
    scripts/lab status
    scripts/lab exec n1 ober status
    scripts/lab exec client s3cmd ls
    scripts/lab kill n2        (and boot n2; see scripts/lab --help)
Take it down:
    scripts/lab down
`;
