/** A file as it should be on the machine. */
export type RenderedFile = {
  readonly path: string;
  readonly content: string;
  readonly mode: number;
  /** Belongs to the operator: created if absent, otherwise left alone. */
  readonly once?: true;
  /** The node works without it: if its program refuses it, that is only a warning. */
  readonly optional?: true;
  /** Values in the content that no diff or message may show. */
  readonly secrets?: readonly string[];
};
