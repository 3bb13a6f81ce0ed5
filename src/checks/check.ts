import { inTime } from "../system/in-time.ts";

/** One question about a configuration, with its answer, for `test`. What can be wrong with a node is in node/conditions.ts. */
export type Check<F> = {
  readonly id: string;
  readonly title: string;
  run(facts: F): Verdict | Promise<Verdict>;
};

/** The answer. `fix` says what to type; the type requires it unless all is well. */
export type Verdict = { readonly status: "pass" | "skip"; readonly detail: string } | Trouble;

export type Trouble = {
  readonly status: "warn" | "fail";
  readonly detail: string;
  readonly fix: string;
  /** It keeps clients from reaching the VIP by this node, or soon will. */
  readonly stops?: true;
  /** The long explanation, such as a diff. */
  readonly more?: string;
  /** Commands that repair it and can do no harm, for `doctor --fix`. What they change is in bootstrap's records already. */
  readonly repair?: Repair;
};

export type Repair = readonly (readonly string[])[];

export type Finding = Verdict & {
  readonly id: string;
  readonly title: string;
  /** The id of the finding that this one is a consequence of. */
  readonly follows?: string;
  /** It had no answer; the detail says why. */
  readonly unknown?: true;
};

/**
 * Runs all checks at once and returns their verdicts in the order of the list. A check that throws has failed. A check that exceeds `deadlineMs`
 * becomes a warning: a hanging probe must neither hide the other results nor count as a fault.
 */
export function runChecks<F>(checks: readonly Check<F>[], facts: F, deadlineMs: number): Promise<readonly Finding[]> {
  return Promise.all(
    checks.map(async (check): Promise<Finding> => {
      const { id, title } = check;
      return { id, title, ...(await judged(() => check.run(facts), deadlineMs)) };
    }),
  );
}

/** The verdict of one check; see `runChecks`. An error that `passesOn` takes is the caller's. */
export async function judged(
  run: () => Verdict | Promise<Verdict>,
  deadlineMs: number,
  passesOn: (error: unknown) => boolean = () => false,
): Promise<Verdict> {
  try {
    return await inTime(run, deadlineMs, () => warn(`timed out after ${deadlineMs / 1000} s`, SLOW_FIX));
  } catch (error) {
    if (passesOn(error)) throw error;
    const hint = error instanceof Error && "hint" in error && typeof error.hint === "string" ? error.hint : undefined;
    const detail = error instanceof Error ? error.message : String(error);
    return { status: "fail", detail, fix: hint ?? "ober doctor --verbose; ober support packs what explains it" };
  }
}

/** For an answer that did not come in time. */
export const SLOW_FIX = "uptime; dmesg | tail: is the machine overloaded, or does a disk or a name server hang?";

export const pass = (detail: string): Verdict => ({ status: "pass", detail });
export const skip = (detail: string): Verdict => ({ status: "skip", detail });
export const warn = (detail: string, fix: string, repair?: Repair): Trouble => ({
  status: "warn",
  detail,
  fix,
  ...(repair && { repair }),
});
export const fail = (detail: string, fix: string, repair?: Repair): Trouble => ({
  status: "fail",
  detail,
  fix,
  ...(repair && { repair }),
});
/** The same for a fault that keeps clients from reaching the VIP by this node. */
export const stops = (trouble: Trouble): Trouble => ({ ...trouble, stops: true });

export const isTrouble = <V extends Verdict>(verdict: V): verdict is V & Trouble =>
  verdict.status === "warn" || verdict.status === "fail";
