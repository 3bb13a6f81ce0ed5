/**
 * `scripts/demo`: a working ingress from bare machines, and what its users notice when parts of it die. Each act returns
 * what was seen; the last page is made of that. Any act that does not show what it should ends the demo.
 */
import { join } from "node:path";
import { OberError } from "../../src/errors.ts";
import { sayProgress } from "./cli.ts";
import { KEPT, type Loss, lastPage } from "./demo-page.ts";
import { type Lab, type LabNode, up } from "./lab.ts";
import { inFlightAt, startLoad, summarise } from "./load.ts";
import { BUCKET, install, oberYaml, prepareClients, s3cmd, sha256Of, waitForNextHops } from "./ober.ts";
import { SHARED_DIRECTORY, VIP, VIP_NAME } from "./places.ts";
import { signal } from "./process.ts";
import { now, watchRoute } from "./route-watch.ts";
import { showRoute } from "./router.ts";
import type { Progress } from "./trees.ts";

const OBJECT_BYTES = 8 * 1024 * 1024;

async function demo(progress: Progress, keep: boolean): Promise<void> {
  const lab = await up({ progress });
  try {
    const nodes = lab.nodes();
    const yaml = oberYaml(lab.names());
    progress("on each bare node: ./ober bootstrap /opt/ober --yes; ober config --from ober.yaml --yes; ober start");
    await Promise.all(
      nodes.map(async (node) => {
        await install(node, yaml);
        progress(`${node.name} is a node of the ingress`);
      }),
    );
    progress(`waiting for the router to send ${VIP} to all of them`);
    await waitForNextHops(nodes, 30_000);
    const route = await showRoute(VIP);
    await prepareClients();
    const hashes = await putAndGet(lab, progress);

    const losses = [await loseProxy(lab, progress), await losePower(lab, progress)];
    process.stdout.write(lastPage({ yaml, route, bytes: OBJECT_BYTES, hashes, losses }));
    if (keep) lab.keep();
  } finally {
    if (!keep) {
      progress("taking the lab down");
      await lab.down();
    }
  }
  if (keep) process.stdout.write(KEPT);
}

/** An object through the VIP over TLS and back, with a real S3 client. */
async function putAndGet(lab: Lab, progress: Progress): Promise<{ readonly sent: string; readonly received: string }> {
  progress(`putting and getting ${OBJECT_BYTES} bytes with s3cmd: https://${VIP_NAME}/${BUCKET}/object`);
  const [sent, received] = [join(SHARED_DIRECTORY, "sent"), join(SHARED_DIRECTORY, "received")];
  await Bun.write(sent, randomBytes(OBJECT_BYTES));
  await s3cmd(lab, ["mb", `s3://${BUCKET}`]);
  await s3cmd(lab, ["put", "/lab/sent", `s3://${BUCKET}/object`]);
  await s3cmd(lab, ["get", "--force", `s3://${BUCKET}/object`, "/lab/received"]);
  const hashes = { sent: await sha256Of(sent), received: await sha256Of(received) };
  if (hashes.sent !== hashes.received) throw new OberError("the object that came back is not the one that was put");
  return hashes;
}

function loseProxy(lab: Lab, progress: Progress): Promise<Loss> {
  const node = lab.node("n2");
  return loseUnderLoad(lab, {
    node,
    title: `HAProxy killed on ${node.name} (SIGKILL)`,
    progress,
    fail: async () => {
      const haproxy = await node.mainProcessOf("ober-http.service");
      const at = now();
      signal(haproxy, "SIGKILL");
      return at;
    },
    recover: async () => {},
  });
}

function losePower(lab: Lab, progress: Progress): Promise<Loss> {
  const node = lab.node("n3");
  return loseUnderLoad(lab, {
    node,
    title: `power loss of ${node.name}`,
    progress,
    fail: async () => {
      const at = now();
      await node.powerOff();
      return at;
    },
    recover: () => node.boot(),
  });
}

/** Fails a node while new requests come in all the time, and waits until everything is as before. */
async function loseUnderLoad(
  lab: Lab,
  act: {
    readonly node: LabNode;
    readonly title: string;
    readonly progress: Progress;
    readonly fail: () => Promise<number>;
    readonly recover: () => Promise<void>;
  },
): Promise<Loss> {
  const { node, title, progress, fail, recover } = act;
  const content = randomBytes(64 * 1024);
  await Bun.write(join(SHARED_DIRECTORY, "loaded"), content);
  await s3cmd(lab, ["put", "/lab/loaded", `s3://${BUCKET}/loaded`]);
  const watch = await watchRoute(VIP);
  const load = startLoad({ bucket: BUCKET, object: { key: "loaded", content } });
  try {
    if (!(await load.succeeds(80, 0, 20_000))) throw new OberError(`the load does not get through before ${title}`);
    progress(`${title}, under 40 new requests a second`);
    const at = await fail();
    const goneMs = await watch.gone(node.address, at, 5_000);
    const routeDuring = await showRoute(VIP);
    await recover();
    const backMs = await watch.settled(
      lab.nodes().map(({ address }) => address),
      at + goneMs + 1,
      60_000,
    );
    const settledAt = now();
    if (!(await load.succeeds(80, settledAt, 20_000)))
      throw new OberError(`the load does not get through after ${title}`);
    const records = await load.stop();
    const inFlight = inFlightAt(records, at).filter(({ ok }) => !ok).length;
    return { title, goneMs, backMs: backMs + goneMs, routeDuring, inFlight, load: summarise(records, at) };
  } finally {
    await load.stop();
    await watch.stop();
  }
}

function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  // getRandomValues gives 64 KiB at most at a time.
  for (let offset = 0; offset < length; offset += 65_536)
    crypto.getRandomValues(bytes.subarray(offset, offset + 65_536));
  return bytes;
}

const known = ["--keep"];
const unknown = process.argv.slice(2).find((word) => !known.includes(word));
if (unknown !== undefined) {
  process.stderr.write(`error: unknown option '${unknown}'\nusage: scripts/demo [--keep]\n`);
  process.exit(2);
}
const progress = sayProgress();
try {
  await demo(progress, process.argv.includes("--keep"));
  progress("done");
} catch (error) {
  if (!(error instanceof OberError)) throw error;
  process.stderr.write(`error: ${error.message}\n${error.hint === undefined ? "" : `hint:  ${error.hint}\n`}`);
  process.exit(1);
}
