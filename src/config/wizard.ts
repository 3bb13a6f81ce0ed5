/**
 * The questions of `ober config`. Every answer is judged by the schema, at the prompt, and only what a person changes is
 * changed: accepting everything gives the same file.
 */
import type { Judge, Prompts } from "../ui/prompt.ts";
import { isMapping } from "./keys/kinds.ts";
import { acmeDns } from "./schema/contradictions.ts";
import { problemsOf } from "./schema.ts";
import { type SecretChanges, secretProblem } from "./secrets.ts";
import { type Draft, getAt, listAt, nameOf, type Place, removeAt, setAt } from "./wizard/draft.ts";
import {
  ACME,
  BFD,
  BGP,
  CERTIFICATES,
  GROUP,
  GROUP_TLS,
  KEEPALIVED,
  MODE,
  OTHER,
  type Question,
  WAYS,
} from "./wizard/questions.ts";

/** A configuration in the shape of the file, not yet judged as a whole. */
export type Answers = Draft;

export type WizardInput = {
  readonly prompts: Prompts;
  /** The value of the present `ober.yaml`; undefined when there is none. */
  readonly present: unknown;
  /** Whether the login file has a common BGP password. */
  readonly hasPassword: boolean;
};

type Wizard = Pick<WizardInput, "prompts"> & { readonly fresh: boolean };

/** Asks for everything, prefilled from the present configuration. Throws a CancelledError when the person leaves. */
export async function askConfiguration(input: WizardInput): Promise<{ answers: Answers; secrets: SecretChanges }> {
  const { prompts, present, hasPassword } = input;
  const wizard = { prompts, fresh: !isMapping(present) };
  let draft: Draft = isMapping(present) ? present : {};
  draft = await askAll(wizard, draft, MODE);
  const bgp = draft["ha_mode"] !== "keepalived";
  prompts.section(bgp ? "BGP" : "VRRP (keepalived)");
  draft = await askAll(wizard, draft, bgp ? BGP : KEEPALIVED);
  // A new cluster of names keeps its owners when nodes are renumbered; an old one keeps the owners that it has.
  const peers = getAt(draft, ["keepalived", "peers"]);
  if (!bgp && wizard.fresh && Array.isArray(peers) && peers.some((peer) => /^[^:]*[A-Za-z]/.test(String(peer))))
    draft = setAt(draft, ["keepalived", "owners"], "name");
  if (bgp && getAt(draft, ["bgp", "bfd_enabled"]) !== false) draft = await askAll(wizard, draft, BFD);
  const secrets = bgp ? await askPassword(prompts, hasPassword) : {};
  prompts.section("VIPs");
  draft = await askVips(wizard, draft);
  prompts.section("Backends");
  draft = await askGroupsOfVips(wizard, await askBackends(wizard, draft));
  prompts.section("Certificates");
  draft = await askAll(wizard, draft, CERTIFICATES);
  if (getAt(draft, ["certs", "acme_enabled"]) === true) {
    draft = await askAll(wizard, withWay(draft), ACME);
    draft = await askAll(wizard, draft, WAYS[String(getAt(draft, ["certs", "acme_dns"]))] ?? []);
  }
  prompts.section("Other");
  return { answers: await askAll(wizard, draft, OTHER), secrets };
}

/** An older file says no more than that it is Route 53. */
function withWay(draft: Draft): Draft {
  const told = getAt(draft, ["certs", "acme_dns"]);
  const way = told === undefined || told === "auto" ? acmeDns({ ...(draft["certs"] as object) }) : told;
  return way === undefined ? draft : setAt(draft, ["certs", "acme_dns"], way);
}

async function askAll(wizard: Wizard, before: Draft, questions: readonly Question[], base: Place = []): Promise<Draft> {
  let draft = before;
  for (const question of questions) {
    const place = [...base, ...question.path.split(".")];
    const present = getAt(draft, place);
    const answer = await askOne(wizard.prompts, draft, question, place);
    // What a person leaves as it is stays out of the file, and so follows a later default.
    if (wizard.fresh || answer !== initialOf(question, present))
      draft = setAt(draft, place, valueOfAnswer(question, answer));
  }
  return draft;
}

function askOne(prompts: Prompts, draft: Draft, question: Question, place: Place): Promise<string | boolean> {
  const { message, kind, placeholder, also } = question;
  const initial = initialOf(question, getAt(draft, place));
  if (kind === "truth") return prompts.confirm({ message, initial: initial === true });
  if (typeof kind !== "string") {
    return prompts.choose({
      message,
      options: kind.map((value) => ({ value, label: value })),
      initial: String(initial),
    });
  }
  const paths = also === undefined ? [nameOf(place)] : [nameOf(place), also];
  const judge = judgeAt(paths, (answer) => setAt(draft, place, valueOfAnswer(question, answer)));
  return prompts.text({ message, initial: String(initial), placeholder, judge });
}

/** Refuses an answer when the draft that it makes has a problem at one of `paths`. */
function judgeAt(paths: readonly string[], draftWith: (answer: string) => Draft): Judge {
  const concerns = (path: string) =>
    paths.some((own) => path === own || path.startsWith(`${own}.`) || path.startsWith(`${own}[`));
  return (answer) => {
    const problem = problemsOf(draftWith(answer)).find(({ path }) => concerns(path));
    return problem && (problem.path === paths[0] ? problem.message : `${problem.path}: ${problem.message}`);
  };
}

