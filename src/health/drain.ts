/** Whether the operator has taken this node out of traffic: `ober drain` makes one of the files, `ober undrain` removes it. */
export async function isDrained(flags: readonly string[]): Promise<boolean> {
  for (const flag of flags) if (await Bun.file(flag).exists()) return true;
  return false;
}

/**
 * Why a node that is fit to serve is not announced. The file at `hold` is there while it has no certificate but the one that ober
 * made itself; it is a number for keepalived, which has no other use for it.
 */
export const HELD_CAUSE = "held back: there is only the certificate that ober made itself";

export function isHeld(hold: string): Promise<boolean> {
  return Bun.file(hold).exists();
}

/** Whether the node shall stay announced as the last choice for now; `"soft": true` in the flag. */
export async function isSoft(flags: readonly string[]): Promise<boolean> {
  return saysSoft(await contentOf(flags));
}

export const saysSoft = (text: string): boolean => /"soft":\s*true/.test(text);

/** Why, in one line, from the flag's content: `{"by", "at", "reason"}`, each optional, or nothing at all. */
export async function drainCause(flags: readonly string[]): Promise<string> {
  return causeOf(await contentOf(flags));
}

/** Of the first flag that is there. */
async function contentOf(flags: readonly string[]): Promise<string> {
  try {
    for (const flag of flags) {
      const file = Bun.file(flag);
      if (await file.exists()) return await file.slice(0, 4096).text();
    }
    return "";
  } catch (error) {
    // Undrained this very moment, or unreadable for the user that ExaBGP runs us as: the file's presence is what counts.
    if (error instanceof Error && "code" in error) return "";
    throw error;
  }
}

export function causeOf(text: string): string {
  const { by, at, reason } = drainFields(text);
  return `drained${by ? ` by ${by}` : ""}${at ? ` at ${at}` : ""}${reason ? `: ${reason}` : ""}`;
}

/** The flag may have been made by hand (`touch`, `echo`): anything that is not our JSON has no fields. */
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
    // Goes into the log and the terminal of `status`: one line, no control characters.
    return typeof value === "string"
      ? value
          .replace(/\p{Cc}+/gu, " ")
          .trim()
          .slice(0, 200)
      : "";
  };
  return { by: field("by"), at: field("at"), reason: field("reason") };
}
