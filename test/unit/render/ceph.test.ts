import { expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import { cephCommand, cephHalves, cephText } from "../../../src/render/ceph.ts";

const halves = (backends: readonly object[], more: object = {}) =>
  cephHalves(
    parseConfig(
      {
        bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] },
        vips: ["10.99.0.100"],
        backends,
        ...more,
      },
      "ober.yaml",
    ),
  );
const commands = (backends: readonly object[], more: object = {}) =>
  halves(backends, more).map((half) => half.settings.map((setting) => cephCommand("client.rgw", setting)));
const S3 = { name: "s3", servers: ["rgw1:7480"] };

test("the options of a group of gateways, with the values that fit ober.yaml", () => {
  expect(commands([{ ...S3, max_requests: 2048 }], { s3_names: ["s3.example.org"] })).toEqual([
    [
      "ceph config set client.rgw rgw_remote_addr_param http_x_forwarded_for",
      "ceph config set client.rgw rgw_trust_forwarded_https true",
      "ceph config set client.rgw rgw_dns_name s3.example.org",
      "ceph config set client.rgw rgw_max_concurrent_requests 2048",
      "ceph config set client.rgw rgw_graceful_stop true",
      "ceph config set client.rgw rgw_exit_timeout_secs 300",
      "ceph config set client.rgw rgw_healthcheck_disabling_path '/var/lib/ceph/radosgw/$cluster-$id/disabled'",
    ],
  ]);
});

test.each([
  ["/swift/healthcheck", ["rgw_healthcheck_disabling_path"]],
  ["/object-store/healthcheck", ["rgw_healthcheck_disabling_path", "rgw_swift_url_prefix object-store"]],
  // An S3 path, at which the file has no effect.
  ["/", []],
])("with the health path %s", (health_check_path, expected) => {
  const [half] = halves([{ ...S3, health_check_path }]);
  const shown = half?.settings.map(({ option, value }) =>
    option === "rgw_swift_url_prefix" ? `${option} ${value}` : option,
  );
  expect(shown?.filter((option) => /healthcheck|swift/.test(option))).toEqual(expected);
  expect(half?.remarks.some((remark) => remark.startsWith("rgw_enable_apis"))).toBe(expected.length > 0);
});

test("several names are hostnames of the zone group, and without any ober.yaml lacks them", () => {
  const [two] = halves([S3], { s3_names: ["s3.example.org", "s3.example.net"] });
  expect(two?.settings.map(({ option }) => option)).not.toContain("rgw_dns_name");
  expect(two?.commands.map(({ command }) => command)).toEqual([
    `radosgw-admin zonegroup get | jq '.hostnames = ["s3.example.org","s3.example.net"]' > zonegroup.json`,
    "radosgw-admin zonegroup set --infile zonegroup.json",
    "radosgw-admin period update --commit",
  ]);
  const [none] = halves([S3]);
  expect(none?.settings.map(({ option }) => option)).not.toContain("rgw_dns_name");
  expect(none?.commands).toEqual([]);
  expect(none?.remarks[0]).toStartWith("No name of S3 is known: set s3_names");
});

test("every line is a comment or a command", () => {
  const text = cephText(
    "client.rgw.a",
    halves([S3, { ...S3, name: "archive" }], { s3_names: ["a.example.org", "b.example.org"] }),
  );
  const lines = text.split("\n").filter((line) => line !== "");
  expect(lines.filter((line) => line.startsWith("# The gateways of "))).toEqual([
    "# The gateways of s3",
    "# The gateways of archive",
  ]);
  expect(lines.filter((line) => !/^(# |ceph config set client\.rgw\.a rgw_|radosgw-admin )/.test(line))).toEqual([]);
});
