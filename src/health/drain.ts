/**
 * Why a healthy node is not announced: the file at `hold` exists while its only certificate is ober's self-signed placeholder. The
 * file contains a number, for keepalived.
 */
export const HELD_CAUSE = "held back: the only certificate is ober's self-signed placeholder";

export function isHeld(hold: string): Promise<boolean> {
  return Bun.file(hold).exists();
}

export const saysSoft = (text: string): boolean => /"soft":\s*true/.test(text);

/**
 * The operator's drain; undefined where the node is in traffic. `ober drain` creates one of the files, `ober undrain` removes it. `soft`: the node stays
 * announced as the last choice for now (`"soft": true` in the file). `cause` is one line, from the content `{"by", "at", "reason"}`, each optional, or empty.
 */
export async function drainIn(
  flags: readonly string[],
): Promise<{ readonly soft: boolean; readonly cause: string } | undefined> {
  for (const flag of flags) {
    const file = Bun.file(flag);
    if (!(await file.exists())) continue;
    const text = await file
      .slice(0, 4096)
      .text()
      .catch((error: Error) => {
        // Unreadable for the user as which ExaBGP runs us, or undrained this moment: the file's existence matters.
        if ("code" in error) return "";
        throw error;
      });
    return { soft: saysSoft(text), cause: causeOf(text) };
  }
  return undefined;
}

/** "drained by root at 12:00: disks". */
export function causeOf(text: string): string {
  const { by, at, reason } = drainFields(text);
  return `drained${by ? ` by ${by}` : ""}${at ? ` at ${at}` : ""}${reason ? `: ${reason}` : ""}`;
}

/** The fields of a flag; none if it was made by hand (`touch`, `echo`) and is not our JSON. */
export function drainFields(text: string): Record<"by" | "at" | "reason", string> {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const field = (name: string) => {
    const value =
      typeof content === "object" && content !== null ? (content as Record<string, unknown>)[name] : undefined;
    // Shown in the log and by `status`: one line, no control characters.
    return typeof value === "string"
      ? value
          .replace(/\p{Cc}+/gu, " ")
          .trim()
          .slice(0, 200)
      : "";
  };
  return { by: field("by"), at: field("at"), reason: field("reason") };
}
