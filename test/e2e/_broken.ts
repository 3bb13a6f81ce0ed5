/** Nodes that somebody broke by hand: what is typed to break one, what `doctor` must name first, and what `why` must conclude. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { selfSigned } from "../helpers/certificate.ts";
import type { Lab, LabNode } from "../lab/lab.ts";
import { inNamespace, inTools } from "../lab/network.ts";
import { endpointAddress, STORAGE, VIP } from "../lab/places.ts";
import { run, signal } from "../lab/process.ts";
import { startBackend } from "../lab/storage.ts";

export type Broken = {
  readonly what: string;
  /** A shell command on the node, or what the lab does. */
  readonly how: string | ((node: LabNode, lab: Lab) => Promise<unknown> | unknown);
  /** The id of the first finding, and what it says. */
  readonly first: readonly [id: string, says: RegExp];
  /** What `ober why` concludes; absent where the VIP is served all the same. */
  readonly why?: RegExp;
  /** Tried in every run; the others with OBER_ROUNDS. */
  readonly always?: true;
  /** Longer than most take until all is well, in milliseconds. */
  readonly wellWithinMs?: number;
  /** What the lab still takes away when the fault is mended. */
  readonly after?: Broken["how"];
} & (Said | Act);

/** The command that ober's fix names: it is taken from there and typed as it stands. N is a number. */
type Said = { readonly mends: string; readonly mend?: never; readonly fix?: never; readonly remedy?: never };

/** What no command does: the lab does it, the fix must ask for it, and docs/troubleshooting.md says it as `remedy`. */
type Act = { readonly mends?: never; readonly mend: Broken["how"]; readonly fix: RegExp; readonly remedy: string };

