/** Waits until a TXT record is visible where a CA looks: at every authoritative server of the zone. */
import { Resolver } from "node:dns/promises";
import { OberError } from "../../errors.ts";

const ASK_MS = 2000;
const PAUSE_MS = 1000;
const MOST_ALIASES = 8;

const resolver = () => new Resolver({ timeout: ASK_MS, tries: 2 });

/** Where the challenge of `name` belongs: a site may have an alias to a zone that ober may change. */
export async function challengeName(name: string): Promise<string> {
  let at = `_acme-challenge.${name.replace(/^\*\./, "")}`;
  for (let aliases = 0; aliases < MOST_ALIASES; aliases++) {
    const [target] = await orNone(() => resolver().resolveCname(at));
    if (target === undefined) return at;
    at = target.replace(/\.$/, "");
  }
  throw new OberError(`the alias at _acme-challenge.${name} leads in a circle`, {
    hint: `dig _acme-challenge.${name} CNAME`,
  });
}

/** Addresses of the servers of the zone that `name` is in. Throws an OberError if none can be found. */
async function authoritativeServers(name: string): Promise<{ zone: string; servers: readonly string[] }> {
  const labels = name.split(".");
  for (let cut = 0; cut < labels.length - 1; cut++) {
    const zone = labels.slice(cut).join(".");
    const names = await orNone(() => resolver().resolveNs(zone));
    if (names.length === 0) continue;
    const addresses = await Promise.all(
      names.map(async (server) => [
        ...(await orNone(() => resolver().resolve4(server))),
        ...(await orNone(() => resolver().resolve6(server))),
      ]),
    );
    const servers = [...new Set(addresses.flat())];
    if (servers.length > 0) return { zone, servers };
  }
  throw new OberError(`no name server of ${name} can be found from this node`, {
    hint: `dig ${name} NS; cat /etc/resolv.conf`,
  });
}

/**
 * Returns when every server that answers has all `values` at `name`. Throws an OberError after `timeoutMs`, or if no server
 * answers. A server that cannot be reached from here (such as an IPv6 address without an IPv6 route) does not count.
 */
export async function waitForTxt(name: string, values: readonly string[], timeoutMs: number): Promise<void> {
  const { zone, servers } = await authoritativeServers(name);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answers = await Promise.all(servers.map((server) => txtAt(server, name)));
    const missing = servers.filter((_, index) => {
      const found = answers[index];
      return found !== undefined && values.some((value) => !found.includes(value));
    });
    const silent = answers.every((found) => found === undefined);
    if (!silent && missing.length === 0) return;
    if (performance.now() > deadline) {
      const what = silent
        ? `no name server of ${zone} answers from here (${servers.join(", ")})`
        : `${missing.join(", ")} did not show the TXT record of ${name} within ${timeoutMs / 1000} s`;
      throw new OberError(what, {
        hint: `dig @${missing[0] ?? servers[0]} ${name} TXT; if the server is slow, raise certs.acme_dns_timeout`,
      });
    }
    await Bun.sleep(PAUSE_MS);
  }
}

/** Undefined if the server does not answer. */
async function txtAt(server: string, name: string): Promise<readonly string[] | undefined> {
  const one = resolver();
  one.setServers([server]);
  try {
    return (await one.resolveTxt(name)).map((parts) => parts.join(""));
  } catch (error) {
    return NOTHING.includes(codeOf(error)) ? [] : undefined;
  }
}

const NOTHING = ["ENODATA", "ENOTFOUND", "NODATA", "NOTFOUND"];
const codeOf = (error: unknown) =>
  error instanceof Error && "code" in error ? String(error.code).replace(/^DNS_/, "") : "";

/** A name server's answer; empty if it says that there is nothing, or does not answer. */
async function orNone(ask: () => Promise<string[]>): Promise<string[]> {
  try {
    return await ask();
  } catch {
    return [];
  }
}
