#!/bin/sh
# Puts the executable for this machine, verified against SHA256SUMS, into the current directory: install.sh [FROM]
# FROM is a directory or an http(s) URL that has a release; without it, the directory of this script.
set -eu
from=${1:-$(dirname "$0")}
# The publisher's public key, 32 bytes of Ed25519 in base64; empty in an unsigned release.
release_key=
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
if [ -n "$release_key" ]; then
  if ! command -v openssl >/dev/null; then
    echo "error: openssl is needed to verify the release's signature; install it, then run this again" >&2
    exit 1
  fi
  fetch SHA256SUMS.sig
  # The bytes before the 32 bytes in a SubjectPublicKeyInfo; see RFC 8410.
  { printf '\060\052\060\005\006\003\053\145\160\003\041\000' && printf %s "$release_key" | base64 -d; } >"$work/key"
  base64 -d <"$work/SHA256SUMS.sig" >"$work/signature" || true
  if ! openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey "$work/key" -in "$work/SHA256SUMS" \
    -sigfile "$work/signature" >/dev/null 2>&1; then
    echo "error: SHA256SUMS of $from is not signed by the publisher of this install.sh; nothing was installed" >&2
    exit 1
  fi
fi
file=$(sed -n "s/^[0-9a-f]\{64\}  \(ober-[^/]*-$target\.gz\)$/\1/p" "$work/SHA256SUMS")
if [ -z "$file" ]; then
  echo "error: $from has no ober for $target" >&2
  exit 1
fi
fetch "$file"
if ! (cd "$work" && grep "  $file\$" SHA256SUMS | sha256sum --check --status); then
  echo "error: the checksum of $file is not the one in SHA256SUMS; nothing was installed" >&2
  exit 1
fi
gzip -dc "$work/$file" >"$work/ober"
chmod 755 "$work/ober"
mv "$work/ober" ./ober
# `ober upgrade --self` on a node with a signed release needs it.
if [ -n "$release_key" ]; then
  fetch "${file%.gz}.sig"
  mv "$work/${file%.gz}.sig" ./ober.sig
fi
echo "$(./ober --version | head -n 1): ./ober; next: sudo ./ober bootstrap /opt/ober"
