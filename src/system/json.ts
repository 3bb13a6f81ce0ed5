import * as v from "valibot";

/** The value of a JSON text by a schema; undefined if the text is not JSON or does not match. Pure. */
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
