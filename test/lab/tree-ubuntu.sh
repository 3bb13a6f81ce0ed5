# Makes a tree of Debian's programs, $1, say that it is Ubuntu.
set -e
rm -f "$1/etc/os-release"
cat >"$1/etc/os-release" <<'END'
PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
END
mkdir -p "$1/etc/netplan"
cat >"$1/etc/netplan/50-cloud-init.yaml" <<'END'
network: {version: 2, ethernets: {host9: {dhcp4: false}}}
END
chmod 600 "$1/etc/netplan/50-cloud-init.yaml"
ln -sf /usr/lib/systemd/system/systemd-networkd.service "$1/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
