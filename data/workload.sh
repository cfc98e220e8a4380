#!/bin/bash
# The work that data/record.sh traces: three kinds at once, in short steps, so that any cut of the time holds all of them.
#
#   files       tar, find, grep, cp, dd with fsync, rm over a small source tree
#   processes   pipes of small commands, xargs, a parallel make
#   computing   compression, checksums, arithmetic: always at least one busy process per kind of tool
#
# usage: workload.sh prepare DIR            make the tree that the steps work on (before the recording)
#        workload.sh run DIR SECONDS KINDS  run; KINDS: comma-separated, of files, processes, computing
#
# Only tools of a base system are needed; a step whose tool is missing is left out.
set -u
export PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin LC_ALL=C
PAUSE=0.35 # seconds between two steps of the kinds that make many events

have() { command -v "$1" >/dev/null; }

prepare() {
  local dir=$1 source=/usr/include/linux
  [ -d "$source" ] || source=/usr/share/doc
  mkdir -p "$dir/tree" "$dir/scratch"
  # 30 files of at most 32 KiB, in the order of their names: the same work on every run
  find "$source" -type f -size -32k | sort | head -30 | xargs cp -t "$dir/tree" 2>/dev/null
  cat "$dir"/tree/* "$dir"/tree/* | head -c 400000 >"$dir/text"
  mkfifo "$dir/never" # nothing is ever written to it: reading it with a time limit is a pause without a process
  {
    echo 'all: a b c d e f'
    printf '%s:\n\t@expr 6 \\* 7 >$@; wc -c <$@ >/dev/null\n' a b c d e f
    echo '.PHONY: all a b c d e f'
  } >"$dir/scratch/Makefile"
}

files_step() { # step number
  local scratch=$DIR/scratch
  case $(($1 % 6)) in
  0) tar cf "$scratch/tree.tar" -C "$DIR" tree ;;
  1) mkdir -p "$scratch/out" && tar xf "$scratch/tree.tar" -C "$scratch/out" ;;
  2) grep -rlw struct "$DIR/tree" >"$scratch/found" ;;
  3) cp -r "$scratch/out/tree" "$scratch/copy" ;;
  4) dd if=/dev/zero of="$scratch/block" bs=16k count=24 conv=fsync status=none ;;
  5) find "$scratch" -type f -size +4k -exec cat {} + >/dev/null && rm -rf "$scratch/copy" "$scratch/out" ;;
  esac
}

processes_step() {
  case $(($1 % 4)) in
  0) head -400 "$DIR/text" | tr -cs a-z '\n' | sort | uniq -c | sort -rn | head -3 ;;
  1) seq 4 | xargs -n 1 -P 2 echo ;;
  2) have make && make -s -j2 -C "$DIR/scratch" all ;;
  3) basename "$(dirname "$(readlink -f "$DIR/text")")" | sed s/a/b/ | cat ;;
  esac >/dev/null
}

computing_step() {
  case $(($1 % 5)) in
  0) xz -T1 --lzma2=preset=6,dict=64KiB -c "$DIR/text" ;; # little memory: work, not page faults
  1) awk 'BEGIN { for (i = 0; i < 3000000; i++) x += i % 7; print x }' ;;
  2) sha256sum "$DIR/text" && gzip -9 -c "$DIR/text" "$DIR/text" "$DIR/text" "$DIR/text" "$DIR/text" "$DIR/text" ;;
  3) have openssl && openssl speed -seconds 1 -bytes 16384 sha256 ;;
  4) have python3 && python3 -IS -c 'print(sum(i * i % 7 for i in range(10000000)))' ;;
  esac >/dev/null 2>&1
}

# Steps of one kind until the time is over, starting with step $2.
repeat() { # kind, first step, pause
  local n=$2
  while [ "${EPOCHREALTIME/./}" -lt "$END" ]; do
    "${1}_step" "$n"
    [ "$3" = 0 ] || read -rt "$3" <>"$DIR/never"
    n=$((n + 1))
  done
}

case ${1-} in
prepare) prepare "$2" ;;
run)
  DIR=$2 END=$((${EPOCHREALTIME/./} + $3 * 1000000)) # us
  for kind in ${4//,/ }; do
    case $kind in
    files | processes) repeat "$kind" 0 $PAUSE & ;;
    computing)
      repeat computing 0 0 &
      repeat computing 2 0 &
      ;;
    *) echo "workload.sh: unknown kind of work: $kind" >&2; exit 2 ;;
    esac
  done
  wait
  ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
