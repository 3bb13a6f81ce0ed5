import type { Vip } from "./options.ts";
import { type Action, routeCommand } from "./routes.ts";

/**
 * The conversation with ExaBGP: commands go out, one `done` or `error` comes back for each, in order. Pure but for the
 * `write` that it is given and the times that it is told.
 *
 * What has to hold:
 * - Every command has a deadline. ExaBGP 4.2 answers nothing at all to some commands, and nothing to any while it hangs.
 * - What is sent is always the present wish for a VIP, never a backlog: after any loss, sending the wish again heals.
 * - A bounded number of commands is unanswered, so the pipe (64 KiB) never fills and a write never blocks.
 * - One VIP's wish is repeated each second. ExaBGP drops a repeated announcement without telling its peers, so this
 *   proves that ExaBGP lives and costs nothing on the wire; a repeated withdrawal is one small, harmless message.
 */
export type Dialog = {
  /** The wish for these VIPs changed: say so at once. `last` writes even to an ExaBGP that does not answer. */
  tell(vips: readonly Vip[], action: Action, now: number, last?: "last"): void;
  /** Withdraws VIPs that are not ours any more, with the same insistence as our own. */
  clear(former: readonly Vip[], now: number): void;
  /** A line from ExaBGP. Returns whether it changed how things stand with a VIP. */
  hear(line: string, now: number): boolean;
  /** To be called each second: gives up waiting for overdue answers and repeats a wish. */
  tick(now: number): void;
  /** How things stand with one VIP. */
  of(vip: Vip): Standing;
  /** Every wish is known, every withdrawal confirmed, and an announcement too when there is one. */
  proven(): boolean;
  /**
   * Whether the routes are as the wishes want them, as far as ExaBGP can be made to say so: no withdrawal failed for good,
   * and something is announced unless nothing should be. One refused VIP among good ones is shown, but is no reason to
   * take the good ones down.
   */
  sound(): boolean;
  readonly waiting: number;
  readonly counters: { readonly acks: number; readonly ackErrors: number; readonly ackTimeouts: number };
};

export type Standing = {
  readonly wish: Action | undefined;
  /** ExaBGP said `done` to the present wish. */
  readonly acknowledged: boolean;
  /** What went wrong when the wish was last sent; undefined when nothing did. */
  readonly problem: string | undefined;
};

type Topic = {
  vip: Vip;
  wish: Action | undefined;
  acknowledged: boolean;
  problem: string | undefined;
  failures: number;
  sent: number;
};
type Question = { readonly topic: Topic; readonly sequence: number; readonly dueAt: number };

const ANSWER_DEADLINE_MS = 2_000;

/** So many failures in a row are no accident: the wish counts as failed. It is sent again all the same. */
const FAILURES_ALLOWED = 3;

/** Unanswered commands for each VIP after which nothing more is written but one command each `SILENCE_MS`. */
const UNANSWERED_ALLOWED = 32;
const SILENCE_MS = 30_000;

