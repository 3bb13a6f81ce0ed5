import type { Sighting } from "../domain/guard.ts";
import { type CanaryWord, canaryIn, IDENTITY_PATH, type Load, loadIn, servedIn } from "../domain/serves.ts";
import type { CanarySaid } from "./canary.ts";
import type { LoadSaid } from "./rebalance.ts";

/** Asks the other nodes what they serve, over their statistics ports, for as long as the loop runs. */
export type Peers = {
  /** What each last said. */
  readonly sightings: readonly (Sighting & CanarySaid & LoadSaid)[];
  /** To be called each second: asks those whose turn it is. */
  beat(): void;
};

/** Two beats: a node of sixteen then answers eight questions a second, which costs its HAProxy some thousandths of a core. */
const BEATS = 2;
const ASK_MS = 1_000;
/** More than a node says of 1,024 VIPs; what says more is not a node. */
const LONGEST = 128 * 1024;

/** Peers at `addresses`, whose statistics ports all are `port`. */
export function createPeers(addresses: readonly string[], port: number): Peers {
  const peers = addresses.map((address) => ({
    address,
    asking: false,
    answeredAt: undefined as number | undefined,
    serves: [] as readonly string[],
    canary: undefined as CanaryWord | undefined,
    load: undefined as Load | undefined,
  }));
  let beats = 0;
  return {
    get sightings() {
      return peers;
    },
    beat() {
      beats += 1;
      peers.forEach(async (peer, index) => {
        if (peer.asking || (beats + index) % BEATS !== 0) return;
        peer.asking = true;
        const body = await ask(peer.address, port);
        peer.asking = false;
        const serves = body === undefined ? undefined : servedIn(body);
        if (body === undefined || serves === undefined) return;
        Object.assign(peer, { serves, canary: canaryIn(body), load: loadIn(body), answeredAt: performance.now() });
      });
    },
  };
}

/** The body of the answer by HTTP/1.0, which ends with its connection; undefined for any other, for too long a one and for none in time. Never throws. */
function ask(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const decoder = new TextDecoder();
    let said = "";
    let done = false;
    const end = (body: string | undefined, socket?: { terminate(): void }) => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      socket?.terminate();
      resolve(body);
    };
    const timer = setTimeout(() => end(undefined), ASK_MS);
    Bun.connect({
      hostname: address,
      port,
      socket: {
        open(socket) {
          if (done) socket.terminate();
          else socket.write(`GET ${IDENTITY_PATH} HTTP/1.0\r\nhost: ${address}\r\nuser-agent: ober\r\n\r\n`);
        },
        data(socket, chunk) {
          said += decoder.decode(chunk, { stream: true });
          if (done || said.length > LONGEST) end(undefined, socket);
        },
        close() {
          const isGood = /^HTTP\/1\.[01] 200 /.test(said);
          const head = said.indexOf("\r\n\r\n");
          end(isGood && head > 0 ? said.slice(head + 4) : undefined);
        },
        error(socket) {
          end(undefined, socket);
        },
        connectError() {
          end(undefined);
        },
      },
    }).catch(() => end(undefined));
  });
}
