/** The wizard's questions, section by section: from the table of keys, and about lists. Pure except for the prompts. */
import type { ConfigProblem } from "../../errors.ts";
import type { Judge, Prompts } from "../../ui/prompt.ts";
import { isMapping, type Row } from "../keys/kinds.ts";
import { ROWS } from "../keys.ts";
import { acmeDns } from "../schema/contradictions.ts";
import { type SecretChanges, secretProblem } from "../secrets.ts";
import {
  type Draft,
  getAt,
  listAt,
  nameOf,
  type Place,
  removeAt,
  setAt,
  splitList,
  valueTyped,
  vipsOf,
} from "./draft.ts";

/** The state that the answers so far have led to. */
export type State = {
  readonly draft: Draft;
  readonly secrets: SecretChanges;
  /** There was no file, so every answer is written. Otherwise an unchanged default stays out of the file and follows later defaults. */
  readonly fresh: boolean;
  /** Groups from this index on are new. */
  readonly newFrom: number;
  /** The person asked for another group. */
  readonly adding: boolean;
};

export type Asker = {
  readonly prompts: Prompts;
  readonly problemsOf: (draft: Draft) => readonly ConfigProblem[];
  /** Whether the BGP sessions already have a password. */
  readonly hasPassword: boolean;
};

/** One question. `stay`: its answer has changed which question belongs at this index. */
export type Step = (state: State, asker: Asker) => Promise<{ readonly state: State; readonly stay?: boolean }>;

export type Section = {
  readonly id: "mode" | "link" | "vips" | "backends" | "certs" | "other";
  readonly title: (draft: Draft) => string;
  /** The section's present values, in a few words. */
  readonly summary: (draft: Draft) => string;
  /** The top-level keys whose problems this section solves. */
  readonly keys: readonly string[];
  readonly steps: (state: State) => readonly Step[];
};

