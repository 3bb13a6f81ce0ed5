import { inTime } from "../system/in-time.ts";

/** One question about the machine and its answer. `fix` says what to type; the type demands it where something is wrong. */
export type Check<F> = {
  readonly id: string;
  readonly title: string;
  /** Asks systemd; skipped where another init runs, which is a finding of its own. */
  readonly needsSystemd?: true;
  run(facts: F): Verdict | Promise<Verdict>;
};

export type Verdict =
  | { readonly status: "pass" | "skip"; readonly detail: string }
  | {
      readonly status: "warn" | "fail";
      readonly detail: string;
      readonly fix: string;
      /** Commands that mend it and can do no harm, for `doctor --fix`. What they change, bootstrap has on record already. */
      readonly repair?: Repair;
    };

export type Repair = readonly (readonly string[])[];

export type Finding = Verdict & { readonly id: string; readonly title: string };

/**
 * Runs all checks at once and returns their verdicts in the order of the list. A check that throws has failed; one that is
 * not back after `deadlineMs` leaves a doubt: something that hangs cannot hide the rest, and a busy machine is no fault found.
 */
export function runChecks<F>(checks: readonly Check<F>[], facts: F, deadlineMs: number): Promise<readonly Finding[]> {
  return Promise.all(
    checks.map(async (check): Promise<Finding> => {
      const { id, title } = check;
      return { id, title, ...(await withDeadline(() => check.run(facts), deadlineMs)) };
    }),
  );
}

async function withDeadline(run: () => Verdict | Promise<Verdict>, deadlineMs: number): Promise<Verdict> {
  try {
    return await inTime(run, deadlineMs, () =>
      warn(
        `could not be found out within ${deadlineMs / 1000} s: something that it asks hangs`,
        "uptime; dmesg | tail: is the machine overloaded, or does a disk or a name server hang?",
      ),
    );
  } catch (error) {
    const hint = error instanceof Error && "hint" in error && typeof error.hint === "string" ? error.hint : undefined;
    const detail = error instanceof Error ? error.message : String(error);
    return { status: "fail", detail, fix: hint ?? "ober support" };
  }
}

export const pass = (detail: string): Verdict => ({ status: "pass", detail });
export const skip = (detail: string): Verdict => ({ status: "skip", detail });
export const warn = (detail: string, fix: string, repair?: Repair): Verdict => ({
  status: "warn",
  detail,
  fix,
  ...(repair && { repair }),
});
export const fail = (detail: string, fix: string, repair?: Repair): Verdict => ({
  status: "fail",
  detail,
  fix,
  ...(repair && { repair }),
});
