#!/bin/sh
# Installs the Debian packages that are missing (the build's, then the test clients'). As root or
# through sudo; otherwise says what is missing and fails.
set -eu
packages="gcc cmake ninja-build pkg-config libdnnl-dev libbabeltrace2-dev libjansson-dev libmd-dev
libcmocka-dev babeltrace2 babeltrace python3-lttnganalyses python3-numpy xz-utils"
[ "${1:-}" = ci ] && packages="$packages clang clang-format python3-sklearn"
missing=
for p in $packages; do
  dpkg-query -W -f='${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ]; then as=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as=sudo
else
  echo "setup: missing packages:$missing" >&2
  echo "setup: not root and sudo asks for a password; run: sudo apt-get install$missing" >&2
  exit 1
fi
echo "setup: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$as apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$as apt-get install -y -qq --no-install-recommends $missing >/dev/null
