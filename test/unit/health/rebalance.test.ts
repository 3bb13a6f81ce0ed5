import { describe, expect, test } from "bun:test";
import { type Load, loadIn } from "../../../src/domain/serves.ts";
import { RETURNED, shareToClose } from "../../../src/health/rebalance.ts";

const load = (connections: number, age: number, requests = 1000): Load => ({ connections, requests, age });
const OLD = 86_400;

describe("the share of responses that end their connection", () => {
  test("is none without a node that returned, whatever the load", () => {
    expect(shareToClose(load(200, OLD), [load(0, OLD - 60), load(0, OLD)])).toBe(0);
    expect(shareToClose(load(200, OLD), [])).toBe(0);
    expect(shareToClose(load(200, OLD), [load(0, RETURNED)])).toBe(0);
  });

  test("is none on the node that returned itself, and on one that is even", () => {
    expect(shareToClose(load(200, 5), [load(0, OLD)])).toBe(0);
    expect(shareToClose(load(66, OLD), [load(67, 5), load(67, OLD)])).toBe(0);
    expect(shareToClose(load(0, OLD), [load(0, 5)])).toBe(0);
  });

  test("follows what is above the mean, and the pace of the requests", () => {
    // 33 of 100 above the mean; two thirds of those that are closed leave: 6.3 a second.
    expect(shareToClose(load(100, OLD), [load(0, 5), load(100, OLD)])).toBe(7);
    expect(shareToClose(load(100, OLD, 100), [load(0, 5), load(100, OLD)])).toBe(63);
  });

  test("has bounds: a quarter of the responses, and 200 connections a second", () => {
    expect(shareToClose(load(100, OLD, 0), [load(0, 5)])).toBe(250);
    expect(shareToClose(load(100_000, OLD, 50_000), [load(0, 5)])).toBe(4);
  });
});

test("three nodes are even within a minute, with one second between what is said and what is done", () => {
  // A sequence that is the same in each run: minimal standard, Park and Miller.
  let seed = 42;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  const nodes = [100, 100, 0];
  for (let second = 0; second < 60; second++) {
    const said = nodes.map((connections, index) => load(connections, index === 2 ? second : OLD, connections * 20));
    const shares = said.map((own, index) =>
      shareToClose(
        own,
        said.filter((_, other) => other !== index),
      ),
    );
    for (const [index, share] of shares.entries()) {
      const responses = said[index]?.requests ?? 0;
      for (let one = 0; one < responses; one++) {
        if ((nodes[index] ?? 0) === 0 || random() * 1000 >= share) continue;
        const to = Math.floor(random() * 3);
        nodes[index] = (nodes[index] ?? 0) - 1;
        nodes[to] = (nodes[to] ?? 0) + 1;
      }
    }
  }
  expect(nodes.reduce((sum, count) => sum + count)).toBe(200);
  for (const count of nodes) expect(Math.abs(count - 200 / 3)).toBeLessThan(20 / 3);
});

test("a node's load is read from what it says while it serves", () => {
  const body = (more: object) =>
    JSON.stringify({
      leaving: false,
      now: 100,
      serves: { at: 99, vips: { "10.0.0.1": 20, "10.0.0.2": 70 } },
      load: { connections: 7, requests: 3 },
      ...more,
    });
  expect(loadIn(body({}))).toEqual({ connections: 7, requests: 3, age: 30 });
  expect(loadIn(body({ leaving: true }))).toBeUndefined();
  expect(loadIn(body({ now: 200 }))).toBeUndefined();
  expect(loadIn(body({ load: undefined }))).toBeUndefined();
  expect(loadIn(body({ serves: { at: 99, vips: {} } }))).toBeUndefined();
  expect(loadIn("")).toBeUndefined();
});
