/**
 * Connections that say nothing: `bun idle-client.ts ADDRESS COUNT` opens them to port 443 and opens each again when it is closed, until SIGTERM.
 */
import { connect } from "node:tls";

const [address = "", count = ""] = process.argv.slice(2);
/** A server at its limit closes or refuses at once. */
const AGAIN_MS = 200;

function hold(): void {
  const socket = connect({ host: address, port: 443, rejectUnauthorized: false });
  socket.on("error", () => socket.destroy());
  socket.on("close", () => setTimeout(hold, AGAIN_MS));
}

for (let index = 0; index < Number(count); index++) hold();
