import { describe, expect, test } from "bun:test";
import { parseVersion } from "../../../src/domain/version.ts";
import { fill, gate } from "../../../src/render/template.ts";

describe("fill", () => {
  test("puts values in their places", () => {
    expect(fill("a {{one}} b {{two}} {{one}}", { one: "1", two: "2" })).toBe("a 1 b 2 1");
  });

  test("takes the line of a lone placeholder with an empty value", () => {
    expect(fill("a\n{{none}}\nb\n", { none: "" })).toBe("a\nb\n");
  });

  test("fills no placeholder that a value brings", () => {
    expect(fill("{{one}} {{two}}", { one: "{{two}}", two: "2" })).toBe("{{two}} 2");
  });

  test.each([
    ["{{missing}}", {}, "template wants {{missing}}"],
    ["text", { unused: "1" }, "template has no place for unused"],
  ])("refuses %p with %p", (template, values, message) => {
    expect(() => fill(template, values)).toThrow(message);
  });
});

describe("gate", () => {
  const version = (text: string) => {
    const parsed = parseVersion(text);
    if (!parsed) throw new Error(text);
    return parsed;
  };
  test.each([
    ["x #! >=3.2", "3.2.1", "x"],
    ["x #! >=3.2", "3.1.9", ""],
    ["x #! <3.3", "3.3.0", ""],
    ["x #! <3.3", "2.6.12", "x"],
    ["x #! >=2.8 <3.3", "3.0.11", "x"],
    ["x #! >=2.8 <3.3", "3.4.0", ""],
    ["x #! +PROMEX", "3.4.0", "x"],
    ["x #! +KTLS", "3.4.0", ""],
    ["x # no gate", "2.6.0", "x # no gate"],
  ])("%p for %s is %p", (line, haproxy, kept) => {
    expect(gate(line, { version: version(haproxy), features: ["PROMEX"] })).toBe(kept);
  });
});
