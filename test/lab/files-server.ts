/** A web server for the files of a directory: `bun files-server.ts ADDRESS PORT DIRECTORY CERTIFICATE KEY`. */
import { join, normalize } from "node:path";

const [hostname = "", port = "", directory = "", cert = "", key = ""] = process.argv.slice(2);
Bun.serve({
  hostname,
  port: Number(port),
  tls: { cert: Bun.file(cert), key: Bun.file(key) },
  async fetch(request) {
    const file = Bun.file(join(directory, normalize(decodeURIComponent(new URL(request.url).pathname))));
    return (await file.exists()) ? new Response(file) : new Response("no such file", { status: 404 });
  },
});
