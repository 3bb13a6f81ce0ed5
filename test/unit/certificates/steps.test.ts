import { expect, test } from "bun:test";
import { certificateSteps, type OnDisk } from "../../../src/certificates/steps.ts";

const disk = (file: string, digest: string | undefined = "d", fingerprint = "F", chain = 1): OnDisk => ({
  file,
  digest,
  fingerprint,
  chain,
});
const served = (...files: readonly string[]) => new Map(files.map((file) => [file, { fingerprint: "F", chain: 1 }]));

test.each<
  [string, OnDisk[], Map<string, { fingerprint: string; chain: number }>, Record<string, string> | undefined, string]
>([
  ["nothing for the same", [disk("b")], served("b"), { b: "d" }, ""],
  ["nothing for a worker that has read the file itself", [disk("b")], served("b"), undefined, ""],
  ["a swap for another content", [disk("b", "e")], served("b"), { b: "d" }, "swap b"],
  ["a swap for another certificate", [disk("b", "e", "G")], served("b"), undefined, "swap b"],
  ["a swap for a longer chain", [disk("b", "e", "F", 2)], served("b"), undefined, "swap b"],
  ["nothing for what must not be served", [{ file: "b", digest: undefined }], served("b"), undefined, ""],
  [
    "nothing for a new file that must not be served",
    [disk("b"), { file: "c", digest: undefined }],
    served("b"),
    undefined,
    "",
  ],
  ["an addition at the end", [disk("b"), disk("c")], served("b"), undefined, "add c"],
  ["a reload for a new first", [disk("a"), disk("b")], served("b"), undefined, "reload a"],
  ["a reload for what is gone", [disk("b")], served("a", "b"), undefined, "reload a"],
])("%s", (_what, files, has, given, steps) => {
  expect(
    certificateSteps(files, has, given)
      .map(({ kind, file }) => `${kind} ${file}`)
      .join(),
  ).toBe(steps);
});
