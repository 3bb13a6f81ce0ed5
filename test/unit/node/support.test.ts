/** What `support` packs of a node: enough to find a fault, nothing that is secret, and a reason in the place of what cannot be had. */
import { expect, test } from "bun:test";
import { machinePieces } from "../../../src/node/support.ts";
import { liveNode } from "../../helpers/live-node.ts";
import { paths } from "../../helpers/serving-node.ts";

test("every piece has a name, and none a secret", async () => {
  const programs = ([program]: readonly string[]) =>
    program === "journalctl" ? "2026-01-01 ober: the password is hunter2\n" : "";
  using one = await liveNode({ programs });
  const pieces = await machinePieces(one.node.system, one.node.paths, ["hunter2"]);
  const textOf = (name: string) => pieces.find((piece) => piece.name === name)?.text ?? "";
  expect(textOf("haproxy/show-stat.txt")).toContain("s3,10.0.1.1:7480,UP");
  expect(textOf(`files${paths.config}`)).toContain("ha_mode: bgp");
  expect(textOf(`files${paths.haproxyConfig}`)).toContain("frontend ober_s3");
  expect(textOf("addresses.txt")).toStartWith("$ ip addr\n");
  expect(new Set(pieces.map(({ name }) => name)).size).toBe(pieces.length);
  expect(pieces.map(({ text }) => text).join("\n")).not.toContain("hunter2");
  expect(
    pieces.map(({ name }) => name).filter((name) => name.includes("generations") || name.includes("certs/")),
  ).toEqual([]);
});

test("a program or a HAProxy that does not answer is said in its place", async () => {
  using one = await liveNode();
  const { run } = one.node.system;
  one.node.system.run = async (argv, options) => {
    const { code, stdout, stderr } = await run(argv, options);
    return argv[0] === "ss"
      ? { code: -1, stdout: "LISTEN 0 128 0.0.0.0:443\n", stderr, cut: true }
      : { code, stdout, stderr };
  };
  one.refuse("uname -a", "uname: not found");
  one.haproxy[Symbol.dispose]();
  const pieces = await machinePieces(one.node.system, one.node.paths, []);
  const textOf = (name: string) => pieces.find((piece) => piece.name === name)?.text ?? "";
  expect(textOf("haproxy/show-info.txt")).toContain("does not exist");
  expect(textOf("sockets.txt")).toEndWith("(cut here: there is more than 64 MiB)\n");
  expect(textOf("kernel.txt")).toContain("uname -a");
});
