import bfdConfig from "../assets/bfd/bfd.conf" with { type: "text" };
import exabgpConfig from "../assets/exabgp/config.ini" with { type: "text" };
import ttlRules from "../assets/exabgp/ttl.nft" with { type: "text" };
import haproxyBackend from "../assets/haproxy/backend.cfg" with { type: "text" };
import haproxyConfig from "../assets/haproxy/haproxy.cfg" with { type: "text" };
import journald from "../assets/journald/journald@ober.conf" with { type: "text" };
import keepalivedHanging from "../assets/keepalived/hanging.conf" with { type: "text" };
import keepalivedInstance from "../assets/keepalived/instance.conf" with { type: "text" };
import keepalivedConfig from "../assets/keepalived/keepalived.conf" with { type: "text" };
import keepalivedScripts from "../assets/keepalived/scripts.conf" with { type: "text" };
import keepalivedTrack from "../assets/keepalived/track.conf" with { type: "text" };
import handoverRules from "../assets/network/handover.nft" with { type: "text" };
import vipScript from "../assets/network/ober-vip.sh" with { type: "text" };
import routerBird from "../assets/router/bird.conf" with { type: "text" };
import routerEos from "../assets/router/eos.conf" with { type: "text" };
import routerFrr from "../assets/router/frr.conf" with { type: "text" };
import routerJunos from "../assets/router/junos.conf" with { type: "text" };
import routerNxos from "../assets/router/nxos.conf" with { type: "text" };
import sysctl from "../assets/sysctl/99-herr-ober.conf" with { type: "text" };
import bfdUnit from "../assets/systemd/ober-bfd.service" with { type: "text" };
import bgpUnit from "../assets/systemd/ober-bgp.service" with { type: "text" };
import certsPath from "../assets/systemd/ober-certs.path" with { type: "text" };
import certsUnit from "../assets/systemd/ober-certs.service" with { type: "text" };
import haUnit from "../assets/systemd/ober-ha.service" with { type: "text" };
import handoverUnit from "../assets/systemd/ober-handover.service" with { type: "text" };
import healthUnit from "../assets/systemd/ober-health.service" with { type: "text" };
import httpUnit from "../assets/systemd/ober-http.service" with { type: "text" };
import loadUnit from "../assets/systemd/ober-load.service" with { type: "text" };
import loadTimer from "../assets/systemd/ober-load.timer" with { type: "text" };
import metricsService from "../assets/systemd/ober-metrics.service" with { type: "text" };
import metricsTimer from "../assets/systemd/ober-metrics.timer" with { type: "text" };
import namesUnit from "../assets/systemd/ober-names.service" with { type: "text" };
import renewUnit from "../assets/systemd/ober-renew.service" with { type: "text" };
import renewTimer from "../assets/systemd/ober-renew.timer" with { type: "text" };
import vipUnit from "../assets/systemd/ober-vip.service" with { type: "text" };

/** Templates of the generated files, embedded in the executable. Only this file imports from `assets/`. */
export const assets: Readonly<Record<AssetName, string>> = {
  haproxyConfig,
  haproxyBackend,
  exabgpConfig,
  ttlRules,
  bfdConfig,
  vipScript,
  handoverRules,
  sysctl,
  journald,
  vipUnit,
  handoverUnit,
  httpUnit,
  bgpUnit,
  bfdUnit,
  haUnit,
  healthUnit,
  namesUnit,
  certsPath,
  certsUnit,
  renewTimer,
  renewUnit,
  loadTimer,
  loadUnit,
  metricsService,
  metricsTimer,
  keepalivedConfig,
  keepalivedInstance,
  keepalivedScripts,
  keepalivedTrack,
  keepalivedHanging,
  routerBird,
  routerEos,
  routerFrr,
  routerJunos,
  routerNxos,
};

type AssetName =
  | "haproxyConfig"
  | "haproxyBackend"
  | "exabgpConfig"
  | "loadTimer"
  | "loadUnit"
  | "ttlRules"
  | "bfdConfig"
  | "vipScript"
  | "handoverRules"
  | "sysctl"
  | "journald"
  | "vipUnit"
  | "handoverUnit"
  | "httpUnit"
  | "bgpUnit"
  | "bfdUnit"
  | "haUnit"
  | "healthUnit"
  | "namesUnit"
  | "certsPath"
  | "certsUnit"
  | "renewTimer"
  | "renewUnit"
  | "metricsService"
  | "metricsTimer"
  | "keepalivedConfig"
  | "keepalivedInstance"
  | "keepalivedScripts"
  | "keepalivedTrack"
  | "keepalivedHanging"
  | "routerBird"
  | "routerEos"
  | "routerFrr"
  | "routerJunos"
  | "routerNxos";
