/** Reads the output of ip(8) with `-json`. Pure. */
import * as v from "valibot";
import { OberError } from "../errors.ts";
import { jsonAs } from "./json.ts";

const ADDRESSES = v.array(
  v.looseObject({
    ifname: v.optional(v.string(), ""),
    addr_info: v.optional(
      v.array(
        v.looseObject({
          local: v.optional(v.string()),
          prefixlen: v.optional(v.number()),
          secondary: v.optional(v.boolean()),
        }),
      ),
      [],
    ),
  }),
);
const ROUTES = v.array(
  v.looseObject({
    dev: v.optional(v.string()),
    prefsrc: v.optional(v.string()),
    gateway: v.optional(v.string()),
    dst: v.optional(v.string()),
    type: v.optional(v.string()),
    via: v.optional(v.unknown()),
    nexthops: v.optional(v.unknown()),
  }),
);

/** `ip -json address`. Throws an OberError for anything else. */
export const parseIpAddresses = (text: string) => parsed(ADDRESSES, text);

/** `ip -json route`. Throws an OberError for anything else. */
export const parseIpRoutes = (text: string) => parsed(ROUTES, text);

function parsed<T extends v.GenericSchema>(schema: T, text: string): v.InferOutput<T> {
  const found = jsonAs(schema, text.trim() === "" ? "[]" : text);
  if (found !== undefined) return found;
  throw new OberError("ober does not understand the output of `ip -json`", {
    hint: "ip -V; ip -json address: iproute2 of this machine's release is needed",
  });
}
