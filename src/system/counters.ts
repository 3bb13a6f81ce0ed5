import * as v from "valibot";
import { jsonAs } from "./json.ts";

const count = v.pipe(v.number(), v.finite(), v.minValue(0));
const readings = v.array(
  v.object({ at: count, of: v.array(v.object({ name: v.string(), requests: count, failed: count, broken: count })) }),
);

/** The stored readings of HAProxy's counters; none if the file is damaged. */
export const parseReadings = (text: string): v.InferOutput<typeof readings> => jsonAs(readings, text) ?? [];
