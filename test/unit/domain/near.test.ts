import { describe, expect, test } from "bun:test";
import { nearFirst, standpoint } from "../../../src/domain/near.ts";

const zones = { a: ["n1", "n2"], b: ["n3"] };
const resolved = { n1: ["10.77.0.11"], n2: ["10.77.0.12"], n3: ["10.77.0.13"], rgw3: ["10.78.0.13"] };
const node = (address: string, further: readonly string[] = []) =>
  standpoint({ zones }, { address, addresses: further.map((one) => ({ address: one, interface: "eth1" })), resolved });

test("a node finds its zone by its address, and by its own name whatever that resolves to", () => {
  expect(["10.77.0.11", "10.77.0.12", "10.77.0.13"].map((address) => node(address).zone)).toEqual(["a", "a", "b"]);
  const own = { address: "10.77.0.13", addresses: [], resolved: { ...resolved, n3: ["127.0.1.1"] } };
  expect(standpoint({ zones }, own).zone).toBe("b");
  expect(standpoint({ zones: { b: ["n3"] } }, { address: "10.77.0.11", addresses: [], resolved }).zone).toBeUndefined();
});

describe("near", () => {
  const near = (servers: Parameters<typeof nearFirst>[0], address = "10.77.0.11", further: readonly string[] = []) => {
    const parts = nearFirst(servers, node(address, further));
    return `${parts.near.map(({ host }) => host)} / ${parts.far.map(({ host }) => host)}`;
  };
  const [a, b, plain] = [{ host: "a", zone: "a" }, { host: "b", zone: "b" }, { host: "plain" }];
  const here = { host: "10.77.0.11", local: true } as const;
  const there = { host: "10.77.0.13", local: true } as const;

  test.each([
    ["are the servers of the node's zone", near([a, b, plain]), "a / b,plain"],
    ["are others on a node of another zone", near([a, b, plain], "10.77.0.13"), "b / a,plain"],
    ["are all where no server has the node's zone", near([b, plain]), "b,plain / "],
    ["are all where none has a zone", near([plain]), "plain / "],
    ["none is far where all are near", near([a]), "a / "],
    ["is the server on the node itself", near([here, there, a]), "10.77.0.11 / 10.77.0.13,a"],
    [
      "is the server on another address of the node",
      near([here, there], "10.1.0.1", ["10.77.0.13"]),
      "10.77.0.13 / 10.77.0.11",
    ],
    [
      "is the server with a name of the node",
      near([{ host: "rgw3", local: true }, a], "10.1.0.1", ["10.78.0.13"]),
      "rgw3 / a",
    ],
    ["is a server on loopback", near([{ host: "127.0.0.1", local: true }, plain]), "127.0.0.1 / plain"],
    [
      "is not the server on the node that is not said to be local",
      near([{ host: "10.77.0.11" }, there]),
      "10.77.0.11,10.77.0.13 / ",
    ],
  ])("%s", (_, parts, expected) => {
    expect(parts).toBe(expected);
  });
});
