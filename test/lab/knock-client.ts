/**
 * Connections without a word on them: `bun knock-client.ts ADDRESS PORT HELD PER-SECOND`. Keeps HELD open, each opened anew when the other
 * side ends it, and opens PER-SECOND more that are given up after two seconds. Prints how many are open each second. SIGTERM ends it.
 */
import net from "node:net";

const [host = "", port = "", held = "", perSecond = ""] = process.argv.slice(2);
/** Connections that are being opened at a time. */
const OPENING = 200;

let open = 0;
let opening = 0;

function connect(onClose: () => void): net.Socket {
  const socket = net.connect({ host, port: Number(port) });
  opening++;
  let connected = false;
  socket.once("connect", () => {
    connected = true;
    opening--;
    open++;
  });
  socket.on("error", () => {});
  socket.once("close", () => {
    if (connected) open--;
    else opening--;
    onClose();
  });
  return socket;
}

let wanted = 0;
const hold = () => {
  wanted++;
  connect(() => {
    wanted--;
  });
};

const begin = performance.now();
let knocked = 0;
setInterval(() => {
  while (wanted < Number(held) && opening < OPENING) hold();
  for (; knocked < ((performance.now() - begin) / 1000) * Number(perSecond); knocked++) {
    const socket = connect(() => {});
    setTimeout(() => socket.destroy(), 2_000);
  }
}, 10);
setInterval(() => process.stdout.write(`${open}\n`), 1_000);
process.on("SIGTERM", () => process.exit(0));
