#!/bin/bash
# `tracetwin run` on every trace and generator, then one table (CSV) on stdout.
#
#   experiments/traces.sh TRACES OUT [MINUTES [EVENTS [SEED...]]]
#
# TRACES: a folder of CTF folders, one a trace, named as the table shall name them. OUT: where the runs
# go, OUT/TRACE/GENERATOR-SEED; those that are there already are kept, so that a stopped experiment goes
# on where it was. Environment: GENERATORS (default "markov ddpm"; NAME=GENERATOR,OPTION,... is one with
# options under a name of its own: markov3=markov,--context,3), TRACETWIN (the command), JOBS (runs at a
# time, default 1; each then has its share of the CPUs, and two single-threaded runs get more done than
# one of two threads), ARMS=tstr (COMBINED is left out), ARMS=again (after the predictor has changed: all
# arms of the runs that are there are trained again, into OUT/TRACE/GENERATOR-SEED.arms) or
# ARMS=again,combined (only that one, where it was left out).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }
traces=$1 out=$2 minutes=${3:-5} events=${4:-100000}
shift $(($# < 4 ? $# : 4))
[ $# -gt 0 ] || set -- 1
jobs=${JOBS:-1}
threads=$(($(nproc) / jobs))
[ "$threads" -gt 0 ] || threads=1
tracetwin=${TRACETWIN:-$here/../build/release/tracetwin}
export out minutes events threads tracetwin

train_arms_again() { # TRACE GENERATOR SEED
  local name run report trtr=()
  name=$(basename "$1") run=$out/$(basename "$1")/${2%%=*}-$3
  [ -e "$run/report.json" ] && [ ! -e "$run.arms" ] || return 0
  for report in "$out/$name"/*-"$3".arms/report.json; do
    [ ! -e "$report" ] || trtr=(--trtr "$report")
  done
  [ "$ARMS" = again ] || trtr+=(--arms "${ARMS#again,}")
  echo "$name $2 seed $3: arms" >&2
  "$tracetwin" evaluate --train "$run/split/train" --val "$run/split/val" --test "$run/split/test" \
    --synthetic "$run/twin" -o "$run.arms" --converged --seed "$3" --threads "$threads" "${trtr[@]}" -q \
    >/dev/null
}

one_run() { # TRACE GENERATOR SEED
  local name run report options trtr=()
  name=$(basename "$1") run=$out/$(basename "$1")/${2%%=*}-$3
  IFS=, read -ra options <<<"${2#*=}"
  [ -e "$run/report.json" ] && return
  mkdir -p "$out/$name"
  # TRTR doesn't depend on the generator
  for report in "$out/$name"/*-"$3"/report.json "$out/$name"/*-"$3".arms/report.json; do
    [ ! -e "$report" ] || trtr=(--trtr "$report")
  done
  echo "$name $2 seed $3" >&2
  [ -z "${ARMS:-}" ] || trtr+=(--arms "$ARMS")
  "$tracetwin" run "$1" -o "$run" --generator "${options[@]}" --minutes "$minutes" --events "$events" \
    --seed "$3" --threads "$threads" "${trtr[@]}" -q -f >"$run.txt"
  # the judge of the export: exactly the events asked for
  count=$(babeltrace2 "$run/ctf/kernel" | wc -l)
  [ "$count" = "$events" ] || { echo "$run: babeltrace2 reads $count events" >&2; return 1; }
  "$tracetwin" check "$run/twin" --constraints "$run/constraints.json" --json >"$run.check.json"
}
export -f one_run train_arms_again
job=one_run
[[ "${ARMS:-}" != again* ]] || job=train_arms_again

for seed in "$@"; do
  for generator in ${GENERATORS:-markov ddpm}; do
    for trace in "$traces"/*/; do
      printf '%s\0%s\0%s\0' "$trace" "$generator" "$seed"
    done
  done
done | xargs -0 -n 3 -P "$jobs" bash -euo pipefail -c '"$@"' "$job" "$job"
"$here/table.py" "$out"
