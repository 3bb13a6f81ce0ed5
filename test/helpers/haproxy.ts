/** A HAProxy as everything but its clients meets it: the statistics port, and the runtime socket. */
import { type AddressInfo, createServer, type ListenOptions, type Server } from "node:net";
import { IDENTITY_PATH } from "../../src/domain/serves.ts";
import type { Identity } from "../../src/render/identity.ts";

export type FakeHaproxy = Disposable & {
  readonly port: number;
  /** Commands that came over the socket. */
  readonly said: readonly string[];
  /** What it answers; a test changes it. */
  readonly now: {
    healthy: boolean;
    leaving: boolean;
    /** Seconds for which it has served each VIP. */
    serves: Readonly<Record<string, number>>;
    /** Its mark; a `set map` of the key "turn" over the socket sets it. */
    turn: Identity["turn"];
    /** The answer to `show stat`, on the port and on the socket. */
    stat: string;
    node: Identity["node"];
    /** Empty: it does not say. */
    version: string;
    /** Answers commands of the socket that nothing here answers. */
    others: (command: string) => string;
  };
};

/** Ends when it is disposed. `socket` is the path of the runtime socket, by the port; none without. Port 0 is one that is free. */
export async function fakeHaproxy({
  address = "127.0.0.1",
  port = 0,
  socket,
  ...given
}: { readonly address?: string; readonly port?: number; readonly socket?: (port: number) => string } & Partial<
  FakeHaproxy["now"]
> = {}): Promise<FakeHaproxy> {
  const said: string[] = [];
  const now: FakeHaproxy["now"] = {
    healthy: true,
    leaving: false,
    serves: {},
    turn: {},
    stat: "",
    node: { ober: "1.0.0", config: {} },
    version: "",
    others: () => "",
    ...given,
  };
  const page = (path: string): readonly [status: number, body: string] => {
    if (path === "/health") return [now.healthy ? 200 : 503, ""];
    if (path.startsWith("/stats")) return [200, now.stat];
    return path === IDENTITY_PATH ? [200, JSON.stringify(identityOf(now))] : [404, ""];
  };
  const http = await listening({ host: address, port }, (text) => {
    const [status, body] = page(text.split(" ")[1] ?? "");
    return `HTTP/1.0 ${status} X\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  });
  const answer = (command: string) => {
    said.push(command);
    if (command === "show stat") return now.stat;
    // Another worker at each question, as after a reload.
    if (command === "show info") return `Pid: ${100 + said.length}\nVersion: ${now.version}\n`;
    const [, turn] = /^set map \S+ turn (.*)$/.exec(command) ?? [];
    if (turn === undefined) return now.others(command);
    now.turn = JSON.parse(turn);
    return "";
  };
  const { port: taken } = http.address() as AddressInfo;
  const unix =
    socket === undefined ? undefined : await listening({ path: socket(taken) }, (text) => `${answer(text.trim())}\n`);
  return {
    port: taken,
    said,
    now,
    [Symbol.dispose]() {
      http.close();
      unix?.close();
    },
  };
}

/** A server that answers each connection once, and ends it. */
function listening(at: ListenOptions, answer: (text: string) => string): Promise<Server> {
  const server = createServer((client) => {
    client.on("error", () => {});
    client.on("data", (text) => client.end(answer(text.toString())));
  });
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(at, () => resolve(server));
  });
}

function identityOf({ leaving, serves, turn, node }: FakeHaproxy["now"]): Identity {
  const at = Math.floor(Date.now() / 1000);
  const vips = Object.fromEntries(Object.entries(serves).map(([vip, seconds]) => [vip, at - seconds]));
  return { leaving, now: at, serves: { at, vips }, turn, node };
}
