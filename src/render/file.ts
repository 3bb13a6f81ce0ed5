/** A file as ober wants it on the machine. */
export type RenderedFile = {
  readonly path: string;
  readonly content: string;
  readonly mode: number;
  /** The operator's, not ours: made when it is absent, left alone otherwise. */
  readonly once?: true;
  /** Values in the content that no diff or message may show. */
  readonly secrets?: readonly string[];
};