const APPLY = "ober apply --yes -q";
const YAML = "/opt/ober/etc/ober.yaml";
const PEM = "/opt/ober/etc/certs/vip.pem";
const edit = (script: string) => `cp ${YAML} /root/kept.yaml && sed -i '${script}' ${YAML}`;
const RESTORE = `mv /root/kept.yaml ${YAML}`;
const listener = (port: number) =>
  `printf 'defaults\\n timeout client 1s\\n timeout server 1s\\n timeout connect 1s\\nfrontend f\\n mode tcp\\n bind *:${port}\\n' > /root/f.cfg && haproxy -D -f /root/f.cfg -p /root/f.pid`;
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
    mends: "ober start",
    always: true,
  },
  {
    what: "ExaBGP's unit stopped",
    how: "systemctl stop ober-bgp",
    first: ["units", /ober-bgp.service does not run/],
    why: /ober-bgp.service does not run/,
    mends: "ober start",
  },
  {
    what: "BFD's unit stopped",
    how: "systemctl stop ober-bfd",
    first: ["units", /ober-bfd.service does not run/],
    mends: "ober start",
  },
  {
    what: "the handover's unit stopped",
    how: "systemctl stop ober-handover",
    first: ["units", /ober-handover.service does not run/],
    mends: "ober start",
  },
  {
    what: "the VIPs' unit stopped",
    how: "systemctl stop ober-vip",
    first: ["units", /ober-vip.service does not run/],
    why: /ober-vip.service does not run/,
    mends: "ober start",
  },
  {
    what: "the node stopped",
    how: "ober stop -q --force",
    first: ["units", /the node is stopped/],
    why: /the node is stopped by root/,
    mends: "ober start",
  },
  {
    what: "a unit not enabled",
    how: "systemctl disable ober-bgp",
    first: ["units", /ober-bgp.service runs, but is disabled/],
    mends: "systemctl enable ober-bgp.service",
  },
  {
    what: "a unit masked",
    how: "ln -sf /dev/null /etc/systemd/system/ober-bgp.service && systemctl daemon-reload && systemctl stop ober-bgp",
    first: ["units", /ober-bgp.service is inactive, masked/],
    why: /is inactive, masked/,
    mends: "systemctl unmask ober-bgp.service && ober apply --yes && ober start",
  },
  {
    what: "a unit's file gone",
    how: "systemctl stop ober-bgp && rm /etc/systemd/system/ober-bgp.service && systemctl daemon-reload",
    first: ["units", /ober-bgp.service is inactive, its unit file is missing/],
    why: /its unit file is missing/,
    mends: "ober apply --yes && ober start",
  },
  {
    what: "a distribution's service running",
    how: "systemctl unmask bird && systemctl start bird",
    first: ["foreign-units", /bird.service runs beside/],
    mends: "systemctl disable --now bird.service && systemctl mask bird.service",
  },
  {
    what: "the distribution's HAProxy no longer masked",
    how: "systemctl unmask haproxy",
    first: ["foreign-units", /haproxy.service may start/],
    mends: "systemctl mask haproxy.service",
  },
  {
    what: "a second HAProxy on 443",
    how: listener(443),
    first: ["ports", /haproxy \(pid \d+\) on 443 listens too/],
    mends: "kill N",
    always: true,
  },
  {
    what: "a second HAProxy on 80",
    how: listener(80),
    first: ["ports", /on 80 listens too/],
    mends: "kill N",
  },
  {
    what: "the VIP missing",
    how: "ip addr del 10.99.0.100/32 dev lo",
    first: ["vips", /10.99.0.100 not on this machine/],
    why: /10.99.0.100 not on this machine/,
    mends: "ober doctor --fix",
    always: true,
  },
  {
    what: "haproxy.cfg changed by hand",
    how: "echo '# mine' >> /opt/ober/etc/haproxy/haproxy.cfg",
    first: ["drift", /haproxy.cfg/],
    mends: "ober apply --yes",
  },
  {
    what: "a unit changed by hand",
    how: "echo '# mine' >> /etc/systemd/system/ober-bfd.service",
    first: ["drift", /ober-bfd.service/],
    mends: "ober apply --yes",
  },
  {
    what: "the list of VIPs emptied",
    how: ": > /opt/ober/etc/haproxy/vips.lst",
    first: ["drift", /vips.lst/],
    mends: "ober apply --yes",
  },
  {
    what: "ober.yaml no YAML any more",
    how: `echo 'vips: [' >> ${YAML}`,
    first: ["configuration", /looked at by generation \d+, which was applied last/],
    mends: "ober rollback N --yes",
    always: true,
  },
  {
    what: "an unknown key in ober.yaml",
    how: edit("s/hold_time/hold_tim/"),
    first: ["configuration", /hold_time/],
    mends: "ober rollback N --yes",
  },
  {
    what: "ober.yaml edited and not applied",
    how: edit("s/hold_time: 3/hold_time: 9/"),
    first: ["applied", /edited and not applied/],
    mends: "ober apply --yes",
    after: `${RESTORE} && ${APPLY}`,
  },
  {
    what: "the certificate expired",
    how: async (node) => {
      await sh(node, KEEP_PEM);
      await certificate(-1)(node);
    },
    first: ["certificate", /expired on/],
    mend: BACK_PEM,
    fix: /^renew it/,
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
    fix: /^renew it/,
    remedy: "put a new certificate in its place; HAProxy takes it at once",
  },
  {
    what: "a certificate without a name that the last one had",
    how: async (node) => {
      await sh(node, KEEP_PEM);
      // The last one has been there for long.
      await sh(node, "sed -i 's/20[0-9][0-9]-[^\"]*Z/2020-01-01T00:00:00.000Z/' /opt/ober/var/certificate-names.json");
      await certificate(300)(node);
    },
    first: ["certificate", /no longer for .*s3.example.org.*, as the one before was/],
    mend: BACK_PEM,
    fix: /^have it issued with th(at|ose) names? too/,
    remedy: "have it issued with that name too; HAProxy takes it at once",
  },
  {
    what: "another certificate's key",
    how: async (node) => {
      await sh(node, KEEP_PEM);
      await putForeignKey(node);
    },
    first: ["certificate", /does not belong to its certificate/],
    mend: BACK_PEM,
    fix: /key/,
    remedy: "put the certificate's own key into the file",
  },
  {
    what: "the key missing",
    how: `${KEEP_PEM} && sed -i '/PRIVATE KEY/,$d' ${PEM}`,
    first: ["certificate", /without its private key/],
    mend: BACK_PEM,
    fix: /key/,
    remedy: "put the key into the file",
  },
  {
    what: "no certificate at all",
    how: `${KEEP_PEM} && rm ${PEM}`,
    first: ["certificate", /there is no certificate/],
    mend: BACK_PEM,
    fix: /certificate/,
    remedy: "put a certificate there; `ober certs` shows where",
  },
  {
    what: "the key readable by everybody",
    how: `chmod 644 ${PEM}`,
    first: ["certificate", /everybody can read the key/],
    mends: "chmod 600 /opt/ober/etc/certs/vip.pem",
  },
  {
    what: "ober's link gone",
    how: "rm /usr/local/bin/ober",
    first: ["executable", /is missing/],
    mends: "ln -s /opt/ober/bin/ober /usr/local/bin/ober",
  },
  {
    what: "ober's link to something else",
    how: "ln -sfn /bin/true /usr/local/bin/ober",
    first: ["executable", /is not this installation's/],
    mends: "mv /usr/local/bin/ober /usr/local/bin/ober.before && ln -s /opt/ober/bin/ober /usr/local/bin/ober",
    after: "rm /usr/local/bin/ober.before",
  },
  {
    what: "ober's executable writable by all",
    how: "chmod 777 /opt/ober/bin/ober",
    first: ["executable", /can be changed by others/],
    mends: "chmod 755 /opt/ober/bin/ober",
  },
  {
    what: "secrets readable by others",
    how: "mkdir -p /root/.ober && echo a=b > /root/.ober/login && chmod 644 /root/.ober/login",
    first: ["secrets", /can be read by others/],
    mends: "chmod 600 /root/.ober/login",
    after: "rm -r /root/.ober",
  },
  {
    what: "secrets that are none",
    how: "mkdir -p /root/.ober && echo nonsense > /root/.ober/login && chmod 600 /root/.ober/login",
    first: ["secrets", /line 1: must be a key, = and a value/],
    mend: "rm -r /root/.ober",
    fix: /each line is a key, = and its value/,
    remedy: "correct `~/.ober/login`: one `key=value` a line",
  },
  {
    what: "the handover's table flushed",
    how: "nft delete table ip ober",
    first: ["handover", /its table is gone/],
    mends: "systemctl restart ober-handover.service",
  },
  {
    what: "a kernel value changed",
    how: "echo 32768 60999 > /proc/sys/net/ipv4/ip_local_port_range",
    first: ["sysctl", /ip_local_port_range is 32768 60999/],
    mends: "sysctl -p /etc/sysctl.d/99-herr-ober.conf",
  },
  {
    what: "port 179 closed",
    how: drop("tcp dport 179", "tcp sport 179"),
    first: ["bgp", /no router has a BGP session: no session with 10.77.0.1: .*no answer/],
    why: /no router has a BGP session/,
    mend: OPEN,
    fix: /TCP 179 to 10.77.0.1 must pass/,
    remedy: "let TCP 179 through, in both directions",
    always: true,
  },
  {
    what: "BFD's port closed",
    how: drop("udp dport 3784"),
    first: ["bfd", /10.77.0.1 is Down/],
    mend: OPEN,
    fix: /let UDP 3784 through/,
    remedy: "let UDP 3784 through, in both directions",
  },
  {
    what: "all RGWs dead",
    how: (_, lab) => Promise.all([1, 2, 3].map((index) => lab.stopEndpoint(index))),
    first: ["backends", /no RGW of s3 answers: rgw1:7480 is DOWN/],
    why: /no RGW of s3 answers/,
    mend: (_, lab) => Promise.all([1, 2, 3].map((index) => lab.startEndpoint(index))),
    fix: /^start the RGWs/,
    remedy: "start the RGWs",
    always: true,
  },
  {
    what: "one RGW dead",
    how: (_, lab) => lab.stopEndpoint(1),
    first: ["backends", /^rgw1:7480 is DOWN \(Layer4/],
    mend: (_, lab) => lab.startEndpoint(1),
    fix: /^start that RGW/,
    remedy: "start that RGW",
  },
  {
    what: "one RGW hung",
    how: (_, lab) => lab.hangEndpoint(2),
    first: ["backends", /^rgw2:7480 is DOWN \(Layer7 timeout/],
    mend: (_, lab) => lab.resumeEndpoint(2),
    fix: /^start that RGW/,
    remedy: "restart that RGW",
  },
  {
    what: "a wrong AS number here",
    how: `${edit("s/local_as: 65001/local_as: 65009/")} && ${APPLY}`,
    first: ["bgp", /NOTIFICATION received: the AS number/],
    why: /NOTIFICATION received: the AS number/,
    mend: `${RESTORE} && ${APPLY}`,
    fix: /bgp.local_as and bgp.peer_as in ober.yaml, then: ober apply/,
    remedy: "correct `bgp.local_as`, then `ober apply --yes`",
  },
  {
    what: "a wrong AS number of the router",
    how: `${edit("s/peer_as: 65000/peer_as: 65008/")} && ${APPLY}`,
    first: ["bgp", /NOTIFICATION sent: the AS number/],
    why: /NOTIFICATION sent: the AS number/,
    mend: `${RESTORE} && ${APPLY}`,
    fix: /bgp.local_as and bgp.peer_as in ober.yaml, then: ober apply/,
    remedy: "correct `bgp.peer_as`, then `ober apply --yes`",
  },
  {
    what: "a router that is not there",
    how: `${edit("s/neighbors: .*/neighbors: [10.77.0.99]/")} && ${APPLY}`,
    first: ["bgp", /no session with 10.77.0.99/],
    why: /no router has a BGP session/,
    mend: `${RESTORE} && ${APPLY}`,
    fix: /this node's neighbor entry/,
    remedy: "correct `bgp.neighbors`, then `ober apply --yes`",
  },
  {
    what: "a password that the router does not have",
    how: `mkdir -p /root/.ober && echo bgp_password=xyz > /root/.ober/login && chmod 600 /root/.ober/login && ${APPLY}`,
    first: ["bgp", /answers without the password that is set here/],
    why: /no router has a BGP session/,
    mend: `rm -r /root/.ober && ${APPLY}`,
    fix: /bgp_password in ~.*, then: ober apply/,
    remedy: "take `bgp_password` out of `~/.ober/login`, or set it on the router; then `ober apply --yes`",
  },
  {
    what: "the cable cut",
    how: (node) => node.cut(),
    first: ["bgp", /no session/],
    why: /no router has a BGP session|no RGW/,
    mend: (node) => node.mend(),
    fix: /TCP 179 to 10.77.0.1 must pass/,
    remedy: "repair the network between node and router",
  },
  {
    what: "the cable pulled",
    how: (node) => node.dropCarrier(),
    first: ["link", /eth0 has no link/],
    why: /eth0 has no link/,
    mend: (node) => node.mend(),
    fix: /plug the cable of eth0 in/,
    remedy: "plug the cable in, or switch the port on",
    always: true,
  },
  {
    what: "drained",
    how: "ober drain -q --reason disks",
    first: ["drained", /drained .*by .*: disks/],
    why: /drained .*by .*: disks/,
    mends: "ober undrain",
    always: true,
  },
  {
    what: "drained by hand",
    how: "touch /opt/ober/var/drain",
    first: ["drained", /^drained$/],
    why: /: drained$/,
    mends: "ober undrain",
  },
  {
    what: "HAProxy frozen",
    how: (node) => {
      for (const process of node.processesOf("ober-http.service")) signal(process, "SIGSTOP");
    },
    first: ["haproxy", /no answer .* hangs/],
    why: /no answer .* hangs/,
    mends: "systemctl kill --signal=SIGKILL ober-http.service",
    always: true,
  },
  {
    what: "a full disk",
    how: "mount -t tmpfs -o size=4m none /var/log",
    first: ["disk", /\/var\/log has [34] MiB left/],
    mend: "umount -l /var/log",
    fix: /make room on .var.log/,
    remedy: "make room there",
    always: true,
  },
  {
    what: "a change that waits for its confirmation",
    how: `${edit("s/hold_time: 3/hold_time: 6/")} && ober apply --confirm 5 -q`,
    first: ["unconfirmed", /reverts in \d+ s unless you run: ober confirm/],
    mends: "ober confirm",
    after: `${RESTORE} && ${APPLY}`,
  },
  {
    what: "an upgrade that was cut off",
    how: `mkdir -p /opt/ober/var/upgrade && echo '{"at": "2026-01-01T00:00:00Z", "by": "ann", "packages": []}' > /opt/ober/var/upgrade/record.json`,
    first: ["unconfirmed", /an upgrade of packages was cut off/],
    mends: "ober upgrade",
  },
  {
    what: "the record of an upgrade damaged",
    how: "mkdir -p /opt/ober/var/upgrade && echo '{}' > /opt/ober/var/upgrade/record.json",
    first: ["records", /upgrade.record.json is damaged/],
    mends: "rm -r /opt/ober/var/upgrade && ober recover && ober apply --yes && ober upgrade",
  },
  {
    what: "ExaBGP's program gone",
    how: "rm /usr/sbin/exabgp",
    first: ["programs", /exabgp not installed/],
    mends: "apt-get install --reinstall -y python3-exabgp exabgp",
  },
  {
    what: "keepalived's program gone",
    how: "rm /usr/sbin/keepalived",
    first: ["programs", /keepalived not installed/],
    mends: "apt-get install --reinstall -y keepalived",
  },
  {
    what: "HAProxy's program replaced under it",
    how: "cp -a /usr/sbin/haproxy /root/ && rm /usr/sbin/haproxy && mv /root/haproxy /usr/sbin/",
    first: ["replaced", /ober-http.service runs a program that was replaced/],
    mends: "ober restart",
  },
  {
    what: "an RGW whose name does not resolve",
    how: `${edit('s/servers: .*/servers: ["rgw[1-2]:7480", "nosuch:7480"]/')} && ${APPLY}`,
    first: ["server-names", /nosuch: name does not resolve/],
    mend: `${RESTORE} && ${APPLY}`,
    fix: /correct DNS or .etc.hosts .getent ahosts nosuch/,
    remedy: "correct DNS or the name; after a change of `ober.yaml`: `ober apply --yes`",
  },
  {
    what: "a VIP in the nodes' own network",
    how: `${edit("s/vips: .*/vips: [10.99.0.100, 10.77.0.77]/")} && ${APPLY}`,
    first: ["vip-networks", /10.77.0.77 is in 10.77.0.0/],
    mend: `${RESTORE} && ${APPLY}`,
    fix: /choose VIPs outside of the nodes' networks in ober.yaml, then: ober apply/,
    remedy: "give the VIP an address outside of the nodes' networks, then `ober apply --yes`",
  },
  {
    what: "the interface down",
    how: "ip link set eth0 down",
    first: ["link", /^eth0 is down$/],
    why: /eth0 is down/,
    // The kernel forgets the routes of an interface that goes down, which is the next finding.
    mends: "ip link set eth0 up",
  },
  {
    what: "no default route",
    how: "ip route del default",
    first: ["link", /no default route: clients behind the router get no answer/],
    mends: "ip route add default via 10.77.0.1",
    always: true,
  },
  {
    what: "an RGW to which there is no route",
    how: "ip route add unreachable 10.66.0.11",
    first: ["backends", /^rgw1:7480 is DOWN .*(unreachable|No route to host)/],
    mend: "ip route del unreachable 10.66.0.11",
    fix: /^give this machine a route to rgw1/,
    remedy: "give the machine a route to the RGW",
  },
  {
    what: "an RGW that answers its check and fails requests",
    how: async (node, lab) => {
      await standIn(lab, "failing");
      await requests(node, 200);
    },
    first: ["errors", /^rgw1:7480 answered 5xx to \d+ of \d+ requests in the last \d+ s/],
    mend: async (node, lab) => {
      await standBack(lab);
      await requests(node, 600);
    },
    fix: /the log of that RGW says why/,
    remedy: "mend that RGW; its own log says what ails it",
    wellWithinMs: 120_000,
  },
  {
    what: "an RGW whose clock is wrong",
    how: (_, lab) => standIn(lab, "fast-clock"),
    first: ["clock", /^rgw1:7480 is \d+ s ahead of this machine/],
    mend: (_, lab) => standBack(lab),
    fix: /on the one whose clock is wrong .*: timedatectl set-ntp true/,
    remedy: "set the clock of the one that is wrong: `timedatectl set-ntp true`",
  },
  {
    what: "clients at the limit of connections",
    how: async (node) => {
      await sh(node, `${set("max_connections: 20")} && ${APPLY}`);
      holdConnections(node, 25);
    },
    first: ["saturation", /^(19|20) of 20 connections of clients, new clients wait/],
    mend: async (node) => {
      await letGo();
      await sh(node, `${RESTORE} && ${APPLY}`);
    },
    fix: /more nodes, or a larger max_connections in ober.yaml/,
    remedy: "more nodes, or a larger `max_connections`, then `ober apply`",
  },
  {
    what: "one client at its limit of connections",
    how: async (node) => {
      await sh(node, `${set("max_connections_per_client: 5")} && ${APPLY}`);
      holdConnections(node, 6);
    },
    first: ["saturation", /has all that one client gets \(5\)/],
    mend: async (node) => {
      await letGo();
      await sh(node, `${RESTORE} && ${APPLY}`);
    },
    fix: /a larger max_connections_per_client in ober.yaml/,
    remedy: "fewer connections in that client, or a larger `max_connections_per_client`, then `ober apply`",
  },
  {
    what: "the journal of bootstrap damaged",
    how: "echo '{' > /opt/ober/var/journal.json",
    first: ["records", /journal.json is damaged/],
    mends: "ober bootstrap /opt/ober",
    always: true,
  },
  {
    what: "the list of ober's files lost",
    how: "rm /opt/ober/var/owned.json",
    first: ["records", /lost: .*owned.json/],
    mends: "ober bootstrap /opt/ober",
  },
  {
    what: "the newest generation damaged",
    how: "ls /opt/ober/var/generations/*.json | sort -V | tail -1 | xargs sh -c ': > $0'",
    first: ["records", /generations.*json is damaged: it is empty/],
    mends: "rm /opt/ober/var/generations/N.json && ober apply --yes",
  },
  {
    what: "the record of a change damaged",
    how: "mkdir -p /opt/ober/var/transaction && echo nonsense > /opt/ober/var/transaction/state.json",
    first: ["records", /state.json is damaged/],
    mends: "rm /opt/ober/var/transaction/state.json && ober apply --yes",
  },
  {
    what: "HAProxy's configuration writable by all",
    how: "chmod 777 /opt/ober/etc/haproxy",
    first: ["steered", /^\/opt\/ober\/etc\/haproxy can be changed by others/],
    mends: "chown root:root /opt/ober/etc/haproxy && chmod go-w /opt/ober/etc/haproxy",
  },
  {
    what: "a unit's file of another user",
    how: "chown 65534 /etc/systemd/system/ober-http.service",
    first: ["steered", /ober-http.service belongs to the user with the ID 65534/],
    mends: "chown root:root /etc/systemd/system/ober-http.service && chmod go-w /etc/systemd/system/ober-http.service",
  },
  {
    what: "the interpreter of ExaBGP gone",
    how: "mv /usr/bin/python3 /root/",
    first: ["programs", /exabgp does not start: .*python3/],
    mends: "apt-get install --reinstall -y python3-minimal",
    after: "rm -f /root/python3",
  },
  {
    what: "the other nodes unknown",
    how: `${edit("/^nodes:/d")} && ${APPLY}`,
    first: ["handover", /the other nodes are not known/],
    mend: `${RESTORE} && ${APPLY}`,
    fix: /list all nodes under `nodes` in ober.yaml, then: ober apply/,
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
    mends: "ober start",
  },
  {
    what: "keepalived's unit masked",
    how: "ln -sf /dev/null /etc/systemd/system/ober-ha.service && systemctl daemon-reload && systemctl stop ober-ha",
    first: ["units", /ober-ha.service is inactive, masked/],
    why: /is inactive, masked/,
    mends: "systemctl unmask ober-ha.service && ober apply --yes && ober start",
  },
  {
    what: "VRRP closed by a firewall",
    how: drop("ip protocol 112"),
    first: ["vrrp", /two machines answer for/],
    mend: OPEN,
    fix: /let IP protocol 112/,
    remedy: "let IP protocol 112 through between all nodes",
  },
  {
    what: "a VIP that a machine beside the nodes answers for",
    how: () => routerHas("add"),
    first: ["vrrp", /two machines answer for 10.77.0.101: .*a machine with the address/],
    mend: () => routerHas("del"),
    fix: /take the VIP off the machine with the address [0-9a-f:]+/,
    remedy: "take the address off that machine; the switch knows the port of its MAC address",
  },
  {
    what: "a peer's VIP put here by hand",
    how: `for vip in 10.77.0.101 10.77.0.102 10.77.0.103; do ip -o addr show eth0 | grep -q " $vip/32" || { ip addr add $vip/32 dev eth0; break; }; done`,
    first: ["vrrp", /is on this machine although keepalived is BACKUP|two machines answer/],
    mends: "ip addr del 10.77.0.N/32 dev eth0",
  },
  {
    what: "HAProxy frozen",
    how: (node) => {
      for (const process of node.processesOf("ober-http.service")) signal(process, "SIGSTOP");
    },
    first: ["haproxy", /no answer .* hangs/],
    why: /no answer .* hangs/,
    mends: "systemctl kill --signal=SIGKILL ober-http.service",
  },
  {
    what: "more nodes than VIPs",
    how: `${edit("s/vips: .*/vips: [10.77.0.101, 10.77.0.102]/")} && ${APPLY}`,
    first: ["identity", /it assigns the VIPs to other owners/],
    mend: `${RESTORE} && ${APPLY}`,
    fix: /ober.yaml/,
    remedy: "put the same `ober.yaml` on all nodes, then `ober apply --yes`",
  },
  {
    what: "drained",
    how: "ober drain -q --reason disks",
    first: ["drained", /drained .*by .*: disks/],
    why: /drained .*by .*: disks.* serves it/,
    mends: "ober undrain",
  },
  {
    what: "keepalived frozen",
    how: (node) => {
      for (const process of node.processesOf("ober-ha.service")) signal(process, "SIGSTOP");
    },
    first: ["vrrp", /keepalived did not say its state/],
    why: /is not known: keepalived did not say its state/,
    mends: "systemctl kill --signal=SIGKILL ober-ha.service && systemctl start ober-ha.service",
  },
];

/** A key that `ober.yaml` does not have yet. */
function set(line: string): string {
  return `cp ${YAML} /root/kept.yaml && echo '${line}' >> ${YAML}`;
}

/** Ends the first RGW and puts a server in its place that misbehaves. */
async function standIn(lab: Lab, mode: string): Promise<void> {
  await lab.stopEndpoint(1);
  await lab.service("rgw1", () => startBackend(1, STORAGE.port));
  await run(inTools("rgw", ["curl", "-sf", "-X", "POST", `http://${endpointAddress(1)}:${STORAGE.port}/mode/${mode}`]));
}

async function standBack(lab: Lab): Promise<void> {
  await lab.stopEndpoint(1);
  await lab.startEndpoint(1);
}

/** Requests through the node's own HAProxy: from outside, the router would choose the node. */
async function requests(node: LabNode, count: number): Promise<void> {
  const curl = ["curl", "-sk", "-o", "/dev/null", "-m", "20", "--parallel", `https://${VIP}/x?[1-${count}]`];
  await run(inNamespace(node.name, curl));
}

let held: ReturnType<typeof Bun.spawn> | undefined;

/** Connections through the node's own HAProxy, until `letGo`. */
function holdConnections(node: LabNode, count: number): void {
  const program = [process.execPath, join(import.meta.dirname, "../lab/idle-client.ts"), VIP, String(count)];
  held = Bun.spawn(inNamespace(node.name, program), { stdout: "ignore", stderr: "inherit" });
}

async function letGo(): Promise<void> {
  held?.kill("SIGTERM");
  await held?.exited;
}

/** The router is a machine of the segment, and none of the cluster. */
async function routerHas(what: "add" | "del"): Promise<void> {
  await run(inNamespace("router", ["ip", "addr", what, "10.77.0.101/32", "dev", "nodes0"]));
}

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
