import { type Output, styleFor } from "../../src/ui/output.ts";

export type Heard = Output & {
  readonly warnings: readonly string[];
  readonly stages: readonly string[];
  readonly documents: readonly unknown[];
};

/** An output that keeps what it is told. */
export function heard(): Heard {
  const [warnings, stages, documents]: [string[], string[], unknown[]] = [[], [], []];
  const nothing = async () => {};
  return {
    json: false,
    quiet: false,
    verbose: false,
    interactive: false,
    warnings,
    stages,
    documents,
    result: async (document) => void documents.push(document),
    fit: (text) => text,
    write: nothing,
    log: nothing,
    logError: nothing,
    redraw: nothing,
    progress: (message) => void stages.push(message),
    detail: () => {},
    warn: (message) => void warnings.push(message),
    style: styleFor({}),
  };
}
