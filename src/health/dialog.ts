import type { Vip } from "./options.ts";
import { type Action, routeCommand } from "./routes.ts";

/**
 * The conversation with ExaBGP: commands go out, one `done` or `error` comes back for each, in order. Pure except for
 * `write` and the times, which are passed in.
 *
 * The rules:
 * - Every command has a deadline. ExaBGP 4.2 never answers some commands, and none while it hangs. The deadline counts
 *   from ExaBGP's last answer: an ExaBGP that is slow but answers is not late.
 * - The present wish for a VIP is sent, never a backlog: after any loss, sending the wish again repairs it.
 * - At most `WINDOW` commands wait for an answer, however many VIPs there are; each answer makes room for the next. One
 *   change costs one command for each VIP, and a second one where the first went unanswered.
 * - `PIPE_BYTES` bounds what ExaBGP may not have read, whatever it answers, so the pipe never fills and writes never block.
 * - Urgent commands come first: withdrawals of our VIPs, then announcements, then what an earlier process left.
 * - One VIP's wish is repeated each second. ExaBGP drops a repeated announcement without telling its peers, so this
 *   proves at no cost on the wire that ExaBGP lives; a repeated withdrawal is one small, harmless message.
 */
export type Dialog = {
  /** Changes the wish for these VIPs and sends it as soon as there is room. `last` writes at once, even to an ExaBGP that does not answer. */
  tell(vips: readonly Vip[], action: Action, now: number, last?: "last"): void;
  /** Withdraws VIPs that are no longer ours, as persistently as our own, until ExaBGP has confirmed it. */
  clear(former: readonly Vip[], now: number): void;
  /** Takes a line from ExaBGP. Returns whether it changed the state of a VIP. */
  hear(line: string, now: number): boolean;
  /** Call each second: gives up on overdue answers and repeats a wish. */
  tick(now: number): void;
  /** The state of one VIP. */
  of(vip: Vip): Standing;
  /** Every wish for our VIPs is known, every withdrawal of them confirmed, and an announcement too when there is one. */
  proven(): boolean;
  /**
   * Whether the routes match the wishes, as far as ExaBGP confirms it: no withdrawal has failed for good,
   * and something is announced unless nothing should be. One refused VIP among good ones is shown, but does not
   * take the good ones down.
   */
  sound(): boolean;
  /** Former VIPs whose withdrawal ExaBGP has not confirmed yet. */
  readonly clearing: readonly Vip[];
  /** Commands without an answer. */
  readonly waiting: number;
  readonly counters: { readonly acks: number; readonly ackErrors: number; readonly ackTimeouts: number };
};

type Standing = {
  readonly wish: Action | undefined;
  /** ExaBGP answered `done` to the present wish. */
  readonly acknowledged: boolean;
  /** Why the last sending of the wish failed; undefined if it did not. */
  readonly problem: string | undefined;
};

type Topic = {
  readonly vip: Vip;
  readonly former: boolean;
  wish: Action | undefined;
  /** Counts the changes of the wish; `said` is the version last sent. */
  version: number;
  said: number;
  acknowledged: boolean;
  problem: string | undefined;
  failures: number;
  /** It was sent but not answered: send it again once it is clear what ExaBGP has read. */
  again: boolean;
};
type Question = {
  readonly topic: Topic;
  readonly version: number;
  readonly bytes: number;
  readonly sentAt: number;
  /** Its answer is overdue. It may still come, before those of later questions. */
  late: boolean;
};

const ANSWER_DEADLINE_MS = 2_000;

/** After this many failures in a row the wish counts as failed. It is still sent again. */
const FAILURES_ALLOWED = 3;

/** Commands in flight at once: enough that ExaBGP never waits for us, few enough that an urgent one is soon next. */
const WINDOW = 32;

/** After this many unanswered commands, one each `SILENCE_MS` is enough to notice that ExaBGP wakes up. */
const UNANSWERED_ALLOWED = 2 * WINDOW;
const SILENCE_MS = 30_000;

/** After a late answer: if no other follows for this long, the missing ones are lost, and the count restarts. */
const QUIET_MS = 1_000;

/** A pipe holds 65,536 bytes, see pipe(7), and a write to a full one blocks. The withdrawals of 1,024 VIPs at the stop fit. */
const PIPE_BYTES = 60_000;

/** After this long without trouble, ExaBGP has read everything: a backlog would have sent unexpected answers. */
const CALM_MS = 60_000;

