/** Writes the map in HAProxy's memory (domain/serves.ts), for the health loop, keepalived's check and the commands that leave traffic. */
export type MapPlace = {
  /** HAProxy's runtime socket. */
  readonly socket: string;
  /** The map as haproxy.cfg names it. */
  readonly map: string;
};

/** An HAProxy that hangs must delay no check and cost no memory: one command at a time, for at most this long. */
const TELL_MS = 500;

/**
 * Sets a key of the map in HAProxy's memory over its runtime socket; see HAProxy's management guide, "set map". Returns whether HAProxy accepted
 * it. Failures of HAProxy never throw.
 */
export function setMapKey(place: MapPlace, key: string, value: string): Promise<boolean> {
  return new Promise((resolve) => {
    let said = "";
    let done = false;
    const end = (taken: boolean, socket?: { terminate(): void }) => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      socket?.terminate();
      resolve(taken);
    };
    const timer = setTimeout(() => end(false), TELL_MS);
    Bun.connect({
      unix: place.socket,
      socket: {
        open(socket) {
          if (done) socket.terminate();
          else socket.write(`set map ${place.map} ${key} ${value}\n`);
        },
        data(socket, chunk) {
          said += chunk.toString("latin1").slice(0, 256);
          // An empty line ends the answer; an error precedes it.
          if (said.endsWith("\n\n") || said === "\n") end(said.trim() === "", socket);
        },
        close(socket) {
          end(said.trim() === "" && said !== "", socket);
        },
        error(socket) {
          end(false, socket);
        },
        connectError() {
          end(false);
        },
      },
    }).catch(() => end(false));
  });
}