export const SECTIONS: readonly Section[] = [
  {
    id: "mode",
    title: () => "Mode",
    summary: (draft) => (isBgp(draft) ? "BGP and ECMP" : "VRRP"),
    keys: ["ha_mode"],
    steps: () => rowSteps((path) => path === "ha_mode"),
  },
  {
    id: "link",
    title: (draft) => (isBgp(draft) ? "BGP" : "VRRP (keepalived)"),
    summary: (draft) =>
      isBgp(draft)
        ? `AS ${String(getAt(draft, ["bgp", "local_as"]) ?? "missing")}, routers ${shown(getAt(draft, ["bgp", "neighbors"]))}`
        : `nodes ${shown(getAt(draft, ["keepalived", "peers"]))}`,
    keys: ["bgp", "keepalived"],
    steps: ({ draft }) => {
      const keys = isBgp(draft) ? "bgp." : "keepalived.";
      const steps = rowSteps((path) => path.startsWith(keys), draft);
      return isBgp(draft) ? [...steps, askPassword] : steps;
    },
  },
  {
    id: "vips",
    title: () => "VIPs",
    summary: (draft) => shown(listAt(draft, "vips").map((entry) => (isMapping(entry) ? entry["address"] : entry))),
    keys: ["vips"],
    steps: () => [askVips],
  },
  {
    id: "backends",
    title: () => "Backends",
    summary: (draft) => shown(listAt(draft, "backends").map((group) => getAt(group, ["name"]))),
    keys: ["backends"],
    steps: (state) => [...groupSteps(state), ...vipGroupSteps(state.draft)],
  },
  {
    id: "certs",
    title: () => "Certificates",
    summary: (draft) =>
      getAt(draft, ["certs", "acme_enabled"]) === true
        ? `ACME for ${shown(getAt(draft, ["certs", "acme_domain"]))}`
        : String(getAt(draft, ["certs", "path"]) || "this node's own place"),
    keys: ["certs"],
    steps: ({ draft }) => rowSteps((path) => path.startsWith("certs."), draft),
  },
  {
    id: "other",
    title: () => "Other",
    summary: () => "nodes, handover, statistics, limits, journal",
    keys: [],
    steps: () => rowSteps((path) => !/[.[]/.test(path) && path !== "ha_mode"),
  },
];

const isBgp = (draft: Draft) => draft["ha_mode"] !== "keepalived";

function shown(value: unknown): string {
  const text = [value ?? []].flat().map(String).join(", ");
  if (text === "") return "none";
  return text.length > 50 ? `${text.slice(0, 47)}...` : text;
}

type Asked = Row & { readonly ask: Exclude<Row["ask"], false> };
const isAsked = (row: Row): row is Asked => row.ask !== false;

/** A question for each row of a section that has one. Some depend on other answers in `draft`. */
function rowSteps(belongs: (path: string) => boolean, draft: Draft = {}): readonly Step[] {
  return ROWS.filter(isAsked).flatMap((row) => {
    const place = row.path.split(".");
    const fits = !row.path.includes("[]") && belongs(row.path) && isWanted(row, draft, place.slice(0, -1));
    return fits ? [askRow(row, place)] : [];
  });
}

/** Whether the other keys of the row's section call for this question. */
function isWanted({ ask: { when = {} }, path }: Asked, draft: Draft, section: Place): boolean {
  return Object.entries(when).every(([key, wanted]) => {
    const sibling = ROWS.find((row) => row.path === path.replace(/[^.]*$/, key));
    return (getAt(draft, [...section, key]) ?? sibling?.fallback) === wanted;
  });
}

function askRow(
  row: Asked,
  place: Place,
  { label = "", isNew = false }: { label?: string; isNew?: boolean } = {},
): Step {
  return async (state, asker) => {
    const { draft } = state;
    const present = getAt(draft, place);
    const initial = initialOf(row, draft, place);
    const answer = await askOne(row, { draft, place, initial, message: `${label}${row.ask.message}` }, asker);
    const isOffered =
      row.ask.without === undefined || row.ask.without.every((word) => word !== (present ?? row.fallback));
    if (!(state.fresh || isNew) && answer === initial && isOffered) return { state };
    const changed = setAt(draft, place, typeof answer === "boolean" ? answer : valueTyped(row.kind, answer));
    return { state: { ...state, draft: row.path === "keepalived.peers" ? withOwners(state, changed) : changed } };
  };
}

/** A new cluster that lists names keeps its owners when nodes are renumbered. An old cluster keeps its present owners. */
function withOwners({ fresh }: State, draft: Draft): Draft {
  const peers = getAt(draft, ["keepalived", "peers"]);
  const named = Array.isArray(peers) && peers.some((peer) => /^[^:]*[A-Za-z]/.test(String(peer)));
  return fresh && named ? setAt(draft, ["keepalived", "owners"], "name") : draft;
}

function askOne(
  { kind, ask, path }: Asked,
  at: { draft: Draft; place: Place; initial: string | boolean; message: string },
  { prompts, problemsOf }: Asker,
): Promise<string | boolean> {
  const { draft, place, initial, message } = at;
  if (kind.typed === "truth") return prompts.confirm({ message, initial: initial === true });
  if (kind.choices !== undefined && kind.typed === "choice") {
    const options = Object.entries(kind.choices)
      .filter(([value]) => !ask.without?.includes(value))
      .map(([value, meaning]) => ({ value, label: path === "ha_mode" ? meaning : `${value}: ${meaning}` }));
    return prompts.choose({ message, options, initial: String(initial) });
  }
  const paths = ask.also === undefined ? [nameOf(place)] : [nameOf(place), ask.also];
  const judge = judgeAt(problemsOf, paths, (answer) => setAt(draft, place, valueTyped(kind, answer)));
  return prompts.text({ message, initial: String(initial), placeholder: ask.placeholder, judge });
}

/** Refuses an answer when the draft that it makes has a problem at one of `paths`. */
function judgeAt(
  problemsOf: Asker["problemsOf"],
  paths: readonly string[],
  draftWith: (answer: string) => Draft,
): Judge {
  const concerns = (path: string) =>
    paths.some((own) => path === own || path.startsWith(`${own}.`) || path.startsWith(`${own}[`));
  return (answer) => {
    const problem = problemsOf(draftWith(answer)).find(({ path }) => concerns(path));
    return problem && (problem.path === paths[0] ? problem.message : `${problem.path}: ${problem.message}`);
  };
}

/** The prefilled answer: the file's value, or the default. */
function initialOf({ kind, ask, fallback, path, required }: Asked, draft: Draft, place: Place): string | boolean {
  const present = getAt(draft, place);
  if (kind.typed === "truth") return typeof present === "boolean" ? present : fallback === true;
  if (kind.choices !== undefined && kind.typed === "choice") {
    const offered = Object.keys(kind.choices).filter((word) => !ask.without?.includes(word));
    // An older file says only that it is Route 53.
    const told = path === "certs.acme_dns" ? acmeDns({ ...(draft["certs"] as object) }) : present;
    return offered.includes(String(told)) ? String(told) : (ask.initial ?? String(fallback));
  }
  if (Array.isArray(present)) return present.join(", ");
  if (present !== undefined && present !== null && !isMapping(present)) return String(present);
  // 0 means that no AS number is given.
  return required || fallback === 0 || Array.isArray(fallback) ? "" : String(fallback);
}

const askVips: Step = async (state, { prompts, problemsOf }) => {
  const { draft } = state;
  const present = listAt(draft, "vips");
  const initial = present.map((entry) => String(isMapping(entry) ? entry["address"] : entry)).join(", ");
  const withVips = (answer: string) => setAt(draft, ["vips"], vipsOf(present, splitList(answer)));
  const answer = await prompts.text({
    message: "Addresses that clients use",
    initial,
    placeholder: "10.0.0.100, 10.0.0.101",
    judge: judgeAt(problemsOf, ["vips", "bgp.neighbors"], (text) => withoutGroups(withVips(text))),
  });
  return { state: answer === initial && !state.fresh ? state : { ...state, draft: withVips(answer) } };
};

/** Drops the group of each VIP: groups are asked about later, so a name that no longer exists is not a problem yet. */
function withoutGroups(draft: Draft): Draft {
  return { ...draft, backends: [] };
}

/** For each group its name and its rows, then whether there is another. */
function groupSteps({ draft, fresh, newFrom, adding }: State): readonly Step[] {
  const count = listAt(draft, "backends").length;
  const walked = Math.max(1, count) + (adding && count > 0 ? 1 : 0);
  const groups = Array.from({ length: walked }, (_, index): readonly Step[] => {
    const place = ["backends", index];
    const label = `${String(getAt(draft, [...place, "name"]))}: `;
    const rows = ROWS.filter(isAsked).filter(
      (row) =>
        row.path.startsWith("backends[].") &&
        isWanted(row, draft, place) &&
        !hasSections(getAt(draft, [...place, row.path.slice("backends[].".length)])),
    );
    const isNew = fresh || index >= newFrom;
    const steps = rows.map((row) => askRow(row, [...place, row.path.slice("backends[].".length)], { label, isNew }));
    return index < count ? [askGroupName(index), ...steps] : [askGroupName(index)];
  });
  return [...groups.flat(), askAnother];
}

/** A list with sections in it, as servers with a zone are, has no answer of one line: it stays as the file has it. */
const hasSections = (value: unknown) => Array.isArray(value) && value.some(isMapping);

const askAnother: Step = async (state, { prompts }) => {
  const adding = await prompts.confirm({ message: "Another backend group?", initial: false });
  return { state: { ...state, adding }, stay: adding };
};

function askGroupName(index: number): Step {
  return async (state, { prompts, problemsOf }) => {
    const { draft } = state;
    const count = listAt(draft, "backends").length;
    const place = ["backends", index, "name"];
    const judge = judgeAt(problemsOf, [nameOf(place)], (answer) => setAt(draft, place, answer.trim()));
    const answer = await prompts.text({
      message: index === 0 ? "Name of the first backend group" : "Name of the next backend group (empty for none)",
      initial: String(getAt(draft, place) ?? (index === 0 ? "s3" : "")),
      judge: (answer) => (index > 0 && answer.trim() === "" ? undefined : judge(answer)),
    });
    const name = answer.trim();
    if (name === "" && index < count) {
      const newFrom = index < state.newFrom ? state.newFrom - 1 : state.newFrom;
      return { state: { ...state, draft: removeAt(draft, "backends", index), newFrom }, stay: true };
    }
    if (name === "") return { state: { ...state, adding: false }, stay: true };
    const changed = name === getAt(draft, place) ? draft : setAt(draft, place, name);
    return { state: { ...state, draft: changed, adding: state.adding && index < count } };
  };
}

/** Asks for a VIP's group if there is a choice, or if the VIP names a group that is gone. */
function vipGroupSteps(draft: Draft): readonly Step[] {
  const names = listAt(draft, "backends").map((group) => String(getAt(group, ["name"])));
  const [first = ""] = names;
  const groupOf = (vip: Record<string, unknown>) => {
    const { backend } = vip;
    return typeof backend === "string" && backend !== "" ? backend : first;
  };
  return listAt(draft, "vips").flatMap((entry, index): readonly Step[] => {
    const vip = isMapping(entry) ? entry : { address: entry };
    const present = groupOf(vip);
    if (names.length < 2 && present === first) return [];
    return [
      async (state, { prompts }) => {
        const backend = await prompts.choose({
          message: `Backend group of ${String(vip["address"])}`,
          options: names.map((value) => ({ value, label: value })),
          initial: names.includes(present) ? present : first,
        });
        if (backend === present) return { state };
        const changed = setAt(state.draft, ["vips", index], { ...vip, backend });
        // With one group left there is nothing more to ask.
        return { state: { ...state, draft: changed }, stay: names.length < 2 };
      },
    ];
  });
}

/** Asks for the BGP password, which is not part of the file and is never kept with the answers. */
export const askPassword: Step = async (state, { prompts, hasPassword }) => {
  const choice = await prompts.choose({
    message: "Password of the BGP sessions (TCP MD5), the same for all routers",
    options: hasPassword
      ? [
          { value: "keep", label: "keep the current one" },
          { value: "set", label: "set a new one" },
          { value: "remove", label: "remove it" },
        ]
      : [
          { value: "keep", label: "none" },
          { value: "set", label: "set one" },
        ],
    initial: "keep",
  });
  if (choice === "keep") return { state: { ...state, secrets: {} } };
  if (choice === "remove") return { state: { ...state, secrets: { bgp_password: undefined } } };
  const judge = (answer: string) => (answer === "" ? "the password is empty" : secretProblem("bgp_password", answer));
  return { state: { ...state, secrets: { bgp_password: await prompts.secret({ message: "Password", judge }) } } };
};