/** `hasRoom` tells whether ExaBGP's pipe has room for a window of commands: the byte count alone overestimates the room if ExaBGP answers more than it is asked. */
export function createDialog(vips: readonly Vip[], write: (text: string) => void, hasRoom = () => true): Dialog {
  const topics = new Map(vips.map((vip) => [vip.address, topicOf(vip)]));
  const counters = { acks: 0, ackErrors: 0, ackTimeouts: 0 };
  let waiting: Question[] = [];
  /** Bytes of the questions in `waiting`, and of those removed from it without an answer. */
  let asked = 0;
  let lost = 0;
  let heardAt = Number.NEGATIVE_INFINITY;
  let wroteAt = Number.NEGATIVE_INFINITY;
  let troubleAt = Number.NEGATIVE_INFINITY;
  /** No answer has arrived since one was last overdue. */
  let silent = false;
  /** An answer is overdue, and may still come. */
  let inDoubt = false;
  let turn = 0;

  const all = () => [...topics.values()];
  // A canary proves nothing of the VIPs: ober neither waits for it nor restarts for it.
  const counted = () => all().filter(({ vip }) => vip.canary !== true);
  const own = () => counted().filter(({ former }) => !former);
  const underWay = () => waiting.reduce((count, { late }) => (late ? count : count + 1), 0);

  /** The command, recorded as a question; "" if ExaBGP has more unread than is safe. */
  const send = (topic: Topic, now: number): string => {
    if (topic.wish === undefined) return "";
    const command = routeCommand(topic.wish, topic.vip);
    if (asked + lost + command.length > PIPE_BYTES) return "";
    asked += command.length;
    wroteAt = now;
    topic.said = topic.version;
    topic.again = false;
    waiting.push({ topic, version: topic.version, bytes: command.length, sentAt: now, late: false });
    return command;
  };

  const say = (text: string) => {
    if (text !== "") write(text);
  };

  const isDue = (topic: Topic) =>
    topic.wish !== undefined && (topic.said !== topic.version || (topic.again && !inDoubt));

  /** Sends what is due, the most urgent first, as far as there is room. */
  const pump = (now: number): string => {
    if (silent || !maySpeak()) return "";
    const room = WINDOW - underWay();
    if (room <= 0) return "";
    const due = all().filter(isDue);
    due.sort((one, other) => urgency(one) - urgency(other));
    return due
      .slice(0, room)
      .map((topic) => send(topic, now))
      .join("");
  };

  /** The first commands need not ask for room: nothing can be unread yet. */
  const maySpeak = () => wroteAt === Number.NEGATIVE_INFINITY || hasRoom();

  /** Sends a wish when nothing is due: first those that ExaBGP has not confirmed, then all in turn. */
  const repeat = (now: number): string => {
    const wished = all().filter(({ wish }) => wish !== undefined);
    const open = wished.filter(({ acknowledged }) => !acknowledged);
    const candidates = open.length > 0 ? open : wished;
    if (!maySpeak()) return "";
    turn += 1;
    const topic = candidates[turn % candidates.length];
    return topic === undefined ? "" : send(topic, now);
  };

  const fail = (topic: Topic, problem: string) => {
    topic.acknowledged = false;
    topic.problem = problem;
    topic.failures += 1;
  };

  /**
   * Returns whether it changed the state of the VIP. If answers were lost, an answer is attributed to an earlier
   * question than its own. That is harmless: ExaBGP works in order, so it has done the earlier command too.
   */
  const settle = ({ topic, version }: Question, answer: "done" | "error"): boolean => {
    const current = version === topic.version;
    if (answer === "error") {
      counters.ackErrors += 1;
      if (current) fail(topic, "ExaBGP refused the route");
      return current;
    }
    counters.acks += 1;
    if (!current) return false;
    const news = !topic.acknowledged;
    Object.assign(topic, { acknowledged: true, problem: undefined, failures: 0, again: false });
    if (topic.former) topics.delete(topic.vip.address);
    return news;
  };

  /** The answer is overdue. It is unknown which of several questions has none, so none counts as answered. */
  const giveUp = (now: number) => {
    silent = true;
    inDoubt = true;
    troubleAt = now;
    for (const question of waiting) {
      if (question.late) continue;
      question.late = true;
      counters.ackTimeouts += 1;
      if (question.version !== question.topic.version) continue;
      fail(question.topic, "ExaBGP did not answer");
      question.topic.again = true;
    }
  };

  /** ExaBGP lives but has no more answers: the questions left in the queue will never get one. */
  const startAnew = (now: number) => {
    troubleAt = now;
    lost += asked;
    asked = 0;
    for (const { topic, version } of waiting) {
      if (version === topic.version && !topic.acknowledged) topic.again = true;
    }
    waiting = [];
    inDoubt = false;
  };

  const isOverdue = (now: number) => {
    const first = waiting.find(({ late }) => !late);
    return first !== undefined && now - Math.max(first.sentAt, heardAt) >= ANSWER_DEADLINE_MS;
  };

  return {
    tell(changed, action, now, last) {
      const told = changed.flatMap(({ address }) => topics.get(address) ?? []);
      for (const topic of told) {
        const version = topic.version + 1;
        Object.assign(topic, { wish: action, version, acknowledged: false, problem: undefined, failures: 0 });
      }
      if (last === undefined) {
        say(pump(now));
        return;
      }
      const left = all().filter((topic) => topic.former && isDue(topic));
      say([...told, ...left].map((topic) => send(topic, now)).join(""));
    },
    clear(former, now) {
      for (const vip of former) {
        if (topics.has(vip.address)) continue;
        topics.set(vip.address, { ...topicOf(vip), former: true, wish: "withdraw", version: 1 });
      }
      say(pump(now));
    },
    hear(line, now) {
      const answer = answerIn(line);
      if (answer === undefined) return false;
      heardAt = now;
      silent = false;
      const question = waiting.shift();
      // An answer to a question that was given up: the wish has been sent again since.
      if (question === undefined) troubleAt = now;
      else asked -= question.bytes;
      if (waiting.length === 0) inDoubt = false;
      const changed = question !== undefined && settle(question, answer);
      say(pump(now));
      return changed;
    },
    tick(now) {
      if (inDoubt && !silent && now - heardAt >= QUIET_MS) startAnew(now);
      if (isOverdue(now)) giveUp(now);
      if (waiting.length === 0 && now - troubleAt >= CALM_MS) lost = 0;
      const mute = waiting.length >= UNANSWERED_ALLOWED && now - wroteAt < SILENCE_MS;
      const text = pump(now);
      const idle = text === "" && (silent ? underWay() === 0 && !mute : waiting.length === 0);
      say(idle ? repeat(now) : text);
    },
    of({ address }) {
      const topic = topics.get(address);
      return { wish: topic?.wish, acknowledged: topic?.acknowledged ?? false, problem: topic?.problem };
    },
    proven() {
      const announced = own().filter(({ wish }) => isShown(wish));
      return (
        own().every(({ wish, acknowledged }) => isShown(wish) || (wish === "withdraw" && acknowledged)) &&
        (announced.length === 0 || announced.some(({ acknowledged }) => acknowledged))
      );
    },
    sound() {
      const failed = (topic: Topic) => topic.failures >= FAILURES_ALLOWED;
      if (counted().some(({ wish }) => wish === undefined)) return false;
      if (counted().some((topic) => topic.wish === "withdraw" && failed(topic))) return false;
      const announced = counted().filter(({ wish }) => isShown(wish));
      return announced.length === 0 || !announced.every(failed);
    },
    get clearing() {
      return all().flatMap(({ former, vip }) => (former ? [vip] : []));
    },
    get waiting() {
      return waiting.length;
    },
    counters,
  };
}

function topicOf(vip: Vip): Topic {
  const unsaid = { wish: undefined, version: 0, said: 0, acknowledged: false, problem: undefined };
  return { vip, former: false, failures: 0, again: false, ...unsaid };
}

/** Lower is more urgent. A route that attracts traffic to a node that does not serve it costs most. */
function urgency({ former, wish }: Topic): number {
  if (former) return 2;
  return wish === "withdraw" ? 0 : 1;
}

/** Whether the routers should have the route, as a good one or as the last choice. */
const isShown = (wish: Action | undefined) => wish === "announce" || wish === "demote";

/** ExaBGP answers in text, or from 5.0 on, if so configured, in JSON: `{ "answer": "done", ... }`. */
function answerIn(line: string): "done" | "error" | undefined {
  const word = line.startsWith("{") ? /"answer": *"(\w+)"/.exec(line)?.[1] : line;
  return word === "done" || word === "error" ? word : undefined;
}
