import { inTime } from "../system/in-time.ts";

/** One question about a configuration and its answer, for `test`. What can be wrong with a node is in node/conditions.ts. */
export type Check<F> = {
  readonly id: string;
  readonly title: string;
  run(facts: F): Verdict | Promise<Verdict>;
};

/** The answer. `fix` says what to type; the type demands it where something is wrong. */
export type Verdict = { readonly status: "pass" | "skip"; readonly detail: string } | Trouble;

export type Trouble = {
  readonly status: "warn" | "fail";
  readonly detail: string;
  readonly fix: string;
  /** Clients do not reach the VIP by this node for it, or soon will not. */
  readonly stops?: true;
  /** What explains it at length: a diff. */
  readonly more?: string;
  /** Commands that mend it and can do no harm, for `doctor --fix`. What they change, bootstrap has on record already. */
  readonly repair?: Repair;
};

export type Repair = readonly (readonly string[])[];

export type Finding = Verdict & {
  readonly id: string;
  readonly title: string;
  /** The finding that this one is a consequence of, by its id. */
  readonly follows?: string;
  /** It could not be asked; the detail says why. */
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

/** For what was not answered in time. */
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
/** The same, where clients do not reach the VIP by this node for it. */
export const stops = (trouble: Trouble): Trouble => ({ ...trouble, stops: true });

export const isTrouble = <V extends Verdict>(verdict: V): verdict is V & Trouble =>
  verdict.status === "warn" || verdict.status === "fail";
