import * as v from "valibot";
import { jsonAs } from "./json.ts";

const count = v.pipe(v.number(), v.finite(), v.minValue(0));
const readings = v.array(
  v.object({ at: count, of: v.array(v.object({ name: v.string(), requests: count, failed: count, broken: count })) }),
);

/** The readings of HAProxy's counters that were kept; none where the file is something else. */
export const parseReadings = (text: string): v.InferOutput<typeof readings> => jsonAs(readings, text) ?? [];
