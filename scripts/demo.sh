#!/bin/bash
# `make demo`: the sample trace, its twin and the report, in build/demo/; then the tools that people use open the twin.
#
# MINUTES (training), EVENTS (length of the twin) and SEED may be set in the environment.
set -euo pipefail
cd "$(dirname "$0")/.."
tracetwin=build/release/tracetwin demo=build/demo twin=build/demo/twin
MINUTES=${MINUTES:-1} EVENTS=${EVENTS:-30000} SEED=${SEED:-1}

step() { printf '\n== %s\n' "$*"; }

step "a real trace of this repository: $demo/trace"
scripts/unpack-sample.sh "$demo"
echo "$(babeltrace2 "$demo/trace" | wc -l) events"

step "tracetwin run $demo/trace -o $twin --minutes $MINUTES --events $EVENTS --seed $SEED"
"$tracetwin" run "$demo/trace" -o "$twin" --minutes "$MINUTES" --events "$EVENTS" --seed "$SEED" -f

step "babeltrace2 $twin/ctf/kernel"
babeltrace2 "$twin/ctf/kernel" >"$demo/twin.txt"
tail -n 3 "$demo/twin.txt"
count=$(wc -l <"$demo/twin.txt")
echo "$count events"
[ "$count" = "$EVENTS" ] || { echo "demo: expected $EVENTS events" >&2; exit 1; }

if command -v lttng-cputop >/dev/null; then
  step "lttng-cputop $twin/ctf/kernel"
  lttng-cputop --no-progress "$twin/ctf/kernel"
else
  echo "(lttng-cputop is not installed: python3-lttnganalyses)"
fi
