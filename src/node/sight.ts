/** Looking at a node piece by piece: what hangs or fails costs its own piece, and the others are shown. */
import { oneLine, printable } from "../domain/foreign.ts";
import { OberError } from "../errors.ts";
import { inTime } from "../system/in-time.ts";

/** Everything that a look at a node asks for, and what an operator calls it. */
export const QUESTIONS = {
  units: "units",
  addresses: "addresses of this machine",
  health: "state of the health loop",
  servers: "RGWs",
  sessions: "BGP sessions",
  bfd: "BFD sessions",
  routers: "names of the routers",
  vrrp: "VRRP",
  clients: "connections of clients",
  certificates: "certificates",
  handover: "connection handover",
  workers: "old workers of HAProxy",
  transfers: "running transfers",
  names: "names of the RGWs",
  generation: "generation",
  renewal: "renewal of the certificate",
  held: "admission",
  files: "generated files",
} as const;

export type Question = keyof typeof QUESTIONS;

/** A question that was not answered; the problem is one line. */
export type Unanswered = { readonly question: Question; readonly problem: string };

/** Asks, and gives `instead` where there is no answer in time, or an OberError. */
export type Ask = <T>(question: Question, ask: () => Promise<T>, instead: T) => Promise<T>;

export type Sight = {
  readonly ask: Ask;
  /** What was not answered so far, in the order of QUESTIONS. */
  unanswered(): readonly Unanswered[];
};

/**
 * A program is ended after this time, in milliseconds, and a question is given up a little later. A machine that is merely busy answers: the
 * slowest of these programs takes a tenth of it.
 */
export const PROGRAM_MS = 3_500;
const QUESTION_MS = 4_000;

const LONGEST_PROBLEM = 200;

export function sight(deadlineMs = QUESTION_MS): Sight {
  const problems = new Map<Question, string>();
  const ask: Ask = async (question, asked, instead) => {
    try {
      return await inTime(asked, deadlineMs, () => {
        problems.set(question, `timed out after ${deadlineMs / 1000} s`);
        return instead;
      });
    } catch (error) {
      if (!(error instanceof OberError)) throw error;
      problems.set(question, oneLine(printable(error.message), LONGEST_PROBLEM));
      return instead;
    }
  };
  return {
    ask,
    unanswered: () =>
      (Object.keys(QUESTIONS) as Question[]).flatMap((question) => {
        const problem = problems.get(question);
        return problem === undefined ? [] : [{ question, problem }];
      }),
  };
}

/** One line for `status` and `why`. */
export const unansweredText = ({ question, problem }: Unanswered): string =>
  `${QUESTIONS[question]}: not known: ${problem}`;
