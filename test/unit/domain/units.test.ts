import { expect, test } from "bun:test";
import { type UnitChoice, unitsOf } from "../../../src/domain/units.ts";

const config: UnitChoice = {
  ha_mode: "bgp",
  bgp: { bfd_enabled: false },
  keepalived: { peers: [] },
  nodes: [],
  handover: "auto",
};
const short = (choice: Partial<UnitChoice>) =>
  unitsOf({ ...config, ...choice })
    .map((name) => name.slice("ober-".length, -".service".length))
    .join(" ");

const cases: readonly [what: string, choice: Partial<UnitChoice>, units: string][] = [
  ["BGP alone", {}, "vip http bgp"],
  ["BFD", { bgp: { bfd_enabled: true } }, "vip http bfd bgp"],
  ["other nodes are known", { nodes: ["n1", "n2"] }, "vip handover http bgp"],
  ["the handover is off", { nodes: ["n1", "n2"], handover: "off" }, "vip http bgp"],
  ["keepalived without peers", { ha_mode: "keepalived" }, "http ha"],
  ["keepalived with peers", { ha_mode: "keepalived", keepalived: { peers: ["n2"] } }, "vip handover http ha"],
];
test.each(cases)("units in start order: %s", (_what, choice, units) => {
  expect(short(choice)).toBe(units);
});
