/** A file as ober wants it on the machine. */
export type RenderedFile = {
  readonly path: string;
  readonly content: string;
  readonly mode: number;
  /** The operator's, not ours: made when it is absent, left alone otherwise. */
  readonly once?: true;
  /** The node can do without: when the program that reads it refuses it, that is worth a warning. */
  readonly optional?: true;
  /** Values in the content that no diff or message may show. */
  readonly secrets?: readonly string[];
};
