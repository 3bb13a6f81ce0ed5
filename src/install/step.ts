import type * as v from "valibot";

/**
 * One change that makes a machine a node, and the way back. What undoing will need is looked up and journaled before
 * anything is changed, so that a run cut off in the middle leaves nothing that is not on record.
 */
export type Step<R = unknown> = {
  readonly id: string;
  readonly title: string;
  /** What a record of it looks like: it comes back from the disk years later. */
  readonly record: v.GenericSchema<unknown, R>;
  /** `uninstall` needs it itself: it stays while another step could not be undone. */
  readonly last?: true;
  /** "done" when nothing has to change: the step is then recorded as found, and never undone. */
  check(): Promise<"done" | "needed">;
  /** What `undo` will need, looked up on the untouched machine. */
  plan(): Promise<R>;
  /** What `apply` would decide, as far as it can be known without a change; for a dry run. */
  foresee?(): Promise<string>;
  /** The record of a run that was cut off or failed, with what this run will bring besides. Without it the record stays as it was. */
  amend?(former: R): Promise<R>;
  /** Makes the change. Safe to repeat after it was cut off. Returns remarks for the operator. */
  apply(record: R): Promise<readonly string[]>;
  /** Takes the change back; safe to repeat. Returns remarks, for instance what was left because it is not ours. */
  undo(record: R): Promise<readonly string[]>;
  /**
   * A record for a machine whose journal is lost: of what is ober's beyond doubt. Undefined where nothing is; what there is then counts as found.
   * A step without it leaves no trace that only ober could have made.
   */
  claim?(): Promise<R | undefined>;
};
