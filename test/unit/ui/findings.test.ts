import { expect, test } from "bun:test";
import type { Finding } from "../../../src/checks/check.ts";
import { findingsText, verdictText } from "../../../src/ui/findings.ts";
import { cut } from "../../../src/ui/fit.ts";
import { styleFor } from "../../../src/ui/output.ts";

const style = styleFor({});
const findings: readonly Finding[] = [
  { id: "os", title: "system", status: "pass", detail: "Debian" },
  {
    id: "drift",
    title: "generated files",
    status: "warn",
    detail: "changed by hand: a",
    fix: "ober apply",
    more: "-a\n+b",
  },
  { id: "units", title: "units", status: "fail", detail: "ober-http does not run", fix: "ober start", stops: true },
  { id: "secrets", title: "secrets", status: "fail", detail: "readable by others", fix: "chmod 600 x" },
  { id: "bgp", title: "BGP sessions", status: "fail", detail: "none", fix: "look", follows: "units" },
  { id: "vrrp", title: "VRRP", status: "skip", detail: "not in keepalived mode" },
];

test("doctor tells what stops a VIP, what failed, what is in doubt, their consequences, the rest and a count", () => {
  expect(findingsText(findings, { style, verbose: false })).toBe(`XX  units: ober-http does not run
    fix: ober start
XX  secrets: readable by others
    fix: chmod 600 x
!!  generated files: changed by hand: a
    fix: ober apply

XX  BGP sessions: follows from: units

ok  system  Debian
--  VRRP    not in keepalived mode

2 problems, 1 warning, 1 consequence, 1 fine, 1 not asked`);
});

test("long differences are told with --verbose", () => {
  const text = findingsText(findings, { style, verbose: true });
  expect(text).toContain("fix: ober apply\n-a\n+b\n");
  expect(text).toContain("BGP sessions: none (follows from: units)");
});

test("a node that is well has nothing but a count", () => {
  expect(verdictText(findings.slice(0, 1))).toBe("1 fine");
});

test("a screen that is drawn again and again has its first lines, and says that there are more", () => {
  const text = Array.from({ length: 30 }, (_, index) => `line ${index + 1}`).join("\n");
  const shown = cut(text, 24).split("\n");
  expect(shown).toHaveLength(23);
  expect([shown[0], shown.at(-1)]).toEqual(["line 1", "... 8 more lines: ober status"]);
  expect(cut(text, 31)).toBe(text);
  expect(cut(text, undefined)).toBe(text);
});
