/** A program's version; `text` is the program's own form, for people. */
export type Version = { readonly major: number; readonly minor: number; readonly patch: number; readonly text: string };

/** The first dotted version number in `text`, or undefined when there is none. "4.2.21", "v2.3.3 (11/12,2024)" and "3.4-dev5" are versions. */
export function parseVersion(text: string): Version | undefined {
  const match = /(\d+)\.(\d+)(?:\.(\d+))?[\w.+~-]*/.exec(text);
  if (!match?.[1] || !match[2]) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3] ?? 0), text: match[0] };
}

/** Whether `version` is `wanted` ("3.2" or "4.2.21") or newer. */
export function atLeast(version: Version, wanted: string): boolean {
  const [major = 0, minor = 0, patch = 0] = wanted.split(".").map(Number);
  if (version.major !== major) return version.major > major;
  if (version.minor !== minor) return version.minor > minor;
  return version.patch >= patch;
}
