import { describe, expect, test } from "bun:test";
import { handoverCodes, handoverPeers } from "../../../src/render/handover.ts";

describe("the codes of the nodes", () => {
  const codes = (...nodes: string[]) => Object.fromEntries(handoverCodes(nodes));

  test("are the last seven bits of their addresses, in whatever order they are listed", () => {
    expect(codes("10.0.0.13", "10.0.0.11")).toEqual({ "10.0.0.11": 11, "10.0.0.13": 13 });
  });

  test("are the next free ones where two nodes would share one, or it would be 0", () => {
    expect(codes("10.0.0.11", "10.0.0.139", "10.0.1.0", "10.0.0.1")).toEqual({
      "10.0.0.1": 1,
      "10.0.0.11": 11,
      "10.0.0.139": 12,
      "10.0.1.0": 2,
    });
  });

  test("stay the same for the others when a node comes or goes", () => {
    const before = codes("10.0.0.11", "10.0.0.12", "10.0.0.14");
    expect(codes("10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14")).toMatchObject(before);
  });

  test("suffice for 127 nodes", () => {
    const nodes = Array.from({ length: 128 }, (_, index) => `10.0.0.${index + 1}`);
    expect(new Set(handoverCodes(nodes.slice(1)).values()).size).toBe(127);
    expect(() => handoverCodes(nodes)).toThrow("there are 128 nodes");
  });
});

describe("the peers", () => {
  const facts = { address: "10.0.0.11", resolved: { n1: ["10.0.0.11"], n2: ["10.0.0.12"], six: ["fd00::1"] } };
  const keepalived = {
    peers: ["n1", "n2"],
    interface: "",
    owners: "address" as const,
    check: "loop" as const,
    use_multicast: false,
    advert_int: 1,
  };

  test("are those of `nodes`, without this node", () => {
    expect(handoverPeers({ ha_mode: "bgp", nodes: ["n2", "n1"], keepalived }, facts)).toEqual(["10.0.0.12"]);
  });

  test("are keepalived's where `nodes` is empty, in keepalived mode only", () => {
    expect(handoverPeers({ ha_mode: "keepalived", nodes: [], keepalived }, facts)).toEqual(["10.0.0.12"]);
    expect(handoverPeers({ ha_mode: "bgp", nodes: [], keepalived }, facts)).toEqual([]);
  });

  test("have an IPv4 address each", () => {
    expect(() => handoverPeers({ ha_mode: "bgp", nodes: ["six"], keepalived }, facts)).toThrow(
      "six has no IPv4 address",
    );
  });
});
