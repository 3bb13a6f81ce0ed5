// Set by scripts/build.ts; absent when the source is run directly.
declare const OBER_VERSION: string | undefined;
declare const OBER_COMMIT: string | undefined;

/** Versions of ober and of the programs it drives; a program that is not installed has no key. */
export type Versions = {
  readonly ober: string;
  readonly commit: string;
};

export async function versions(): Promise<Versions> {
  return {
    ober: typeof OBER_VERSION === "string" ? OBER_VERSION : "0.0.0-source",
    commit: typeof OBER_COMMIT === "string" ? OBER_COMMIT : "unknown",
  };
}

export function versionText({ ober, commit }: Versions): string {
  return `ober ${ober} (${commit})`;
}