export function createDialog(vips: readonly Vip[], write: (text: string) => void): Dialog {
  const topicOf = (vip: Vip): Topic => {
    return { vip, wish: undefined, acknowledged: false, problem: undefined, failures: 0, sent: 0 };
  };
  const topics = vips.map(topicOf);
  const counters = { acks: 0, ackErrors: 0, ackTimeouts: 0 };
  let waiting: Question[] = [];
  let sequence = 0;
  let unanswered = 0;
  let lastWriteAt = Number.NEGATIVE_INFINITY;
  let turn = 0;

  const mute = () => unanswered >= UNANSWERED_ALLOWED * vips.length;

  const send = (topic: Topic, now: number): string => {
    if (topic.wish === undefined) return "";
    sequence += 1;
    unanswered += 1;
    topic.sent = sequence;
    lastWriteAt = now;
    waiting.push({ topic, sequence, dueAt: now + ANSWER_DEADLINE_MS });
    return routeCommand(topic.wish, topic.vip);
  };

  const fail = (topic: Topic, problem: string) => {
    topic.acknowledged = false;
    topic.problem = problem;
    topic.failures += 1;
  };

  const say = (text: string) => {
    if (text !== "") write(text);
  };

  /** The VIP whose turn it is: those without an acknowledgement first. */
  const next = (): Topic | undefined => {
    const wished = topics.filter(({ wish }) => wish !== undefined);
    const open = wished.filter(({ acknowledged }) => !acknowledged);
    const candidates = open.length > 0 ? open : wished;
    turn += 1;
    return candidates[turn % candidates.length];
  };

  return {
    tell(changed, action, now, last) {
      let text = "";
      for (const topic of topics) {
        if (!changed.includes(topic.vip)) continue;
        Object.assign(topic, { wish: action, acknowledged: false, problem: undefined, failures: 0 });
        // The wish is remembered: the next answer, or the slow repetition, brings it.
        if (last || !mute()) text += send(topic, now);
      }
      say(text);
    },
    clear(former, now) {
      const added = former.map((vip): Topic => ({ ...topicOf(vip), wish: "withdraw" }));
      topics.push(...added);
      say(added.map((topic) => send(topic, now)).join(""));
    },
    hear(line, now) {
      const answer = answerIn(line);
      if (answer === undefined) return false;
      let changed = false;
      const wasMute = mute();
      unanswered = 0;
      const question = waiting.shift();
      // An answer to a question that was given up. Whatever it was about, the wish has been sent again since.
      if (question !== undefined) {
        const { topic } = question;
        const latest = question.sequence === topic.sent;
        if (answer === "error") {
          counters.ackErrors += 1;
          if (latest) fail(topic, "ExaBGP refused the route");
          changed = latest;
        } else {
          counters.acks += 1;
          changed = latest && !topic.acknowledged;
          if (latest) Object.assign(topic, { acknowledged: true, problem: undefined, failures: 0 });
        }
      }
      if (wasMute) say(topics.map((topic) => (topic.acknowledged ? "" : send(topic, now))).join(""));
      return changed;
    },
    tick(now) {
      if (waiting[0] !== undefined && waiting[0].dueAt <= now) {
        // Which of several questions stayed without an answer cannot be told: none counts as answered.
        for (const { topic, sequence } of waiting) {
          counters.ackTimeouts += 1;
          if (sequence === topic.sent) fail(topic, "ExaBGP did not answer");
        }
        waiting = [];
      }
      if (waiting.length > 0 || (mute() && now - lastWriteAt < SILENCE_MS)) return;
      const topic = next();
      if (topic !== undefined) say(send(topic, now));
    },
    of(vip) {
      const topic = topics.find((candidate) => candidate.vip === vip);
      return { wish: topic?.wish, acknowledged: topic?.acknowledged ?? false, problem: topic?.problem };
    },
    proven() {
      const announced = topics.filter(({ wish }) => isShown(wish));
      return (
        topics.every(({ wish, acknowledged }) => isShown(wish) || (wish === "withdraw" && acknowledged)) &&
        (announced.length === 0 || announced.some(({ acknowledged }) => acknowledged))
      );
    },
    sound() {
      const failed = (topic: Topic) => topic.failures >= FAILURES_ALLOWED;
      if (topics.some((topic) => topic.wish === undefined)) return false;
      if (topics.some((topic) => topic.wish === "withdraw" && failed(topic))) return false;
      const announced = topics.filter(({ wish }) => isShown(wish));
      return announced.length === 0 || !announced.every(failed);
    },
    get waiting() {
      return waiting.length;
    },
    counters,
  };
}

/** Whether the routers are to have the route, as a good one or as the last choice. */
const isShown = (wish: Action | undefined) => wish === "announce" || wish === "demote";

/** ExaBGP answers in text, or from 5.0 on in JSON where it is so configured: `{ "answer": "done", ... }`. */
function answerIn(line: string): "done" | "error" | undefined {
  const word = line.startsWith("{") ? /"answer": *"(\w+)"/.exec(line)?.[1] : line;
  return word === "done" || word === "error" ? word : undefined;
}
