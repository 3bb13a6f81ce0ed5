import type { Finding, Trouble } from "../checks/check.ts";
import type { Documents } from "../documents.ts";
import type { Output } from "./output.ts";
import { table } from "./table.ts";

const SIGN = { pass: "ok", skip: "--", warn: "!!", fail: "XX" } as const;

/** Shows findings, problems first, each with its fix, and sets exit code 1 if one failed. */
export async function showFindings(findings: readonly Finding[], out: Output): Promise<void> {
  await out.result({ findings } satisfies Documents["doctor"], () => out.fit(findingsText(findings, out)));
  if (findings.some(({ status }) => status === "fail")) process.exitCode = 1;
}

type Problem = Finding & Trouble;
const isTrouble = (finding: Finding): finding is Problem => "fix" in finding;

/** Problems with their fixes, then their consequences, then what is fine, then a one-line verdict. */
export function findingsText(
  findings: readonly Finding[],
  { style, verbose }: Pick<Output, "style" | "verbose">,
): string {
  const colour = { pass: style.green, skip: style.dim, warn: style.yellow, fail: style.red };
  const titles = new Map(findings.map(({ id, title }) => [id, title]));
  const troubles = findings.filter(isTrouble);
  const own = [...troubles].filter(({ follows }) => follows === undefined).sort((a, b) => rank(a) - rank(b));
  const head = (finding: Finding, text: string) =>
    `${colour[finding.status](SIGN[finding.status])}  ${finding.title}: ${text}`;
  const problem = (finding: Problem) => {
    const more = verbose && finding.more !== undefined ? `\n${finding.more}` : "";
    return `${head(finding, finding.detail)}\n    ${style.cyan("fix:")} ${finding.fix}${more}`;
  };
  const consequence = (finding: Finding) =>
    head(
      finding,
      verbose
        ? `${finding.detail} (follows from: ${titles.get(finding.follows ?? "")})`
        : `follows from: ${titles.get(finding.follows ?? "")}`,
    );
  const rest = findings.filter((finding) => !isTrouble(finding));
  const sections = [
    own.map(problem).join("\n"),
    troubles
      .filter(({ follows }) => follows !== undefined)
      .map(consequence)
      .join("\n"),
    table(
      [],
      rest.map((finding) => [colour[finding.status](SIGN[finding.status]), finding.title, finding.detail]),
    ),
    style.bold(
      (own.some(({ status }) => status === "fail") ? style.red : own.length > 0 ? style.yellow : style.green)(
        verdictText(findings),
      ),
    ),
  ];
  return sections.filter((section) => section !== "").join("\n\n");
}

const rank = ({ status, stops }: Trouble) => (stops ? 0 : status === "fail" ? 1 : 2);

/** "2 problems, 1 warning, 35 fine". */
export function verdictText(findings: readonly Finding[]): string {
  const own = findings.filter((finding) => isTrouble(finding) && finding.follows === undefined);
  const count = (number: number, one: string, more: string) =>
    number === 0 ? [] : [`${number} ${number === 1 ? one : more}`];
  const of = (wanted: Finding["status"]) => own.filter(({ status }) => status === wanted).length;
  const consequences = findings.filter((finding) => isTrouble(finding) && finding.follows !== undefined).length;
  const fine = findings.filter(({ status }) => status === "pass").length;
  const skipped = findings.filter(({ status }) => status === "skip").length;
  return [
    ...count(of("fail"), "problem", "problems"),
    ...count(of("warn"), "warning", "warnings"),
    ...count(consequences, "consequence", "consequences"),
    ...count(fine, "fine", "fine"),
    ...count(skipped, "not asked", "not asked"),
  ].join(", ");
}
