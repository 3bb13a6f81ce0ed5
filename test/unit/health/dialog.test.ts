import { describe, expect, test } from "bun:test";
import { createDialog, type Dialog } from "../../../src/health/dialog.ts";
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
    expect(dialog.of(B).problem).toBeUndefined();
    dialog.tick(2_001);
    expect(dialog.of(B)).toMatchObject({ acknowledged: false, problem: "ExaBGP did not answer" });
  });

  test("takes a late answer as that to the question that it belongs to", () => {
    const { dialog, said } = open(A, B);
    dialog.tell([A, B], "announce", 0);
    dialog.tick(2_000);
    expect(said()).toBe("+1 +2 +2");
    dialog.hear("done", 3_000);
    expect(dialog.of(A).acknowledged).toBe(true);
    expect(dialog.of(B).acknowledged).toBe(false);
    dialog.hear("done", 3_001);
    dialog.hear("done", 3_001);
    expect(dialog.waiting).toBe(0);
    expect(said()).toBe("");
    expect([A, B].map((it) => dialog.of(it).problem)).toEqual([undefined, undefined]);
  });

  test("says again, once, what stayed without an answer when a later command has one", () => {
    const { dialog, said } = open(A, B, C);
    dialog.tell([A, B, C], "announce", 0);
    dialog.tick(2_000);
    expect(said()).toBe("+1 +2 +3 +2");
    // ExaBGP had lost all three, and answers the fourth.
    dialog.hear("done", 2_001);
    dialog.tick(3_000);
    expect(said()).toBe("");
    dialog.tick(4_000);
    expect(said()).toBe("+2 +3");
    dialog.hear("done", 4_001);
    dialog.hear("done", 4_001);
    expect([A, B, C].map((it) => dialog.of(it).acknowledged)).toEqual([true, true, true]);
    expect(dialog.waiting).toBe(0);
  });

  test("tells of a withdrawal before the announcements that wait for room, and of former VIPs last", () => {
    const others = Array.from({ length: 40 }, (_, i) => vip(`10.9.0.${i}`));
    const said: string[] = [];
    const dialog = createDialog([...others, A], (text) => said.push(...text.trimEnd().split("\n")));
    dialog.clear([B], 0);
    dialog.tell(others, "announce", 0);
    dialog.tell([A], "withdraw", 0);
    expect(said).toHaveLength(32);
    expect(said[0]).toStartWith("withdraw route 10.0.0.2/32");
    for (let i = 0; i < 32; i++) dialog.hear("done", 1);
    expect(said[32]).toStartWith("withdraw route 10.0.0.1/32");
    expect(said).toHaveLength(42);
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

describe("a change of 250 VIPs", () => {
  const vips = Array.from({ length: 250 }, (_, i) => vip(`10.1.0.${i}`));
  const stays = vips[0] as Vip;

  type ExaBGP = {
    /** How long it takes for each command. */
    readonly eachMs: number;
    readonly answers?: number;
    /** It does nothing between these times. */
    readonly silent?: readonly [from: number, to: number];
    /** The numbers of commands whose answer it forgets. */
    readonly forgets?: (command: number) => boolean;
  };

  /** Runs `begin` at 0 and the dialog against an ExaBGP that does one command after the other, for `seconds`. */
  function run(ours: readonly Vip[], exabgp: ExaBGP, seconds: number, begin: (dialog: Dialog) => void) {
    const pipe: string[] = [];
    const commands: { readonly at: number; readonly text: string }[] = [];
    const routes = new Set<string>();
    let [now, mostUnread, provenAt, unsound] = [0, 0, Number.POSITIVE_INFINITY, 0];
    // Only an answer or a second changes how things stand: what changed nothing is not asked about.
    let moved = true;
    const dialog = createDialog(ours, (text) => {
      const lines = text.trimEnd().split("\n");
      pipe.push(...lines);
      commands.push(...lines.map((line) => ({ at: now, text: line })));
      mostUnread = Math.max(mostUnread, pipe.length);
    });
    begin(dialog);
    let [busyUntil, done, fed] = [0, 0, 0];
    const meals: number[] = [];
    for (; now <= seconds * 1_000; now++) {
      const [from, to] = exabgp.silent ?? [0, 0];
      if (pipe.length > 0 && now >= busyUntil && !(now >= from && now < to)) {
        const [verb, , prefix] = (pipe.shift() as string).split(" ") as [string, string, string];
        if (verb === "announce") routes.add(prefix);
        else routes.delete(prefix);
        busyUntil = now + exabgp.eachMs;
        moved = true;
        if (!exabgp.forgets?.(done++)) for (let i = 0; i < (exabgp.answers ?? 1); i++) dialog.hear("done", now);
      }
      if (moved && provenAt > now && dialog.proven()) provenAt = now;
      moved = now % 1_000 === 999;
      if (!moved) continue;
      dialog.tick(now);
      if (!dialog.sound()) unsound += 1;
      if (dialog.counters.acks > fed) meals.push(now);
      fed = dialog.counters.acks;
    }
    const most = Math.max(...[...ours, ...vips].map(({ prefix }) => count(commands, prefix)));
    const hungriest = Math.max(...[...meals, now].map((at, i) => at - (meals[i - 1] ?? 0)));
    return { dialog, commands, routes, mostUnread, provenAt, unsound, most, hungriest };
  }

  /** Commands about one prefix, but for the repetition each second, which only comes when nothing is to be changed. */
  const count = (commands: readonly { readonly text: string }[], prefix: string) =>
    commands.filter(({ text }) => text.split(" ")[2] === prefix).length;

  const exabgps: [what: string, exabgp: ExaBGP, seconds: number][] = [
    ["answers at once", { eachMs: 0 }, 10],
    ["takes 2 ms for each", { eachMs: 2 }, 10],
    ["takes 20 ms for each", { eachMs: 20 }, 10],
    ["takes 100 ms for each", { eachMs: 100 }, 40],
    ["answers twice", { eachMs: 2, answers: 2 }, 10],
    ["does nothing for 3 s", { eachMs: 2, silent: [0, 3_000] }, 12],
    ["does nothing for 3 s in the middle", { eachMs: 2, silent: [100, 3_100] }, 12],
    ["does nothing for 3 s in the middle of slow answers", { eachMs: 50, silent: [5_000, 8_000] }, 30],
    ["forgets one answer", { eachMs: 2, forgets: (command) => command === 17 }, 12],
    ["forgets ten answers in a row", { eachMs: 2, forgets: (command) => command >= 40 && command < 50 }, 15],
  ];

  test.each(exabgps)("from 250 to 1 is done when ExaBGP %s", (_what, exabgp, seconds) => {
    const all = run([stays], exabgp, seconds, (dialog) => {
      dialog.tell([stays], "announce", 0);
      dialog.clear(vips, 0);
    });
    expect([...all.routes]).toEqual([stays.prefix]);
    expect(all.dialog.clearing).toEqual([]);
    expect(all.dialog.of(stays)).toEqual({ wish: "announce", acknowledged: true, problem: undefined });
    expect(all.commands.filter(({ text }) => text.startsWith(`withdraw route ${stays.prefix}`))).toEqual([]);
    for (const { prefix } of vips.slice(1)) expect(count(all.commands, prefix)).toBeLessThanOrEqual(3);
    expect(all.mostUnread).toBeLessThanOrEqual(exabgp.answers === 2 ? 160 : 66);
    // READY is not late for the former VIPs, and the watchdog (4 s) is fed throughout.
    expect(all.provenAt).toBeLessThanOrEqual((exabgp.silent?.[0] === 0 ? 3_000 : 0) + 100);
    expect(all.unsound).toBe(0);
    expect(all.hungriest).toBeLessThanOrEqual(4_000);
  });

  test.each(exabgps)("from 1 to 250 is done when ExaBGP %s", (_what, exabgp, seconds) => {
    const all = run(vips, exabgp, seconds, (dialog) => dialog.tell(vips, "announce", 0));
    expect(all.routes.size).toBe(250);
    expect(vips.filter((it) => !all.dialog.of(it).acknowledged)).toEqual([]);
    expect(all.most).toBeLessThanOrEqual(3);
    expect(all.commands.filter(({ text }) => text.startsWith("withdraw"))).toEqual([]);
    expect(all.mostUnread).toBeLessThanOrEqual(exabgp.answers === 2 ? 160 : 66);
    expect(all.unsound).toBe(0);
    expect(all.hungriest).toBeLessThanOrEqual(4_000);
  });

  test("never has ExaBGP hold more than the pipe takes, though it does one command in 1.5 s for six hours", () => {
    let [unread, most, now, heard] = [0, 0, 0, 0];
    const queue: number[] = [];
    const dialog = createDialog(vips, (text) => {
      for (const line of text.trimEnd().split("\n")) queue.push(line.length + 1);
      unread += text.length;
      most = Math.max(most, unread);
    });
    for (now = 0; now < 21_600_000; now += 500) {
      if (now % 60_000 === 0) dialog.tell(vips, now % 120_000 === 0 ? "announce" : "withdraw", now);
      if (now % 1_500 === 0 && queue.length > 0) {
        unread -= queue.shift() as number;
        heard += 1;
        dialog.hear("done", now);
      }
      if (now % 1_000 === 0) dialog.tick(now);
    }
    expect(most).toBeLessThanOrEqual(60_000);
    expect(heard).toBeGreaterThan(12_000);
  });
});
