#!/bin/bash
# Unpacks the sample trace: DEST/trace becomes a CTF folder. Does nothing when it is there already; checks the sum;
# the folder appears whole or not at all.
#
# usage: scripts/unpack-sample.sh DEST
set -euo pipefail
[ $# = 1 ] || { echo "usage: unpack-sample.sh DEST" >&2; exit 2; }
data=$(cd "$(dirname "$0")/../data" && pwd)
dest=$1
want=$(cut -d' ' -f1 "$data/sample.tar.xz.sha256")
stamp=$dest/trace.sha256 # the archive that DEST/trace came from
if [ -d "$dest/trace" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then exit 0; fi

have=$(sha256sum <"$data/sample.tar.xz")
[ "${have%% *}" = "$want" ] || { echo "unpack-sample.sh: $data/sample.tar.xz does not match its sum" >&2; exit 4; }
mkdir -p "$dest"
temporary=$(mktemp -d "$dest/.trace.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
tar xJf "$data/sample.tar.xz" --no-same-owner -C "$temporary"
echo "$want" >"$temporary/sum"
# Two at once (parallel tests): the one that comes second finds the folder there and leaves it.
exec 9>"$dest/.trace.lock"
flock 9
if [ -d "$dest/trace" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then exit 0; fi
rm -rf "$dest/trace" "$stamp"
mv -T "$temporary/trace" "$dest/trace"
mv "$temporary/sum" "$stamp"
