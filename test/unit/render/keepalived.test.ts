import { expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import { renderKeepalived } from "../../../src/render/keepalived.ts";
import { goldenCases } from "../../golden/_cases.ts";

test("only peers in a network of the node's own must have sent from that network", () => {
  const facts = goldenCases.find(({ name }) => name === "vrrp")?.facts;
  if (facts === undefined) throw new Error("there is no case vrrp");
  const config = parseConfig(
    {
      ha_mode: "keepalived",
      keepalived: { peers: ["192.168.1.11", "172.16.0.13"] },
      vips: ["192.168.1.101"],
      backends: [{ name: "s3", servers: ["10.0.0.1:7480"] }],
    },
    "ober.yaml",
  );
  const peers = (networks: readonly string[]) =>
    /unicast_peer \{\n([^}]*)\}/
      .exec(renderKeepalived(config, { ...facts, networks }, pathsOf("/opt/ober")).content)?.[1]
      ?.split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
  expect(peers(["10.77.0.0/24", "192.168.1.0/24"])).toEqual(["192.168.1.11 min_ttl 255 max_ttl 255", "172.16.0.13"]);
  expect(peers([])).toEqual(["192.168.1.11", "172.16.0.13"]);
});
