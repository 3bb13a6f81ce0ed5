/**
 * The storage behind the proxies for PUT: reads every body to its end, keeps nothing and answers 200; `GET /bytes` says how
 * much came. `sink.ts ADDRESS PEM`: plain on port 7481, TLS on 444.
 */
import { readFileSync } from "node:fs";
import type { Socket } from "bun";

type Connection = { head: string; left: number; path: string; close: boolean };

const [hostname = "", pemFile = ""] = process.argv.slice(2);
const pem = readFileSync(pemFile, "utf8");
let received = 0;

const socket = {
  open(peer: Socket<Connection>) {
    peer.data = { head: "", left: 0, path: "", close: false };
  },
  data(peer: Socket<Connection>, chunk: Buffer) {
    received += chunk.length;
    const connection = peer.data;
    let rest = chunk;
    while (rest.length > 0) {
      if (connection.left > 0) {
        const taken = Math.min(connection.left, rest.length);
        connection.left -= taken;
        rest = rest.subarray(taken);
      } else {
        const before = connection.head.length;
        connection.head += rest.toString("latin1");
        const end = connection.head.indexOf("\r\n\r\n");
        if (end < 0) return;
        rest = rest.subarray(end + 4 - before);
        connection.path = /^\S+ (\S+)/.exec(connection.head)?.[1] ?? "";
        connection.left = Number(/\r\ncontent-length: *(\d+)/i.exec(connection.head)?.[1] ?? 0);
        connection.close = / HTTP\/1\.0\r\n|\r\nconnection: *close/i.test(connection.head.slice(0, end + 2));
        connection.head = "";
      }
      if (connection.left === 0) answer(peer, connection);
    }
  },
};

function answer(peer: Socket<Connection>, { path, close }: Connection): void {
  const body = path === "/bytes" ? String(received) : "";
  peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${close ? "Connection: close\r\n" : ""}\r\n${body}`);
  if (close) peer.end();
}

Bun.listen<Connection>({ hostname, port: 7481, socket });
Bun.listen<Connection>({ hostname, port: 444, socket, tls: { cert: pem, key: pem } });
