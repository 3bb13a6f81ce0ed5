import * as v from "valibot";

/** What a JSON text says, by its schema; undefined where it is no JSON, or says something else. Pure. */
export function jsonAs<T extends v.GenericSchema>(schema: T, text: string): v.InferOutput<T> | undefined {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    return undefined;
  }
  const found = v.safeParse(schema, said);
  return found.success ? found.output : undefined;
}
