import type { Finding } from "../checks/check.ts";
import type { Documents } from "../documents.ts";
import type { Output } from "./output.ts";

const SIGN = { pass: "ok", skip: "--", warn: "!!", fail: "XX" } as const;

/** Shows findings, each with its fix, and sets exit code 1 when one failed. */
export async function showFindings(findings: readonly Finding[], out: Output): Promise<void> {
  const colour = { pass: out.style.green, skip: out.style.dim, warn: out.style.yellow, fail: out.style.red };
  const line = (finding: Finding) => {
    const text = `${colour[finding.status](SIGN[finding.status])}  ${finding.title}: ${finding.detail}`;
    return "fix" in finding ? `${text}\n      ${out.style.cyan("fix:")} ${finding.fix}` : text;
  };
  await out.result({ findings } satisfies Documents["doctor"], () => out.fit(findings.map(line).join("\n")));
  if (findings.some(({ status }) => status === "fail")) process.exitCode = 1;
}
