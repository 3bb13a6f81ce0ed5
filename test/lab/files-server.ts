/**
 * A web server for the files of a directory: `bun files-server.ts ADDRESS PORT DIRECTORY [CERTIFICATE KEY]`. Asked as a proxy, it
 * answers with the file of that path, for whatever host; each request is a line of its output.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { join, normalize } from "node:path";

const [address = "", port = "", directory = "", cert, key] = process.argv.slice(2);
const serve: http.RequestListener = (request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://here");
  process.stdout.write(`${request.method} ${request.url}\n`);
  const file = join(directory, normalize(decodeURIComponent(pathname)));
  const found = existsSync(file) && statSync(file).isFile();
  response.writeHead(found ? 200 : 404).end(found ? readFileSync(file) : "no such file\n");
};
const server =
  cert === undefined || key === undefined
    ? http.createServer(serve)
    : https.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, serve);
server.listen(Number(port), address);
