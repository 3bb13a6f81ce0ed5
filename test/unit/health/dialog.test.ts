import { describe, expect, test } from "bun:test";
import { createDialog } from "../../../src/health/dialog.ts";
import type { Vip } from "../../../src/health/options.ts";

const vip = (address: string): Vip => ({ address, prefix: `${address}/32`, group: "" });
const [A, B, C] = [vip("10.0.0.1"), vip("10.0.0.2"), vip("10.0.0.3")] as const;

/** A dialog with what it wrote, shortened: "+1" is announce of 10.0.0.1, "-2" withdraw of 10.0.0.2. */
function open(...vips: readonly Vip[]) {
  const written: string[] = [];
  const dialog = createDialog(vips, (text) => {
    for (const line of text.trimEnd().split("\n")) {
      const match = /^(announce|withdraw) route 10\.0\.0\.(\d)\/32 next-hop self$/.exec(line);
      if (!match) throw new Error(`not a route command: '${line}'`);
      written.push(`${match[1] === "announce" ? "+" : "-"}${match[2]}`);
    }
  });
  const said = () => written.splice(0).join(" ");
  return { dialog, said };
}

describe("the dialog with ExaBGP", () => {
  test("says a wish at once and takes it as acknowledged only after done", () => {
    const { dialog, said } = open(A);
    expect(dialog.of(A)).toEqual({ wish: undefined, acknowledged: false, problem: undefined });
    dialog.tell([A], "announce", 0);
    expect(said()).toBe("+1");
    expect(dialog.of(A)).toEqual({ wish: "announce", acknowledged: false, problem: undefined });
    expect(dialog.hear("done", 1)).toBe(true);
    expect(dialog.of(A)).toEqual({ wish: "announce", acknowledged: true, problem: undefined });
  });

  test("gives answers to questions in their order", () => {
    const { dialog } = open(A, B, C);
    dialog.tell([A, B, C], "announce", 0);
    dialog.hear("done", 1);
    dialog.hear("error", 1);
    dialog.hear("done", 1);
    expect([A, B, C].map((it) => dialog.of(it).acknowledged)).toEqual([true, false, true]);
    expect(dialog.of(B).problem).toBe("ExaBGP refused the route");
    expect(dialog.counters).toEqual({ acks: 2, ackErrors: 1, ackTimeouts: 0 });
  });

  test("understands the answers that ExaBGP 5 can give in JSON", () => {
    const { dialog } = open(A);
    dialog.tell([A], "announce", 0);
    dialog.hear('{ "answer": "error", "message": "this command does not support json output" }', 1);
    expect(dialog.of(A).problem).toBe("ExaBGP refused the route");
    dialog.tick(1_000);
    dialog.hear('{ "answer": "done", "message": "command completed" }', 1_001);
    expect(dialog.of(A)).toMatchObject({ acknowledged: true, problem: undefined });
  });

  test("does not take the answer to an old wish as that to the new one", () => {
    const { dialog } = open(A);
    dialog.tell([A], "announce", 0);
    dialog.tell([A], "withdraw", 1);
    dialog.hear("done", 2);
    expect(dialog.of(A)).toMatchObject({ wish: "withdraw", acknowledged: false });
    dialog.hear("done", 2);
    expect(dialog.of(A)).toMatchObject({ wish: "withdraw", acknowledged: true });
  });

  test("gives up waiting after two seconds and says the wish again", () => {
    const { dialog, said } = open(A);
    dialog.tell([A], "withdraw", 0);
    said();
    dialog.tick(1_000);
    expect(said()).toBe("");
    expect(dialog.of(A).problem).toBeUndefined();
    dialog.tick(2_000);
    expect(said()).toBe("-1");
    expect(dialog.of(A)).toMatchObject({ acknowledged: false, problem: "ExaBGP did not answer" });
    expect(dialog.counters.ackTimeouts).toBe(1);
    dialog.hear("done", 2_001);
    expect(dialog.of(A)).toMatchObject({ acknowledged: true, problem: undefined });
  });

  test("counts none as answered when one of several answers is missing", () => {
    const { dialog } = open(A, B);
    dialog.tell([A, B], "announce", 0);
    dialog.hear("done", 1);
    dialog.tick(2_000);
    expect(dialog.of(B)).toMatchObject({ acknowledged: false, problem: "ExaBGP did not answer" });
  });

  test("repeats one wish each second, in turn", () => {
    const { dialog, said } = open(A, B, C);
    dialog.tell([A, C], "announce", 0);
    dialog.tell([B], "withdraw", 0);
    for (let i = 0; i < 3; i++) dialog.hear("done", 1);
    said();
    const repeated: string[] = [];
    for (let second = 1; second <= 6; second++) {
      dialog.tick(second * 1_000);
      repeated.push(said());
      dialog.hear("done", second * 1_000 + 1);
    }
    expect(repeated.slice(0, 3).sort()).toEqual(["+1", "+3", "-2"]);
    expect(repeated.slice(3)).toEqual(repeated.slice(0, 3));
  });

  test("repeats first what is not acknowledged", () => {
    const { dialog, said } = open(A, B, C);
    dialog.tell([A, B, C], "announce", 0);
    for (const answer of ["done", "error", "done"]) dialog.hear(answer, 1);
    said();
    for (let second = 1; second <= 3; second++) {
      dialog.tick(second * 1_000);
      expect(said()).toBe("+2");
      dialog.hear("error", second * 1_000 + 1);
    }
  });

  test("says nothing of a VIP that has no wish yet", () => {
    const { dialog, said } = open(A);
    dialog.tick(1_000);
    dialog.tick(2_000);
    expect(said()).toBe("");
  });

  test("ignores other lines, and answers to nothing", () => {
    const { dialog } = open(A);
    expect(dialog.hear("", 0)).toBe(false);
    expect(dialog.hear("done", 0)).toBe(false);
    dialog.tell([A], "announce", 0);
    expect(dialog.hear("peer 10.0.0.254 up", 1)).toBe(false);
    expect(dialog.of(A).acknowledged).toBe(false);
    expect(dialog.waiting).toBe(1);
  });

  test("never fills the pipe of an ExaBGP that does not read, and says the present wish when it wakes", () => {
    const { dialog, said } = open(A, B);
    let bytes = 0;
    for (let i = 0, now = 0; i < 100_000; i++, now += 10) {
      dialog.tell([A, B], i % 2 === 0 ? "announce" : "withdraw", now);
      if (i % 100 === 0) dialog.tick(now);
      bytes += said().split(" ").filter(Boolean).length * 43;
    }
    expect(bytes).toBeLessThan(16_384);
    expect(dialog.of(A).wish).toBe("withdraw");
    dialog.hear("done", 1_000_000);
    expect(said()).toBe("-1 -2");
  });

  test("says its last word even to an ExaBGP that does not answer", () => {
    const { dialog, said } = open(A);
    for (let i = 0; i < 1_000; i++) dialog.tell([A], i % 2 === 0 ? "announce" : "withdraw", i);
    said();
    dialog.tell([A], "withdraw", 2_000);
    expect(said()).toBe("");
    dialog.tell([A], "withdraw", 2_000, "last");
    expect(said()).toBe("-1");
  });
});