function initialOf({ kind, fallback = "" }: Question, present: unknown): string | boolean {
  if (kind === "truth") return typeof present === "boolean" ? present : fallback === true;
  if (Array.isArray(present)) return present.join(", ");
  if (typeof kind !== "string") return kind.includes(String(present)) ? String(present) : String(fallback);
  return present === undefined || present === null || isMapping(present) ? String(fallback) : String(present);
}

/** The answer as the file would say it; what is no number stays a text, for the schema to refuse. */
function valueOfAnswer({ kind }: Question, answer: string | boolean): unknown {
  if (typeof answer === "boolean") return answer;
  const text = answer.trim();
  if (kind === "number") return /^\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : text;
  return kind === "list" ? splitList(text) : text;
}

/** Splits at commas outside the brackets of host lists. */
function splitList(text: string): string[] {
  return text
    .split(/,(?![^[\]]*\])/)
    .map((piece) => piece.trim())
    .filter((piece) => piece !== "");
}

/** Entries that stay keep what else the file says about them. */
async function askVips({ prompts, fresh }: Wizard, draft: Draft): Promise<Draft> {
  const present = listAt(draft, "vips");
  const addressOf = (entry: unknown) => String(isMapping(entry) ? entry["address"] : entry);
  const initial = present.map(addressOf).join(", ");
  const withVips = (answer: string) => {
    const vips = splitList(answer).map((address) => present.find((entry) => addressOf(entry) === address) ?? address);
    return setAt(draft, ["vips"], vips);
  };
  const answer = await prompts.text({
    message: "Addresses that clients use",
    initial,
    placeholder: "10.0.0.100, 10.0.0.101",
    judge: judgeAt(["vips", "bgp.neighbors"], (text) => withoutGroups(withVips(text))),
  });
  return answer === initial && !fresh ? draft : withVips(answer);
}

/** The groups are asked about later; until then an entry that names a vanished one is no problem. */
function withoutGroups(draft: Draft): Draft {
  return { ...draft, backends: [] };
}

async function askBackends(wizard: Wizard, before: Draft): Promise<Draft> {
  let draft = before;
  let index = 0;
  for (;;) {
    const count = listAt(draft, "backends").length;
    if (index >= Math.max(1, count)) {
      const more = await wizard.prompts.confirm({ message: "Another backend group?", initial: false });
      if (!more) return draft;
    }
    const name = await askGroupName(wizard, draft, index);
    if (name === "" && index < count) draft = removeAt(draft, "backends", index);
    if (name === "") continue;
    const place = ["backends", index];
    if (name !== getAt(draft, [...place, "name"])) draft = setAt(draft, [...place, "name"], name);
    const ofGroup = (questions: readonly Question[]) =>
      questions.map((question) => ({ ...question, message: `${name}: ${question.message}` }));
    const asking = { ...wizard, fresh: wizard.fresh || index >= count };
    draft = await askAll(asking, draft, ofGroup(GROUP), place);
    if (getAt(draft, [...place, "tls"]) === true) draft = await askAll(asking, draft, ofGroup(GROUP_TLS), place);
    index++;
  }
}

async function askGroupName({ prompts }: Wizard, draft: Draft, index: number): Promise<string> {
  const place = ["backends", index, "name"];
  const judge = judgeAt([nameOf(place)], (answer) => setAt(draft, place, answer.trim()));
  const answer = await prompts.text({
    message: index === 0 ? "Name of the first backend group" : "Name of the next backend group (empty for none)",
    initial: String(getAt(draft, place) ?? (index === 0 ? "s3" : "")),
    judge: (answer) => (index > 0 && answer.trim() === "" ? undefined : judge(answer)),
  });
  return answer.trim();
}

/** Where there is a choice, or a VIP names a group that is gone. */
async function askGroupsOfVips({ prompts }: Wizard, before: Draft): Promise<Draft> {
  const names = listAt(before, "backends").map((group) => String(getAt(group, ["name"])));
  const [first = ""] = names;
  let draft = before;
  for (const [index, entry] of listAt(before, "vips").entries()) {
    const vip = isMapping(entry) ? entry : { address: entry };
    const present = typeof vip["backend"] === "string" && vip["backend"] !== "" ? vip["backend"] : first;
    if (names.length < 2 && present === first) continue;
    const backend = await prompts.choose({
      message: `Backend group of ${String(vip["address"])}`,
      options: names.map((value) => ({ value, label: value })),
      initial: names.includes(present) ? present : first,
    });
    if (backend !== present) draft = setAt(draft, ["vips", index], { ...vip, backend });
  }
  return draft;
}

async function askPassword(prompts: Prompts, hasPassword: boolean): Promise<SecretChanges> {
  const choice = await prompts.choose({
    message: "Password of the BGP sessions (TCP MD5), the same for all routers",
    options: hasPassword
      ? [
          { value: "keep", label: "keep the present one" },
          { value: "set", label: "set a new one" },
          { value: "remove", label: "remove it" },
        ]
      : [
          { value: "keep", label: "none" },
          { value: "set", label: "set one" },
        ],
    initial: "keep",
  });
  if (choice === "keep") return {};
  if (choice === "remove") return { bgp_password: undefined };
  const judge = (answer: string) => (answer === "" ? "the password is empty" : secretProblem("bgp_password", answer));
  return { bgp_password: await prompts.secret({ message: "Password", judge }) };
}
