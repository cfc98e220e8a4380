#!/bin/bash
# `tracetwin run` on every trace and generator, then one table (CSV) on stdout.
#
#   experiments/traces.sh TRACES OUT [MINUTES [EVENTS [SEED...]]]
#
# TRACES: a folder of CTF folders, one a trace, named as the table shall name them. OUT: where the runs
# go, OUT/TRACE/GENERATOR-SEED; those that are there already are kept, so that a stopped experiment goes
# on where it was. Environment: GENERATORS (default "markov ddpm"), TRACETWIN (the command), JOBS (runs
# at a time, default 1; each then has its share of the CPUs, and two single-threaded runs get more done
# than one of two threads).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
traces=$1 out=$2 minutes=${3:-5} events=${4:-100000}
shift $(($# < 4 ? $# : 4))
[ $# -gt 0 ] || set -- 1
jobs=${JOBS:-1}
threads=$(($(nproc) / jobs))
[ "$threads" -gt 0 ] || threads=1
tracetwin=${TRACETWIN:-$here/../build/release/tracetwin}
export out minutes events threads tracetwin

one_run() { # TRACE GENERATOR SEED
  local name run report trtr=()
  name=$(basename "$1") run=$out/$(basename "$1")/$2-$3
  [ -e "$run/report.json" ] && return
  mkdir -p "$out/$name"
  for report in "$out/$name"/*-"$3"/report.json; do # TRTR doesn't depend on the generator
    [ ! -e "$report" ] || trtr=(--trtr "$report")
  done
  echo "$name $2 seed $3" >&2
  "$tracetwin" run "$1" -o "$run" --generator "$2" --minutes "$minutes" --events "$events" \
    --seed "$3" --threads "$threads" "${trtr[@]}" -q -f >"$run.txt"
  # the judge of the export: exactly the events asked for
  count=$(babeltrace2 "$run/ctf/kernel" | wc -l)
  [ "$count" = "$events" ] || { echo "$run: babeltrace2 reads $count events" >&2; return 1; }
  "$tracetwin" check "$run/twin" --constraints "$run/constraints.json" --json >"$run.check.json"
}
export -f one_run

for seed in "$@"; do
  for generator in ${GENERATORS:-markov ddpm}; do
    for trace in "$traces"/*/; do
      printf '%s\0%s\0%s\0' "$trace" "$generator" "$seed"
    done
  done
done | xargs -0 -n 3 -P "$jobs" bash -euo pipefail -c 'one_run "$@"' one_run
"$here/table.py" "$out"
