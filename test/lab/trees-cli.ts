/** Builds the trees that every lab needs, before several labs want them at the same moment. */
import { prepareHost } from "./host.ts";
import { readyTree, toolsTree } from "./trees.ts";

const progress = (line: string) => process.stderr.write(`${line}\n`);
await prepareHost(progress);
await Promise.all([readyTree("trixie", progress), toolsTree(progress)]);
