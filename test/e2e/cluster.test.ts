import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { BUCKET, ober, rclone, s3cmd, sha256Of } from "../lab/ober.ts";
import { SHARED_DIRECTORY, VIP, VIP_NAME } from "../lab/places.ts";
import { nextHops } from "../lab/router.ts";
import { S3_USER } from "../lab/storage.ts";
import { bytes, type Cluster, ROUNDS, runningCluster } from "./_cluster.ts";

// The other files have trixie.
for (const release of ROUNDS > 1 ? (["trixie", "bookworm"] as const) : (["bookworm"] as const)) {
  describe(`three bare ${release} machines with nothing but the executable and one ober.yaml`, () => {
    let cluster: Cluster;
    beforeAll(async () => {
      cluster = await runningCluster({ release, bare: true });
    }, 300_000);
    afterAll(() => cluster?.watch.stop());

    test("have the same ober.yaml and different generated files", () => {
      const texts = cluster.nodes.map(({ root }) => ({
        yaml: readFileSync(join(root, "opt/ober/etc/ober.yaml"), "utf8"),
        bgp: readFileSync(join(root, "opt/ober/etc/bgp/config.ini"), "utf8"),
      }));
      expect(new Set(texts.map(({ yaml }) => yaml)).size).toBe(1);
      expect(new Set(texts.map(({ bgp }) => bgp)).size).toBe(3);
    });

    test("are the three next hops of the VIP in the router's kernel", async () => {
      expect(await nextHops(VIP)).toEqual([...cluster.addresses]);
    });

    test.each([0, 1, 65_536, 15 * 1024 * 1024])(
      "return an object of %d bytes through s3cmd byte for byte",
      async (size) => {
        await Bun.write(join(SHARED_DIRECTORY, "sent"), bytes(size));
        await s3cmd(cluster.lab, ["mb", `s3://${BUCKET}`]);
        await s3cmd(cluster.lab, ["put", "/lab/sent", `s3://${BUCKET}/object-${size}`]);
        await s3cmd(cluster.lab, ["get", "--force", `s3://${BUCKET}/object-${size}`, "/lab/received"]);
        expect(await sha256Of(join(SHARED_DIRECTORY, "received"))).toBe(await sha256Of(join(SHARED_DIRECTORY, "sent")));
      },
      60_000,
    );

    test("return an object through rclone byte for byte", async () => {
      await Bun.write(join(SHARED_DIRECTORY, "sent"), bytes(3_000_000));
      await rclone(cluster.lab, ["copyto", "/lab/sent", `lab:${BUCKET}/rclone/ä b+c%2F`]);
      await rclone(cluster.lab, ["copyto", `lab:${BUCKET}/rclone/ä b+c%2F`, "/lab/received"]);
      expect(await sha256Of(join(SHARED_DIRECTORY, "received"))).toBe(await sha256Of(join(SHARED_DIRECTORY, "sent")));
    }, 60_000);

    test("pass on what a client has signed: a path, a bucket's own name, and a signed link", async () => {
      const { accessKey, secretKey } = S3_USER;
      await Bun.write(join(SHARED_DIRECTORY, "sent"), "signed");
      const at = (host: string, path: string, ...words: readonly string[]) => {
        const signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", `${accessKey}:${secretKey}`];
        const resolve = ["--resolve", `${host}:443:${VIP}`];
        return cluster.lab.client([
          "curl",
          "-skf",
          "-m",
          "10",
          ...resolve,
          ...signed,
          ...words,
          `https://${host}${path}`,
        ]);
      };
      const own = `${BUCKET}.${VIP_NAME}`;
      await at(VIP_NAME, `/${BUCKET}/signed`, "-X", "PUT", "--data-binary", "@/lab/sent");
      expect((await at(VIP_NAME, `/${BUCKET}/signed`)).stdout).toBe("signed");
      await at(own, "/of-its-own", "-X", "PUT", "--data-binary", "@/lab/sent");
      expect((await at(own, "/of-its-own")).stdout).toBe("signed");
      const link = (await rclone(cluster.lab, ["link", `lab:${BUCKET}/signed`])).stdout.trim();
      expect(link).toContain("X-Amz-Signature=");
      expect((await cluster.lab.client(["curl", "-skf", "-m", "10", link])).stdout).toBe("signed");
    }, 60_000);

    test("each say that they are healthy and announce the VIP", async () => {
      for (const node of cluster.nodes) {
        const status = await ober(node, ["status", "--json"]);
        expect(() => JSON.parse(status.stdout)).not.toThrow();
        expect(status.stdout).toContain(VIP);
      }
    });

    test("run no failed unit", async () => {
      for (const node of cluster.nodes) {
        const { stdout } = await node.exec(["systemctl", "--failed", "--plain", "--no-legend"]);
        expect(stdout).toBe("");
      }
    });

    test("answer for no destination that is not a VIP", async () => {
      for (const address of cluster.addresses) {
        const curl = ["curl", "-sk", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", `https://${address}/`];
        const { stdout } = await cluster.lab.client(curl, { accept: [7, 35, 52, 56] });
        expect(stdout).toBe("000");
      }
    }, 20_000);
  });
}
