/** Whether the operator has taken this node out of traffic: `ober drain` creates one of the files, `ober undrain` removes it. */
export async function isDrained(flags: readonly string[]): Promise<boolean> {
  for (const flag of flags) if (await Bun.file(flag).exists()) return true;
  return false;
}

/**
 * Why a healthy node is not announced: the file at `hold` exists while its only certificate is ober's self-signed placeholder. The
 * file contains a number, for keepalived.
 */
export const HELD_CAUSE = "held back: the only certificate is ober's self-signed placeholder";

export function isHeld(hold: string): Promise<boolean> {
  return Bun.file(hold).exists();
}

/** Whether the node stays announced as the last choice for now; `"soft": true` in the flag. */
export async function isSoft(flags: readonly string[]): Promise<boolean> {
  return saysSoft(await contentOf(flags));
}

export const saysSoft = (text: string): boolean => /"soft":\s*true/.test(text);

/** The reason, in one line, from the flag's content: `{"by", "at", "reason"}`, each optional, or empty. */
export async function drainCause(flags: readonly string[]): Promise<string> {
  return causeOf(await contentOf(flags));
}

/** The content of the first flag that exists. */
async function contentOf(flags: readonly string[]): Promise<string> {
  try {
    for (const flag of flags) {
      const file = Bun.file(flag);
      if (await file.exists()) return await file.slice(0, 4096).text();
    }
    return "";
  } catch (error) {
    // Just undrained, or unreadable for the user as which ExaBGP runs us: only the file's existence matters.
    if (error instanceof Error && "code" in error) return "";
    throw error;
  }
}

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
