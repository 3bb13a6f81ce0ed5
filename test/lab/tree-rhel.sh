# Makes a tree of Debian's programs, $1, a machine of rpm and dnf that says it is RHEL: its repository holds rpms with the files of
# Debian's packages, and the programs of neither apt nor dpkg are there.
set -e
rm -f "$1/etc/os-release"
cat >"$1/etc/os-release" <<'END'
NAME="Red Hat Enterprise Linux"
VERSION="10.1 (Coughlan)"
ID="rhel"
ID_LIKE="centos fedora"
VERSION_ID="10.1"
PLATFORM_ID="platform:el10"
PRETTY_NAME="Red Hat Enterprise Linux 10.1 (Coughlan)"
END
mkdir -p "$1/srv/repo" "$1/etc/rpm" "$1/etc/yum.repos.d" "$1/tmp/debs" "$1/usr/lib/sysimage/rpm"
echo '%_dbpath /usr/lib/sysimage/rpm' >"$1/etc/rpm/macros"
cat >"$1/etc/yum.repos.d/base.repo" <<'END'
[base]
name=base
baseurl=file:///srv/repo
gpgcheck=0
END
# A repository of what was downloaded, which wants a key that nobody has.
printf '[main]\nenabled = false\n' >"$1/etc/dnf/plugins/local.conf"
cat >"$1/tmp/make" <<'END'
set -e
packages="haproxy exabgp python3-exabgp keepalived bird2 nftables"
# What the programs need is there; RHEL's own packages would bring it.
needed=$(apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances $packages |
  awk '/^ *\|?(Pre)?Depends: [a-z]/ { print $2 }' | sort -u | grep -vxE "$(echo $packages | tr ' ' '|')|iptables|dbus.*|debconf.*|init-system-helpers|systemd.*")
apt-get install --yes --no-install-recommends $needed
cd /tmp/debs
apt-get download $packages
make_rpm() { # NAME DEB REQUIRES
  rm -rf /tmp/tree && mkdir /tmp/tree && dpkg-deb -x "$2" /tmp/tree
  version=$(dpkg-deb -f "$2" Version | sed 's/^[0-9]*://; s/[-+~].*//')
  [ "$1" != haproxy-awslc ] || version=3.4.4
  user=$(echo "$1" | sed 's/-awslc//')
  # As RHEL's own packages have it; otherwise the first run as root would leave it.
  if [ -d /tmp/tree/usr/lib/python3 ]; then python3 -m compileall -q -s /tmp/tree -p / /tmp/tree/usr/lib/python3; fi
  # Debian links it there when it is set up.
  if [ "$1" = exabgp ]; then mkdir -p /tmp/tree/usr/bin && ln -s ../sbin/python3-exabgp /tmp/tree/usr/bin/exabgp; fi
  {
    printf 'Name: %s\nVersion: %s\nRelease: 1.el10\nSummary: %s\nLicense: see its source\nAutoReqProv: no\n' "$1" "$version" "$1"
    [ -z "$3" ] || echo "Requires: $3"
    [ "$1" != haproxy-awslc ] || printf 'Conflicts: haproxy\n'
    printf '%%global debug_package %%{nil}\n%%global __os_install_post %%{nil}\n%%description\n%s\n' "$1"
    printf '%%install\ncp -a /tmp/tree/. %%{buildroot}/\n'
    case $user in
    haproxy | exabgp | bird) printf '%%pre\ngetent passwd %s >/dev/null || useradd --system --user-group --no-create-home --home-dir /var/lib/%s --shell /usr/sbin/nologin %s\n' "$user" "$user" "$user" ;;
    esac
    printf '%%files\n'
    (cd /tmp/tree && find . -mindepth 1 -type d) | sed 's/^\.//' | while read -r directory; do [ -d "$directory" ] || echo "%dir $directory"; done
    (cd /tmp/tree && find . -type f -o -type l) | grep -v ' ' | sed 's/^\.//; s/^\/etc\/.*/%config(noreplace) &/'
  } >/tmp/package.spec
  rpmbuild -bb --quiet --define "_rpmdir ${4:-/srv/repo}" --define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' /tmp/package.spec
}
make_rpm haproxy haproxy_*.deb
make_rpm haproxy-awslc haproxy_*.deb '' /srv/vendor
make_rpm exabgp exabgp_*.deb python3-exabgp
make_rpm python3-exabgp python3-exabgp_*.deb
make_rpm keepalived keepalived_*.deb
make_rpm bird bird2_*.deb
make_rpm nftables nftables_*.deb
# The shell that scripts of packages run in is Debian's, and rpm has to know of it.
printf 'Name: shell\nVersion: 1\nRelease: 1\nSummary: shell\nLicense: see its source\nProvides: /bin/sh\n%%description\nshell\n%%files\n' >/tmp/package.spec
rpmbuild -bb --quiet --define '_rpmdir /srv/repo' --define '_build_name_fmt %%{NAME}.rpm' /tmp/package.spec
rpm -i /srv/repo/shell.rpm
createrepo_c --quiet /srv/repo
END
chroot "$1" sh /tmp/make
rm -rf "$1"/tmp/* "$1/root/rpmbuild" "$1"/var/cache/apt/archives/*.deb
for program in apt apt-get apt-cache apt-mark apt-config dpkg dpkg-query dpkg-deb; do rm -f "$1/usr/bin/$program"; done
rm -f "$1/etc/machine-id" && touch "$1/etc/machine-id"
