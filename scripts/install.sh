#!/bin/sh
# Puts the executable for this machine, verified against SHA256SUMS, into the current directory: install.sh [FROM]
# FROM is a directory or an http(s) URL that has a release; without it, the directory that this script lies in.
set -eu
from=${1:-$(dirname "$0")}
case $(uname -s)/$(uname -m) in
Linux/x86_64) target=linux-x64 ;;
Linux/aarch64) target=linux-arm64 ;;
*)
  echo "error: ober runs on Linux, on x86-64 and arm64; this is $(uname -sm)" >&2
  exit 1
  ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fetch() {
  case $from in
  http://* | https://*)
    if command -v curl >/dev/null; then curl --fail --silent --show-error --location --output "$work/$1" "$from/$1"
    else wget --quiet --output-document "$work/$1" "$from/$1"; fi
    ;;
  *) cp "$from/$1" "$work/$1" ;;
  esac
}

fetch SHA256SUMS
file=$(sed -n "s/^[0-9a-f]\{64\}  \(ober-[^/]*-$target\.gz\)$/\1/p" "$work/SHA256SUMS")
if [ -z "$file" ]; then
  echo "error: $from has no ober for $target" >&2
  exit 1
fi
fetch "$file"
if ! (cd "$work" && grep "  $file\$" SHA256SUMS | sha256sum --check --status); then
  echo "error: $file is not what SHA256SUMS says; nothing was installed" >&2
  exit 1
fi
gzip -dc "$work/$file" >"$work/ober"
chmod 755 "$work/ober"
mv "$work/ober" ./ober
echo "$(./ober --version | head -n 1): ./ober; next: sudo ./ober bootstrap /opt/ober"
