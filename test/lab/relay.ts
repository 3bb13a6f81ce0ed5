/**
 * A TCP relay: `bun relay.ts LISTEN-ADDRESS PORT TARGET-ADDRESS PORT`. Each RGW endpoint of the lab is one such process in
 * front of the same radosgw, so that an endpoint can be killed, stopped and started by itself while the objects stay.
 */
import { connect, createServer } from "node:net";

const [listenAddress = "", listenPort = "", targetAddress = "", targetPort = ""] = process.argv.slice(2);

const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const upstream = connect({ host: targetAddress, port: Number(targetPort), allowHalfOpen: true, noDelay: true });
  client.pipe(upstream).pipe(client);
  // A reset on one side must be seen as one on the other: a proxy retries differently after a clean end.
  client.on("error", () => upstream.resetAndDestroy());
  upstream.on("error", () => client.resetAndDestroy());
});

server.listen(Number(listenPort), listenAddress, 1024);
