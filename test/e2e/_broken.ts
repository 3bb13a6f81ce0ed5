/** Nodes that somebody broke by hand: what is typed to break one, what `doctor` must name first, and what `why` must conclude. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { selfSigned } from "../helpers/certificate.ts";
import type { Lab, LabNode } from "../lab/lab.ts";
import { signal } from "../lab/process.ts";

export type Broken = {
  readonly what: string;
  /** A shell command on the node, or what the lab does. */
  readonly how: string | ((node: LabNode, lab: Lab) => Promise<unknown> | unknown);
  /** The id of the first finding, and what it says. */
  readonly first: readonly [id: string, says: RegExp];
  /** What `ober why` concludes; absent where the VIP is served all the same. */
  readonly why?: RegExp;
  readonly mend: Broken["how"];
  /** What an operator does, where `mend` is of the lab; docs/troubleshooting.md says it. */
  readonly remedy?: string;
  /** Tried in every run; the others with OBER_ROUNDS. */
  readonly always?: true;
};

// Ends with 1 where something is left that no repair mends, as in the lab.
const FIX = "{ /opt/ober/bin/ober doctor --fix -q >/dev/null || true; }";
const APPLY = "ober apply --yes -q";
const YAML = "/opt/ober/etc/ober.yaml";
const PEM = "/opt/ober/etc/certs/vip.pem";
const START = "ober start -q";
const edit = (script: string) => `cp ${YAML} /root/kept.yaml && sed -i '${script}' ${YAML}`;
const RESTORE = `mv /root/kept.yaml ${YAML}`;
const listener = (port: number) =>
  `printf 'defaults\\n timeout client 1s\\n timeout server 1s\\n timeout connect 1s\\nfrontend f\\n mode tcp\\n bind *:${port}\\n' > /root/f.cfg && haproxy -D -f /root/f.cfg -p /root/f.pid`;
const END_LISTENER = "kill $(cat /root/f.pid)";
const certificate = (days: number) => async (node: LabNode) => putPem(node, await selfSigned("s3.lab.example", days));
const KEEP_PEM = `cp -p ${PEM} /root/kept.pem`;
const BACK_PEM = `cp -p /root/kept.pem ${PEM}`;
const drop = (...matches: string[]) =>
  [
    "nft add table inet evil",
    "nft add chain inet evil in '{ type filter hook input priority 0; policy accept; }'",
    ...matches.map((match) => `nft add rule inet evil in ${match} drop`),
  ].join(" && ");
const OPEN = "nft delete table inet evil";

