# Sourced by the scripts: what a fresh Debian lacks, and the packages of package-lock.json.
cd "$(dirname "$0")/.."

need_root() {
  if [ "$(id -u)" -ne 0 ]; then
    echo "error: $1 boots machines in namespaces and needs root" >&2
    echo "hint:  sudo $0" >&2
    exit 1
  fi
}

# Installs Debian packages when a program that they bring is missing: install_missing PROGRAM=PACKAGE...
install_missing() {
  missing=
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || missing="$missing ${pair#*=}"
  done
  [ -n "$missing" ] || return 0
  echo "installing$missing" >&2
  apt-get -q -o DPkg::Lock::Timeout=300 update >&2
  # shellcheck disable=SC2086 # a list of packages
  DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends $missing >&2
}

# Node's packages as locked; repeated only when the lock changed.
install_packages() {
  install_missing npm=npm node=nodejs
  if ! cmp -s package-lock.json node_modules/.installed-lock; then
    npm ci --silent --no-audit --no-fund >&2
    cp package-lock.json node_modules/.installed-lock
  fi
}
