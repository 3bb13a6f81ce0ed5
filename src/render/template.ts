import { atLeast, type Version } from "../domain/version.ts";

/** The facts that decide a line's gate. */
export type Gates = { readonly version: Version; readonly features?: readonly string[] };

/**
 * Fills `{{name}}` in a template. A name without a value, or a value without a placeholder, is a bug in ober and throws.
 * A placeholder that is alone on its line and has an empty value removes the line.
 */
export function fill(template: string, values: Readonly<Record<string, string>>): string {
  const used = new Set<string>();
  const text = template
    .replace(/^\{\{(\w+)\}\}\n/gm, (_, name: string) => {
      const value = lookUp(values, name, used);
      return value === "" ? "" : `${value}\n`;
    })
    .replace(/\{\{(\w+)\}\}/g, (_, name: string) => lookUp(values, name, used));
  const unused = Object.keys(values).filter((name) => !used.has(name));
  if (unused.length > 0) throw new Error(`template has no place for ${unused.join(", ")}`);
  return text;
}

/**
 * Keeps the lines whose gate holds, without the gate. A gate ends a line: `keyword #! >=3.2`, `#! <3.3`, `#! +PROMEX` (a
 * feature of the build). Several gates, separated by blanks, must all hold.
 */
export function gate(template: string, gates: Gates): string {
  return template
    .split("\n")
    .flatMap((line) => {
      const [text = "", conditions] = line.split(" #! ");
      if (conditions === undefined) return [line];
      return conditions
        .trim()
        .split(/\s+/)
        .every((condition) => holds(condition, gates))
        ? [text.trimEnd()]
        : [];
    })
    .join("\n");
}

/** The same for a text without version gates. */
export function gateFeatures(template: string, features: readonly string[]): string {
  return gate(template, { version: { major: 0, minor: 0, patch: 0, text: "" }, features });
}

function lookUp(values: Readonly<Record<string, string>>, name: string, used: Set<string>): string {
  const value = values[name];
  if (value === undefined) throw new Error(`template wants {{${name}}}, which has no value`);
  used.add(name);
  return value;
}

function holds(condition: string, { version, features = [] }: Gates): boolean {
  if (condition.startsWith(">=")) return atLeast(version, condition.slice(2));
  if (condition.startsWith("<")) return !atLeast(version, condition.slice(1));
  if (condition.startsWith("+")) return features.includes(condition.slice(1));
  throw new Error(`unknown gate "${condition}"`);
}