describe("what the watchdog is told", () => {
  /** Answers every repetition with `answers`, in turn, for some seconds. */
  const run = (
    dialog: ReturnType<typeof open>["dialog"],
    seconds: number,
    answer: (i: number) => string | undefined,
  ) => {
    for (let i = 0; i < seconds; i++) {
      dialog.tick(10_000 + i * 2_000);
      const line = answer(i);
      if (line !== undefined) dialog.hear(line, 10_001 + i * 2_000);
    }
  };

  test("is proof when every withdrawal and some announcement is confirmed", () => {
    const { dialog } = open(A, B);
    expect(dialog.proven()).toBe(false);
    dialog.tell([A], "announce", 0);
    dialog.tell([B], "withdraw", 0);
    dialog.hear("done", 1);
    expect(dialog.proven()).toBe(false);
    dialog.hear("done", 1);
    expect(dialog.proven()).toBe(true);
  });

  test("is no proof when the only announcement is refused", () => {
    const { dialog } = open(A);
    dialog.tell([A], "announce", 0);
    dialog.hear("error", 1);
    expect(dialog.proven()).toBe(false);
  });

  test("is unsound when a withdrawal fails three times", () => {
    const { dialog } = open(A, B);
    dialog.tell([A], "announce", 0);
    dialog.tell([B], "withdraw", 0);
    dialog.hear("done", 1);
    dialog.hear("error", 1);
    expect(dialog.sound()).toBe(true);
    run(dialog, 2, () => "error");
    expect(dialog.sound()).toBe(false);
    run(dialog, 1, () => "done");
    expect(dialog.sound()).toBe(true);
  });

  test("stays sound when one refused VIP stands beside a good one", () => {
    const { dialog } = open(A, B);
    dialog.tell([A, B], "announce", 0);
    dialog.hear("done", 1);
    dialog.hear("error", 1);
    run(dialog, 10, () => "error");
    expect(dialog.sound()).toBe(true);
    expect(dialog.of(B).problem).toBe("ExaBGP refused the route");
  });

  test("is unsound when every announcement fails", () => {
    const { dialog } = open(A);
    dialog.tell([A], "announce", 0);
    run(dialog, 5, () => undefined);
    expect(dialog.sound()).toBe(false);
  });
});