export const BROKEN: readonly Broken[] = [
  {
    what: "HAProxy's unit stopped",
    how: "systemctl stop ober-http",
    first: ["units", /ober-http.service does not run/],
    why: /ober-http.service does not run/,
    mend: START,
    always: true,
  },
  {
    what: "ExaBGP's unit stopped",
    how: "systemctl stop ober-bgp",
    first: ["units", /ober-bgp.service does not run/],
    why: /ober-bgp.service does not run/,
    mend: START,
  },
  {
    what: "BFD's unit stopped",
    how: "systemctl stop ober-bfd",
    first: ["units", /ober-bfd.service does not run/],
    mend: START,
  },
  {
    what: "the handover's unit stopped",
    how: "systemctl stop ober-handover",
    first: ["units", /ober-handover.service does not run/],
    mend: START,
  },
  {
    what: "the VIPs' unit stopped",
    how: "systemctl stop ober-vip",
    first: ["units", /ober-vip.service does not run/],
    why: /ober-vip.service does not run/,
    mend: START,
  },
  {
    what: "the node stopped",
    how: "ober stop -q --force",
    first: ["units", /the node is stopped/],
    why: /the node is stopped by root/,
    mend: START,
  },
  {
    what: "a unit not enabled",
    how: "systemctl disable ober-bgp",
    first: ["units", /ober-bgp.service runs, but is disabled/],
    mend: "systemctl enable ober-bgp",
    always: true,
  },
  {
    what: "a unit masked",
    how: "ln -sf /dev/null /etc/systemd/system/ober-bgp.service && systemctl daemon-reload && systemctl stop ober-bgp",
    first: ["units", /ober-bgp.service is inactive, masked/],
    why: /is inactive, masked/,
    mend: `systemctl unmask ober-bgp && ${APPLY} && ${START}`,
    always: true,
  },
  {
    what: "a unit's file gone",
    how: "systemctl stop ober-bgp && rm /etc/systemd/system/ober-bgp.service && systemctl daemon-reload",
    first: ["units", /ober-bgp.service is inactive, its unit file is missing/],
    why: /its unit file is missing/,
    mend: `${APPLY} && ${START}`,
  },
  {
    what: "a distribution's service running",
    how: "systemctl unmask bird && systemctl start bird",
    first: ["foreign-units", /bird.service runs beside/],
    mend: FIX,
  },
  {
    what: "the distribution's HAProxy no longer masked",
    how: "systemctl unmask haproxy",
    first: ["foreign-units", /haproxy.service may start/],
    mend: FIX,
  },
  {
    what: "a second HAProxy on 443",
    how: listener(443),
    first: ["ports", /haproxy \(pid \d+\) on 443 listens too/],
    mend: END_LISTENER,
    remedy: "stop that program",
    always: true,
  },
  {
    what: "a second HAProxy on 80",
    how: listener(80),
    first: ["ports", /on 80 listens too/],
    mend: END_LISTENER,
    remedy: "stop that program",
  },
  {
    what: "the VIP missing",
    how: "ip addr del 10.99.0.100/32 dev lo",
    first: ["vips", /10.99.0.100 not on this machine/],
    why: /10.99.0.100 not on this machine/,
    mend: FIX,
    always: true,
  },
  {
    what: "haproxy.cfg changed by hand",
    how: "echo '# mine' >> /opt/ober/etc/haproxy/haproxy.cfg",
    first: ["drift", /haproxy.cfg/],
    mend: APPLY,
    always: true,
  },
  {
    what: "a unit changed by hand",
    how: "echo '# mine' >> /etc/systemd/system/ober-bfd.service",
    first: ["drift", /ober-bfd.service/],
    mend: APPLY,
  },
  {
    what: "the list of VIPs emptied",
    how: ": > /opt/ober/etc/haproxy/vips.lst",
    first: ["drift", /vips.lst/],
    mend: APPLY,
  },
  {
    what: "ober.yaml no YAML any more",
    how: `echo 'vips: [' >> ${YAML}`,
    first: ["configuration", /looked at by generation \d+, which was applied last/],
    // What doctor says: the number of the generation is in it.
    mend: "$(ober doctor --only configuration --json | sed -n 's/.*\\(ober rollback [0-9]* --yes\\).*/\\1/p' | head -1)",
    remedy: "correct the file, or `ober rollback N --yes` with the number that `ober doctor` names",
    always: true,
  },
  {
    what: "an unknown key in ober.yaml",
    how: edit("s/hold_time/hold_tim/"),
    first: ["configuration", /hold_time/],
    mend: RESTORE,
    remedy: "correct the key; `ober config validate /opt/ober/etc/ober.yaml` names it",
  },
  {
    what: "ober.yaml edited and not applied",
    how: edit("s/hold_time: 3/hold_time: 9/"),
    first: ["applied", /edited and not applied/],
    mend: RESTORE,
    remedy: "`ober apply --yes`; to drop the edit: `ober rollback`",
  },
  {
    what: "the certificate expired",
    how: async (node) => {
      await sh(node, KEEP_PEM);
      await certificate(-1)(node);
    },
    first: ["certificate", /expired on/],
    mend: BACK_PEM,
    remedy: "put a valid certificate in its place; HAProxy takes it at once",
    always: true,
  },
  {
    what: "the certificate about to expire",
    how: async (node) => {
      await sh(node, KEEP_PEM);
      await certificate(1)(node);
    },
    first: ["certificate", /expires in 2[34] hours/],
    mend: BACK_PEM,
    remedy: "put a new certificate in its place; HAProxy takes it at once",
  },
  {
    what: "another certificate's key",
    how: async (node) => {
      await sh(node, KEEP_PEM);
      await putForeignKey(node);
    },
    first: ["certificate", /does not belong to its certificate/],
    mend: BACK_PEM,
    remedy: "put the certificate's own key into the file",
  },
  {
    what: "the key missing",
    how: `${KEEP_PEM} && sed -i '/PRIVATE KEY/,$d' ${PEM}`,
    first: ["certificate", /without its private key/],
    mend: BACK_PEM,
    remedy: "put the key into the file",
  },
  {
    what: "no certificate at all",
    how: `${KEEP_PEM} && rm ${PEM}`,
    first: ["certificate", /there is no certificate/],
    mend: BACK_PEM,
    remedy: "put a certificate there; `ober certs` shows where",
  },
  {
    what: "the key readable by everybody",
    how: `chmod 644 ${PEM}`,
    first: ["certificate", /everybody can read the key/],
    mend: FIX,
  },
  {
    what: "ober's link gone",
    how: "rm /usr/local/bin/ober",
    first: ["executable", /is missing/],
    mend: FIX,
  },
  {
    what: "ober's link to something else",
    how: "ln -sfn /bin/true /usr/local/bin/ober",
    first: ["executable", /is not this installation's/],
    mend: `rm /usr/local/bin/ober && ${FIX}`,
    remedy: "move that program away, then `ober doctor --fix`",
  },
  {
    what: "ober's executable writable by all",
    how: "chmod 777 /opt/ober/bin/ober",
    first: ["executable", /can be changed by others/],
    mend: FIX,
  },
  {
    what: "secrets readable by others",
    how: "mkdir -p /root/.ober && echo a=b > /root/.ober/login && chmod 644 /root/.ober/login",
    first: ["secrets", /can be read by others/],
    mend: "rm -r /root/.ober",
    remedy: "`chmod 600 ~/.ober/login`",
  },
  {
    what: "secrets that are none",
    how: "mkdir -p /root/.ober && echo nonsense > /root/.ober/login && chmod 600 /root/.ober/login",
    first: ["secrets", /expected key=/],
    mend: "rm -r /root/.ober",
    remedy: "correct `~/.ober/login`: one `key=value` a line",
  },
  {
    what: "the handover's table flushed",
    how: "nft delete table ip ober",
    first: ["handover", /its table is gone/],
    mend: FIX,
  },
  {
    what: "a kernel value changed",
    how: "echo 32768 60999 > /proc/sys/net/ipv4/ip_local_port_range",
    first: ["sysctl", /ip_local_port_range is 32768 60999/],
    mend: FIX,
    always: true,
  },
  {
    what: "port 179 closed",
    how: drop("tcp dport 179", "tcp sport 179"),
    first: ["bgp", /no router has a BGP session: no session with 10.77.0.1: .*no answer/],
    why: /no router has a BGP session/,
    mend: OPEN,
    remedy: "let TCP 179 through, in both directions",
    always: true,
  },
  {
    what: "BFD's port closed",
    how: drop("udp dport 3784"),
    first: ["bfd", /10.77.0.1 is Down/],
    mend: OPEN,
    remedy: "let UDP 3784 through, in both directions",
  },
  {
    what: "all RGWs dead",
    how: (_, lab) => Promise.all([1, 2, 3].map((index) => lab.stopEndpoint(index))),
    first: ["backends", /no RGW of s3 answers: rgw1:7480 is DOWN/],
    why: /no RGW of s3 answers/,
    mend: (_, lab) => Promise.all([1, 2, 3].map((index) => lab.startEndpoint(index))),
    remedy: "start the RGWs",
    always: true,
  },
  {
    what: "one RGW dead",
    how: (_, lab) => lab.stopEndpoint(1),
    first: ["backends", /^rgw1:7480 is DOWN \(Layer4/],
    mend: (_, lab) => lab.startEndpoint(1),
    remedy: "start that RGW",
  },
  {
    what: "one RGW hung",
    how: (_, lab) => lab.hangEndpoint(2),
    first: ["backends", /^rgw2:7480 is DOWN \(Layer7 timeout/],
    mend: (_, lab) => lab.resumeEndpoint(2),
    remedy: "restart that RGW",
  },
  {
    what: "a wrong AS number here",
    how: `${edit("s/local_as: 65001/local_as: 65009/")} && ${APPLY}`,
    first: ["bgp", /NOTIFICATION received: the AS number/],
    why: /NOTIFICATION received: the AS number/,
    mend: `${RESTORE} && ${APPLY}`,
    remedy: "correct `bgp.local_as`, then `ober apply --yes`",
    always: true,
  },
  {
    what: "a wrong AS number of the router",
    how: `${edit("s/peer_as: 65000/peer_as: 65008/")} && ${APPLY}`,
    first: ["bgp", /NOTIFICATION sent: the AS number/],
    why: /NOTIFICATION sent: the AS number/,
    mend: `${RESTORE} && ${APPLY}`,
    remedy: "correct `bgp.peer_as`, then `ober apply --yes`",
  },
  {
    what: "a router that is not there",
    how: `${edit("s/neighbors: .*/neighbors: [10.77.0.99]/")} && ${APPLY}`,
    first: ["bgp", /no session with 10.77.0.99/],
    why: /no router has a BGP session/,
    mend: `${RESTORE} && ${APPLY}`,
    remedy: "correct `bgp.neighbors`, then `ober apply --yes`",
  },
  {
    what: "a password that the router does not have",
    how: `mkdir -p /root/.ober && echo bgp_password=xyz > /root/.ober/login && chmod 600 /root/.ober/login && ${APPLY}`,
    first: ["bgp", /answers without the password that is set here/],
    why: /no router has a BGP session/,
    mend: `rm -r /root/.ober && ${APPLY}`,
    remedy: "take `bgp_password` out of `~/.ober/login`, or set it on the router; then `ober apply --yes`",
  },
  {
    what: "the cable cut",
    how: (node) => node.cut(),
    first: ["bgp", /no session/],
    why: /no router has a BGP session|no RGW/,
    mend: (node) => node.mend(),
    remedy: "repair the network between node and router",
  },
  {
    what: "the cable pulled",
    how: (node) => node.dropCarrier(),
    first: ["link", /eth0 has no link/],
    why: /eth0 has no link/,
    mend: (node) => node.mend(),
    remedy: "plug the cable in, or switch the port on",
    always: true,
  },
  {
    what: "drained",
    how: "ober drain -q --reason disks",
    first: ["drained", /drained .*by .*: disks/],
    why: /drained .*by .*: disks/,
    mend: "ober undrain -q",
    always: true,
  },
  {
    what: "drained by hand",
    how: "touch /opt/ober/var/drain",
    first: ["drained", /^drained$/],
    why: /: drained$/,
    mend: "rm /opt/ober/var/drain",
    remedy: "`ober undrain`",
  },
  {
    what: "HAProxy frozen",
    how: (node) => {
      for (const process of node.processesOf("ober-http.service")) signal(process, "SIGSTOP");
    },
    first: ["haproxy", /no answer .* hangs/],
    why: /no answer .* hangs/,
    // What doctor and why say; what hangs is killed, and systemd starts it with what is bound to it.
    mend: "systemctl kill --signal=SIGKILL ober-http.service",
    always: true,
  },
  {
    what: "a full disk",
    how: "mount -t tmpfs -o size=4m none /var/log",
    first: ["disk", /\/var\/log has [34] MiB left/],
    mend: "umount -l /var/log",
    remedy: "make room there",
    always: true,
  },
  {
    what: "a change that waits for its confirmation",
    how: `${edit("s/hold_time: 3/hold_time: 6/")} && ober apply --confirm 5 -q`,
    first: ["unconfirmed", /reverts in \d+ s unless you run: ober confirm/],
    mend: "ober confirm --undo -q",
  },
  {
    what: "an upgrade that was cut off",
    how: "mkdir -p /opt/ober/var/upgrade && echo '{}' > /opt/ober/var/upgrade/record.json",
    first: ["unconfirmed", /upgrade/],
    mend: "rm -r /opt/ober/var/upgrade",
    remedy: "`ober upgrade`",
  },
  {
    what: "ExaBGP's program gone",
    how: "mv /usr/sbin/exabgp /root/",
    first: ["programs", /exabgp not installed/],
    mend: "mv /root/exabgp /usr/sbin/",
    remedy: "`ober bootstrap` installs what is missing",
  },
  {
    what: "keepalived's program gone",
    how: "mv /usr/sbin/keepalived /root/",
    first: ["programs", /keepalived not installed/],
    mend: "mv /root/keepalived /usr/sbin/",
    remedy: "`ober bootstrap` installs what is missing",
  },
  {
    what: "HAProxy's program replaced under it",
    how: "cp -a /usr/sbin/haproxy /root/ && rm /usr/sbin/haproxy && mv /root/haproxy /usr/sbin/",
    first: ["replaced", /ober-http.service runs a program that was replaced/],
    mend: "systemctl restart ober-http",
    remedy: "`ober restart`",
  },
  {
    what: "an RGW whose name does not resolve",
    how: `${edit('s/servers: .*/servers: ["rgw[1-2]:7480", "nosuch:7480"]/')} && ${APPLY}`,
    first: ["server-names", /nosuch: name does not resolve/],
    mend: `${RESTORE} && ${APPLY}`,
    remedy: "correct DNS or the name; after a change of `ober.yaml`: `ober apply --yes`",
  },
  {
    what: "a VIP in the nodes' own network",
    how: `${edit("s/vips: .*/vips: [10.99.0.100, 10.77.0.77]/")} && ${APPLY}`,
    first: ["vip-networks", /10.77.0.77 is in 10.77.0.0/],
    mend: `${RESTORE} && ${APPLY}`,
    remedy: "give the VIP an address outside of the nodes' networks, then `ober apply --yes`",
  },
  {
    what: "the other nodes unknown",
    how: `${edit("/^nodes:/d")} && ${APPLY}`,
    first: ["handover", /the other nodes are not known/],
    mend: `${RESTORE} && ${APPLY}`,
    remedy: "list all nodes under `nodes`, then `ober apply --yes`",
  },
];

/** In keepalived mode; `why` is asked about the VIP that belongs to the node. */
export const BROKEN_VRRP: readonly Broken[] = [
  {
    what: "keepalived's unit stopped",
    how: "systemctl stop ober-ha",
    first: ["units", /ober-ha.service does not run/],
    why: /ober-ha.service does not run/,
    mend: START,
  },
  {
    what: "keepalived's unit masked",
    how: "ln -sf /dev/null /etc/systemd/system/ober-ha.service && systemctl daemon-reload && systemctl stop ober-ha",
    first: ["units", /ober-ha.service is inactive, masked/],
    why: /is inactive, masked/,
    mend: `systemctl unmask ober-ha && ${APPLY} && ${START}`,
  },
  {
    what: "VRRP closed by a firewall",
    how: drop("ip protocol 112"),
    first: ["vrrp", /two machines answer for/],
    mend: OPEN,
    remedy: "let IP protocol 112 through between all nodes",
  },
  {
    what: "a peer's VIP put here by hand",
    how: `for vip in 10.77.0.101 10.77.0.102 10.77.0.103; do ip -o addr show eth0 | grep -q " $vip/32" || { ip addr add $vip/32 dev eth0; break; }; done`,
    first: ["vrrp", /is on this machine although keepalived is BACKUP|two machines answer/],
    mend: "systemctl restart ober-ha",
  },
  {
    what: "HAProxy frozen",
    how: (node) => {
      for (const process of node.processesOf("ober-http.service")) signal(process, "SIGSTOP");
    },
    first: ["haproxy", /no answer .* hangs/],
    why: /no answer .* hangs/,
    // What doctor and why say; what hangs is killed, and systemd starts it with what is bound to it.
    mend: "systemctl kill --signal=SIGKILL ober-http.service",
  },
  {
    what: "more nodes than VIPs",
    how: `${edit("s/vips: .*/vips: [10.77.0.101, 10.77.0.102]/")} && ${APPLY}`,
    first: ["identity", /it assigns the VIPs to other owners/],
    mend: `${RESTORE} && ${APPLY}`,
    remedy: "put the same `ober.yaml` on all nodes, then `ober apply --yes`",
  },
  {
    what: "drained",
    how: "ober drain -q --reason disks",
    first: ["drained", /drained .*by .*: disks/],
    why: /drained .*by .*: disks.* serves it/,
    mend: "ober undrain -q",
  },
  {
    what: "keepalived frozen",
    how: (node) => {
      for (const process of node.processesOf("ober-ha.service")) signal(process, "SIGSTOP");
    },
    first: ["vrrp", /did not say its state|did not end|two machines answer/],
    mend: "systemctl kill --signal=SIGKILL ober-ha.service && systemctl start ober-ha.service",
  },
];

async function sh(node: LabNode, command: string): Promise<void> {
  await node.exec(["sh", "-c", command]);
}

function putPem(node: LabNode, pem: string): void {
  const file = join(node.root, PEM);
  writeFileSync(file, pem);
  chmodSync(file, 0o600);
}

async function putForeignKey(node: LabNode): Promise<void> {
  const [one, other] = await Promise.all(["a", "b"].map((name) => selfSigned(name)));
  const certificateOf = (pem = "") => pem.slice(0, pem.indexOf("-----BEGIN PRIVATE"));
  putPem(node, `${certificateOf(one)}${(other ?? "").slice(certificateOf(other).length)}`);
}
