import { expect, test } from "bun:test";
import { fit } from "../../../src/ui/fit.ts";

test.each([
  ["a line that fits stays", "ok  units: all active", 40, "ok  units: all active"],
  [
    "words go on behind the sign",
    "XX  units: ober-http.service is inactive, disabled",
    40,
    "XX  units: ober-http.service is\n    inactive, disabled",
  ],
  [
    "a fix goes on behind its mark",
    "      fix: ober logs --service http; then ober start again",
    45,
    "      fix: ober logs --service http; then\n           ober start again",
  ],
  [
    "the last column goes on under itself",
    "ok  RGW  one two three four five six seven eight",
    40,
    "ok  RGW  one two three four five six\n         seven eight",
  ],
  [
    "a word that is too long is cut",
    "0123456789012345678901234567890123456789",
    35,
    "01234567890123456789012345678901234\n56789",
  ],
  [
    "colours do not count, and go on",
    "\u001b[31mXX\u001b[39m  \u001b[31mone two three four five six seven eight\u001b[39m",
    36,
    "\u001b[31mXX\u001b[39m  \u001b[31mone two three four five six\u001b[39m\n    \u001b[31mseven eight\u001b[39m",
  ],
])("%s", (_, text, columns, expected) => {
  expect(fit(text, columns)).toBe(expected);
});
