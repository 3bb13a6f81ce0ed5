/** RGWs by TLS: the real HAProxy of every Debian suite takes a server only when its certificate is the CA's and for its name. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import tls from "node:tls";
import { makePki, type Pki } from "../helpers/pki.ts";
import { until } from "../lab/process.ts";
import { enterNetwork, type Ingress, SERVER_PORT, SERVERS, startIngress } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { get, OK, request } from "./_peers.ts";

const NAME = "rgw.example.test";

let pki: Pki;
let foreign: Pki;
beforeAll(async () => {
  [pki, foreign] = await Promise.all([makePki([NAME, `DNS:${NAME}`]), makePki([NAME, `DNS:${NAME}`])]);
}, 60_000);

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let leave: () => void;
  const servers: tls.Server[] = [];
  /** What a server has seen of its clients: the name that it was asked by. */
  let asked: string[] = [];

  beforeAll(async () => {
    leave = await enterNetwork([tree]);
  }, 600_000);

  afterAll(() => {
    for (const server of servers) server.close();
    leave?.();
  });

  /** A server by TLS at the n-th address. */
  async function serve(index: number, from: Pki, name: string): Promise<void> {
    const cert = from(`${name}.crt`) + from("middle.crt");
    const server = tls.createServer({ cert, key: from(`${name}.key`), ALPNProtocols: ["http/1.1"] }, (socket) => {
      asked.push(String((socket as tls.TLSSocket & { servername?: string }).servername));
      socket.on("error", () => {});
      socket.on("data", () => socket.write(OK));
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(SERVER_PORT, SERVERS[index], resolve));
  }

  const stateOf = async (ingress: Ingress, index: number) => {
    const rows = await ingress.stat();
    const row = rows.find((one) => one["svname"] === `${SERVERS[index]}:${SERVER_PORT}`);
    return `${row?.["status"]} ${row?.["check_status"]}`;
  };

  test("the right one serves; a foreign CA's and another name's do not", async () => {
    asked = [];
    await serve(0, pki, "named");
    await serve(1, foreign, "named");
    await serve(2, pki, "leaf");
    await using ingress = await startIngress(tree, {
      servers: SERVERS.slice(0, 3),
      tls: { ca: pki("root.crt"), sni: NAME },
    });
    await until(
      "HAProxy has judged all three",
      async () =>
        (await Promise.all([0, 1, 2].map((index) => stateOf(ingress, index)))).every((state) =>
          /^(UP L7OK|DOWN)/.test(state),
        ),
      20_000,
    );
    expect(await stateOf(ingress, 0)).toBe("UP L7OK");
    expect(await stateOf(ingress, 1)).toBe("DOWN L6RSP");
    expect(await stateOf(ingress, 2)).toBe("DOWN L6RSP");
    for (let count = 0; count < 20; count++) expect((await request(get())).status).toBe(200);
    expect(new Set(asked)).toEqual(new Set([NAME]));
  }, 60_000);
});
