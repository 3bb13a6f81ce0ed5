/**
 * `ober.yaml` as text: reads it strictly, and writes it back so that operators recognise their file. The only place
 * that knows YAML.
 */
import * as yaml from "yaml";
import { quote } from "../domain/quote.ts";
import { ConfigError } from "../errors.ts";
import { isMapping } from "./keys/kinds.ts";
import { topSays } from "./keys.ts";
import { keepLines } from "./store/keep-lines.ts";

/** The schema that editors read, beside the file: `ober config --schema` prints it, and `ober config` puts it there. */
const EDITOR_SCHEMA_NAME = "ober.schema.json";
const MODELINE = ` yaml-language-server: $schema=${EDITOR_SCHEMA_NAME}`;

/** A configuration is a page or two. A larger file is the wrong one, and the parser's time grows with the square. */
const LARGEST_FILE = 128 * 1024;
/** The schema needs 8: a map, a pair and a list or value for each level. */
const DEEPEST = 20;

/** The value of a YAML document, not yet validated. Throws a ConfigError with the line if it is not a plain, single document. */
export function parseYaml(text: string, file: string): unknown {
  return read(text, file).toJS();
}

/**
 * The text of a configuration file that says `answers`: `previous` with only what differs changed, so that comments,
 * the order of keys and keys that `answers` does not have survive. The same answers give the same text.
 */
export function emitConfig(previous: string | undefined, answers: Readonly<Record<string, unknown>>): string {
  if (previous === undefined || !isMapping(read(previous, "the present configuration").toJS())) return emitNew(answers);
  return rewritten(previous, (document) => changeMap(document, document.contents as yaml.YAMLMap, answers));
}

/** `previous` with another value at one place; everything else stays. Missing sections are created. */
export function emitValue(previous: string, place: readonly (string | number)[], value: unknown): string {
  return rewritten(previous, (document) => {
    const present = document.getIn(place, true) as yaml.Node | undefined;
    if (present !== undefined && same(toValue(document, present), value)) return false;
    if (yaml.isSeq(present) && Array.isArray(value)) return changeList(document, present, value);
    if (yaml.isScalar(present) && !isMapping(value) && !Array.isArray(value)) return changeScalar(present, value);
    // A section without keys is a null, which holds none.
    for (const [index] of place.slice(1).entries()) {
      const above = place.slice(0, index + 1);
      const holder = document.getIn(above, true);
      if (!yaml.isCollection(holder)) document.setIn(above, withComment(document.createNode({}), holder));
    }
    document.setIn(place, withComment(document.createNode(value), present));
    return true;
  });
}

/** Returns `node` with the comment of the scalar that it replaces. */
function withComment(node: yaml.Node, former: unknown): yaml.Node {
  if (!yaml.isScalar(former)) return node;
  const first = yaml.isMap(node) ? node.items[0]?.value : node;
  if (yaml.isScalar(first)) first.comment = former.comment ?? null;
  else node.commentBefore = former.comment ?? null;
  return node;
}

function rewritten(previous: string, change: (document: yaml.Document) => boolean): string {
  const document = read(previous, "the present configuration");
  const style = styleOf(previous);
  const before = document.toString(style);
  if (!change(document)) return previous;
  const after = document.toString(style);
  const kept = keepLines(previous, before, after);
  return kept !== undefined && sameMeaning(kept, after) ? kept : after;
}

