import { expect, test } from "bun:test";
import { servable } from "../../../src/certificates/admission.ts";
import type { Certificate, Examined, Severity } from "../../../src/certificates/pem.ts";

const one = (kind: "real" | "self-made" | "broken", severity?: Severity): Examined => ({
  file: "/x.pem",
  certificate: kind === "broken" ? undefined : ({ placeholder: kind === "self-made" } as Certificate),
  problems: severity === undefined ? [] : [{ severity, message: "", fix: "" }],
  judge: "ober",
});

test.each<[string, readonly Examined[], ReturnType<typeof servable>]>([
  ["none at all", [], "nothing"],
  ["ober's own", [one("self-made", "remark")], "self-made"],
  ["ober's own beside a broken one", [one("self-made"), one("broken", "broken")], "self-made"],
  ["ober's own beside an expired one", [one("self-made"), one("real", "invalid")], "self-made"],
  ["ober's own beside a real one", [one("self-made"), one("real")], "real"],
  ["a real one that soon expires", [one("real", "remark")], "real"],
  ["an expired one alone", [one("real", "invalid")], "nothing"],
])("what can be served of the certificates: %s", (_what, examined, kind) => {
  expect(servable(examined)).toBe(kind);
});
