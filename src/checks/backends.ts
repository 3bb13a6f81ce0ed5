import { showStat, unresolvedServers } from "../system/haproxy-socket.ts";
import { unitState } from "../system/systemd.ts";
import { pass, skip, type Verdict, warn } from "./check.ts";
import type { Host } from "./host-config.ts";

/** Servers that HAProxy has no address for: it asks for names only when it starts or reloads. */
export async function checkServerNames({ system, paths, isRoot }: Host): Promise<Verdict> {
  if (!paths || (await unitState(system, "ober-http.service")).mainPid === 0) return skip("HAProxy does not run");
  if (!isRoot) return skip("needs root");
  const names = unresolvedServers(await showStat(paths.haproxySocket));
  return names.length === 0
    ? pass("every server has an address")
    : warn(
        `${names.join(", ")} did not resolve when HAProxy started, and it does not ask again`,
        `getent hosts ${names[0]?.replace(/:\d+$/, "")}; when that answers: ober restart --reload-only`,
      );
}
