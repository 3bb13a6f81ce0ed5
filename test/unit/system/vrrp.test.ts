import { expect, test } from "bun:test";
import { parseVrrpData } from "../../../src/system/vrrp.ts";

/** What keepalived 2.3.3 wrote, shortened. */
const DATA = `------< Global definitions >------
 Router ID = ober_n1
------< VRRP Topology >------
 VRRP Instance = ober_101
   VRRP Version = 3
   State = BACKUP
   Master router = 10.77.9.2
   Master priority = 92
   Last transition = 1795442138.534162 (Mon Nov 23 13:55:38.534162 2026)
   Read timeout = 1795442140.465490 (Mon Nov 23 13:55:40.465490 2026)
   Master down timer = 728906 usecs
   Virtual Router ID = 101
   Priority = 91
   Effective priority = 91
   Virtual IP (1):
     10.77.9.101 dev eth0 scope global
   Unicast Peer :
     10.77.9.2 min_ttl 0 max_ttl 255
 VRRP Instance = ober_102
   State = MASTER
   Last transition = 1795442100.000000 (Mon Nov 23 13:55:00.000000 2026)
   Read timeout = 1795442140.000000 (Mon Nov 23 13:55:40.000000 2026)
   Master down timer = 150281 usecs
   Virtual Router ID = 102
   Priority = 100
   Effective priority = 50
   Virtual IP (1):
     10.77.9.102 dev eth0 scope global
------< VRRP Sockpool >------
 fd_in 14
`;

test("the state of each VIP is read from keepalived's dump", () => {
  const [backup, master, ...more] = parseVrrpData(DATA);
  expect(more).toEqual([]);
  expect(backup).toMatchObject({
    vip: "10.77.9.101",
    state: "BACKUP",
    vrid: 101,
    effectivePriority: 91,
    master: "10.77.9.2",
  });
  expect(backup?.heardAt).toBeCloseTo(1795442139736.584, 1);
  expect(master).toEqual({
    vip: "10.77.9.102",
    state: "MASTER",
    vrid: 102,
    effectivePriority: 50,
    master: undefined,
    heardAt: undefined,
    since: 1795442100000,
  });
});

test("a dump without instances has none", () => {
  expect(parseVrrpData("------< VRRP Sockpool >------\n")).toEqual([]);
});
