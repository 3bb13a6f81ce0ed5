/**
 * Whom a use case tells what it does while it does it. What it has done is what it returns: a command prints that. An Output is one, and so is
 * what a test listens with.
 */
export type Teller = {
  /** What is going on. */
  progress(message: string): void;
  /** What only somebody wants to know who asked for details. */
  detail(message: string): void;
  /** Something that the operator should know although the command goes on. */
  warn(message: string): void;
};