/** The text of a new file. `explain` gives the comment above the key at a path such as `backends[].servers`. */
export function emitNew(
  answers: Readonly<Record<string, unknown>>,
  explain: (path: string) => string = topSays,
): string {
  const document = new yaml.Document(answers);
  document.commentBefore = MODELINE;
  yaml.visit(document, {
    // Short lists of words read better on one line; mappings never do.
    Seq: (_key, seq) => {
      seq.flow = seq.items.every((item) => yaml.isScalar(item));
    },
    Pair: (index, pair, above) => {
      const { key } = pair as yaml.Pair<yaml.Scalar>;
      const explanation = explain(pathIn([...above, pair]));
      if (explanation === "") return;
      key.commentBefore = explanation.replaceAll(/^/gm, " ");
      key.spaceBefore = above.length === 2 && index !== 0;
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

/** The path of the last of `nodes`, from the document down: keys with dots, `[]` for an entry of a list. */
function pathIn(nodes: readonly unknown[]): string {
  const keys = nodes.flatMap((node) =>
    yaml.isSeq(node) ? ["[]"] : yaml.isPair<yaml.Scalar>(node) ? [`.${String(node.key.value)}`] : [],
  );
  return keys.join("").replace(/^\./, "");
}

/** A value in the form of the file. */
export function emitShown(value: unknown): string {
  return new yaml.Document(value).toString({ lineWidth: 0, flowCollectionPadding: false }).trimEnd();
}

function read(text: string, file: string): yaml.Document {
  const refuse = (at: number | undefined, message: string): never => {
    throw new ConfigError(file, [{ path: at === undefined ? "" : placeIn(text, at), message }]);
  };
  if (text.length > LARGEST_FILE) {
    refuse(undefined, `must be at most ${LARGEST_FILE / 1024} KiB, not ${Math.ceil(text.length / 1024)} KiB`);
  }
  const foreign = /[\0\ufffd]/.exec(text);
  if (foreign)
    refuse(foreign.index, foreign[0] === "\0" ? "must be UTF-8 text without NUL bytes" : "must be UTF-8 text");
  // Errors only: at other levels the library writes warnings to stderr itself, or does not report a second document.
  const document = yaml.parseDocument(text, { prettyErrors: false, logLevel: "error" });
  const [error] = [...document.errors, ...document.warnings];
  if (error) refuse(error.code === "RESOURCE_EXHAUSTION" ? undefined : error.pos[0], explain(error, text));
  // Without aliases no document is larger than its text, and the text alone says what a key is.
  yaml.visit(document, {
    Node: (_key, node, path) => {
      if (path.length > DEEPEST) refuse(node.range?.[0], "nested too deeply");
      if (node.tag !== undefined && yaml.isNode(node))
        refuse(node.range?.[0], `the tag ${quote(node.tag)} is not allowed: write the value without it`);
      if (yaml.isAlias(node)) refuse(node.range?.[0], "aliases are not allowed: write the value out");
      if (node.anchor !== undefined)
        refuse(node.range?.[0], "anchors are not allowed: write the value out where it is used");
    },
    Pair: (_key, { key }) => {
      if (!yaml.isScalar(key) || typeof key.value !== "string") {
        refuse(yaml.isNode(key) ? key.range?.[0] : 0, "a key must be a word");
      }
    },
  });
  return document;
}

function placeIn(text: string, at: number): string {
  const before = text.slice(0, at).split("\n");
  return `line ${before.length}, column ${(before.at(-1) ?? "").length + 1}`;
}

function explain({ code, message, pos }: yaml.YAMLError, text: string): string {
  const line = text.slice(text.lastIndexOf("\n", pos[0] - 1) + 1).split("\n", 1)[0] ?? "";
  // A plain word inside [a, b] ends at its own bracket. Operators do not expect that of a host list.
  if (/[\w.-]\[\d/.test(line)) return 'a host list with brackets needs quotes inside a list: ["node[01-03]"]';
  switch (code) {
    case "DUPLICATE_KEY":
      return "this key is written twice";
    case "TAB_AS_INDENT":
      return "the line is indented with a tab: use blanks";
    case "MULTIPLE_DOCS":
      return "a second document begins here: write only one";
    case "RESOURCE_EXHAUSTION":
      return "nested too deeply";
    case "TAG_RESOLVE_FAILED":
      return "tags are not allowed: write the value without the tag";
    default:
      return `not YAML: ${message.slice(0, 1).toLowerCase()}${message.slice(1).replaceAll("\n", " ")}`;
  }
}

/** Sets the keys of `wanted` in `map`; other keys stay. Returns whether anything changed. */
function changeMap(document: yaml.Document, map: yaml.YAMLMap, wanted: Readonly<Record<string, unknown>>): boolean {
  const changes = Object.entries(wanted).map(([key, value]) => {
    if (value === undefined) return false;
    const present = map.get(key, true) as yaml.Node | undefined;
    if (present !== undefined && same(toValue(document, present), value)) return false;
    if (yaml.isMap(present) && isMapping(value)) return changeMap(document, present, value);
    if (yaml.isSeq(present) && Array.isArray(value)) return changeList(document, present, value);
    if (yaml.isScalar(present) && !isMapping(value) && !Array.isArray(value)) return changeScalar(present, value);
    map.set(key, document.createNode(value));
    return true;
  });
  return changes.includes(true);
}

function changeScalar(scalar: yaml.Scalar, value: unknown): boolean {
  scalar.value = value;
  delete scalar.source;
  return true;
}

/** Entries that remain keep their place in the text. A mapping is recognised by its name or address. */
function changeList(document: yaml.Document, list: yaml.YAMLSeq, wanted: readonly unknown[]): boolean {
  const left = [...list.items] as yaml.Node[];
  const take = (fits: (value: unknown) => boolean) => {
    const at = left.findIndex((item) => fits(toValue(document, item)));
    return at < 0 ? undefined : left.splice(at, 1)[0];
  };
  list.items = wanted.map((value) => {
    const item =
      take((present) => same(present, value)) ??
      take((present) => isMapping(present) && identity(present) === identity(value));
    if (item === undefined) return document.createNode(value);
    if (yaml.isMap(item) && isMapping(value)) changeMap(document, item, value);
    return item;
  });
  return true;
}

function identity(entry: unknown): unknown {
  return isMapping(entry) ? (entry["name"] ?? entry["address"]) : entry;
}

const toValue = (document: yaml.Document, node: yaml.Node): unknown => node.toJS(document);

/** Whether two values are the same, apart from the order of keys. */
function same(left: unknown, right: unknown): boolean {
  return Bun.deepEquals(left, right, true);
}

function sameMeaning(left: string, right: string): boolean {
  const document = yaml.parseDocument(left, { logLevel: "error" });
  return document.errors.length === 0 && same(document.toJS(), yaml.parseDocument(right).toJS());
}

/** The operator's formatting, as far as the library can follow it. */
function styleOf(text: string): yaml.ToStringOptions {
  return {
    lineWidth: 0,
    indent: /^( +)[^\s#-]/m.exec(text)?.[1]?.length ?? 2,
    indentSeq: !/^( *)[\w"']+:[ \t]*(?:#.*)?\n\1- /m.test(text),
    flowCollectionPadding: /\{ /.test(text),
  };
}
