#!/bin/bash
# Records a system-wide kernel trace with perf's tracepoints and turns it into CTF.
#
# usage: data/record.sh [options] [-- COMMAND...]
#   -o DIR       where the CTF folder appears (default: trace); must not exist
#   -d SECONDS   how long the built-in work runs (default: 4)
#   -w KINDS     the built-in work: files,processes,computing (default: all three), see data/workload.sh
#   -e EVENTS    tracepoints, as perf -e takes them: 'sched:*,irq:*' (default: those listed by -l)
#   -m SIZE      ring buffer per CPU (default: 64M)
#   -n           make names neutral (data/neutralise.py); kept are those of kernel threads and standard tools
#   -k NAMES     with -n: keep these command names too (comma-separated)
#   -l           list this machine's default tracepoints and stop
#   COMMAND...   trace this instead of the built-in work
#
# Needs root, tracefs, and a perf that converts to CTF (Debian: linux-perf). perf's own events are excluded. The trace
# begins with the state dump at time 0 (perf_comm, perf_fork, perf_mmap). Fails when events were lost: give a bigger -m.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
GROUPS_WANTED='block cgroup compaction exceptions ext4 filemap huge_memory io_uring irq irq_vectors jbd2 kmem migrate
  mmap net oom power rcu readahead sched signal skb sock syscalls task tcp thp timer tlb udp vmalloc vmscan workqueue
  writeback xfs btrfs'

die() { echo "record.sh: $*" >&2; exit 1; }
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit "$1"; }

out=trace seconds=4 kinds=files,processes,computing events='' buffer=64M neutral='' keep='' list=''
while getopts o:d:w:e:m:nk:lh option; do
  case $option in
  o) out=$OPTARG ;; d) seconds=$OPTARG ;; w) kinds=$OPTARG ;; e) events=$OPTARG ;; m) buffer=$OPTARG ;;
  n) neutral=1 ;; k) keep=$OPTARG ;; l) list=1 ;; h) usage 0 ;; *) usage 2 ;;
  esac
done
shift $((OPTIND - 1))

[ "$(id -u)" = 0 ] || die "must be root"
command -v perf >/dev/null || die "no perf (Debian: apt-get install linux-perf)"
[[ $(perf data convert -h 2>&1) == *--to-ctf* ]] || die "this perf was built without CTF conversion (libbabeltrace)"
tracefs=/sys/kernel/tracing
[ -r $tracefs/available_events ] || mount -t tracefs nodev $tracefs 2>/dev/null || die "no tracefs at $tracefs"

if [ -z "$events" ]; then
  for group in $GROUPS_WANTED; do
    # a file system that is compiled in but not mounted would only lengthen the set-up
    case $group in xfs | btrfs | ext4) grep -qw "$group" /proc/mounts || continue ;; esac
    # irq_work: the kernel does not let perf sample it (it would wake itself)
    group=$(grep "^$group:" $tracefs/available_events | grep -v ':irq_work_' | sort | paste -sd,) || continue
    events+=${events:+,}$group
  done
fi
[ -z "$list" ] || { tr , '\n' <<<"$events"; exit 0; }
[ ! -e "$out" ] || die "$out exists"
ulimit -n 65536 2>/dev/null || true # one descriptor per tracepoint and CPU

work=$(mktemp -d /var/tmp/tracetwin-record.XXXXXX) # not /tmp: that may be no real file system
trap 'rm -rf "$work" "$out.tmp.$$"' EXIT
if [ $# = 0 ]; then
  "$here/workload.sh" prepare "$work/work"
  set -- "$here/workload.sh" run "$work/work" "$seconds" "$kinds"
fi
perf record -q -a -m "$buffer" -e "$events" --exclude-perf -o "$work/perf.data" -- "$@" ||
  die "perf record, or the command, failed (status $?)"
stats=$(perf report --stats -i "$work/perf.data" 2>/dev/null)
lost=$(awk '/LOST(_SAMPLES)? events:/ { n += $3 } END { print n + 0 }' <<<"$stats")
[ "$lost" = 0 ] || die "$lost stretches of lost events: give a bigger buffer (-m)"
perf data convert --to-ctf "$work/trace" --all -i "$work/perf.data" >"$work/log" 2>&1 || die "$(cat "$work/log")"
[ -z "$neutral" ] || "$here/neutralise.py" ${keep:+--keep "$keep"} "$work/trace"
mkdir -p "$(dirname "$out")"
cp -r "$work/trace" "$out.tmp.$$" && chmod -R a+rX "$out.tmp.$$" && mv "$out.tmp.$$" "$out"
awk '/SAMPLE events:/ && !n++ { print "record.sh: " $3 " events" }' <<<"$stats" >&2
