#!/bin/bash
# `tracetwin run` on every trace and generator, then one table (CSV) on stdout.
#
#   experiments/traces.sh TRACES OUT [MINUTES [EVENTS [SEED...]]]
#
# TRACES: a folder of CTF folders, one a trace, named as the table shall name them. OUT: where the runs
# go, OUT/TRACE/GENERATOR-SEED; those that are there already are kept, so that a stopped experiment goes
# on where it was. Environment: GENERATORS (default "markov ddpm"), TRACETWIN (the command).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
traces=$1 out=$2 minutes=${3:-5} events=${4:-100000}
shift $(($# < 4 ? $# : 4))
[ $# -gt 0 ] || set -- 1
tracetwin=${TRACETWIN:-$here/../build/release/tracetwin}
mkdir -p "$out"
for seed in "$@"; do
  for trace in "$traces"/*/; do
    name=$(basename "$trace")
    for generator in ${GENERATORS:-markov ddpm}; do
      run=$out/$name/$generator-$seed
      [ -e "$run/report.json" ] && continue
      mkdir -p "$out/$name"
      echo "$name $generator seed $seed" >&2
      "$tracetwin" run "$trace" -o "$run" --generator "$generator" --minutes "$minutes" \
        --events "$events" --seed "$seed" -q -f >"$out/$name/$generator-$seed.txt"
      # the judge of the export: exactly the events asked for
      count=$(babeltrace2 "$run/ctf/kernel" | wc -l)
      [ "$count" = "$events" ] || { echo "$run: babeltrace2 reads $count events" >&2; exit 1; }
      "$tracetwin" check "$run/twin" --constraints "$run/constraints.json" --json \
        >"$out/$name/$generator-$seed.check.json"
    done
  done
done
"$here/table.py" "$out"
