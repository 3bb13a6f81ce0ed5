import { expect, test } from "bun:test";
import { type UnitChoice, unitsOf } from "../../../src/domain/units.ts";

const config: UnitChoice = {
  ha_mode: "bgp",
  bgp: { bfd_enabled: false },
  keepalived: { peers: [], check: "loop" },
  nodes: [],
  handover: "auto",
  certs: { acme_enabled: false },
  backends: [{ servers: [{ host: "10.0.0.21" }] }],
};
const short = (choice: Partial<UnitChoice>) =>
  unitsOf({ ...config, ...choice })
    .map((name) => name.slice("ober-".length).replace(/\.service$/, ""))
    .join(" ");

const cases: readonly [what: string, choice: Partial<UnitChoice>, units: string][] = [
  ["BGP alone", {}, "vip http certs.path load.timer bgp"],
  ["ACME", { certs: { acme_enabled: true } }, "vip http certs.path renew.timer load.timer bgp"],
  ["BFD", { bgp: { bfd_enabled: true } }, "vip http certs.path load.timer bfd bgp"],
  ["other nodes are known", { nodes: ["n1", "n2"] }, "vip handover http certs.path load.timer bgp"],
  ["the handover is off", { nodes: ["n1", "n2"], handover: "off" }, "vip http certs.path load.timer bgp"],
  ["an RGW is named", { backends: [{ servers: [{ host: "rgw1" }] }] }, "vip http names certs.path load.timer bgp"],
  ["keepalived without peers", { ha_mode: "keepalived" }, "http certs.path load.timer health ha"],
  [
    "keepalived with peers",
    { ha_mode: "keepalived", keepalived: { peers: ["n2"], check: "loop" } },
    "vip handover http certs.path load.timer health ha",
  ],
  [
    "keepalived that checks by itself",
    { ha_mode: "keepalived", keepalived: { peers: [], check: "script" } },
    "http certs.path load.timer ha",
  ],
];
test.each(cases)("units in start order: %s", (_what, choice, units) => {
  expect(short(choice)).toBe(units);
});
