/**
 * A use case tells its Teller what it is doing, and returns what it has done for the command to print. An Output is a Teller; the tests have
 * another.
 */
export type Teller = {
  /** The stage that begins now. */
  progress(message: string): void;
  /** A detail for --verbose. */
  detail(message: string): void;
  /** Something that the operator should know although the command goes on. */
  warn(message: string): void;
};
