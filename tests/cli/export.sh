# export: CSV row by row; a CTF trace that the tools people use open without a word of complaint.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
real_parts

expect_exit 0 "$TRACETWIN" export real/test -o test.csv --format csv --json
expect_stdout "{\"events\": 5720, \"bytes\": $(stat -c %s test.csv)}"
expect_stderr ''
[ "$(head -n 1 test.csv)" = 'timestamp_ns,cpu,tid,comm,event,ret' ] || fail "header: $(head -n 1 test.csv)"
second_opinion csv real/test >expected.csv
cmp expected.csv test.csv
# ret stands on the exits of system calls and nowhere else.
awk -F, 'NR > 1 && ($6 != "") != ($5 ~ /:sys_exit_/)' test.csv >odd
[ ! -s odd ] || fail "$(head -n 1 odd)"
[ "$(grep -c ':sys_exit_' test.csv)" -gt 100 ] || fail "few system calls"

# A twin: exported twice from equal datasets, the same bytes.
"$TRACETWIN" constraints real/train -o c.json >/dev/null
"$TRACETWIN" train real/train -o model --generator markov -q >/dev/null
for name in a b; do
  "$TRACETWIN" generate model -o raw --events 8000 --seed 11 -f -q >/dev/null
  "$TRACETWIN" repair raw -c c.json -o twin -f -q >/dev/null
  expect_exit 0 "$TRACETWIN" export twin -o $name --format ctf --json
  expect_stdout "{\"events\": 8000, \"bytes\": $(cat $name/kernel/* | wc -c)}"
  expect_stderr ''
done
diff -r a b
"$TRACETWIN" generate model -o raw --events 8000 --seed 12 -f -q >/dev/null
expect_exit 0 "$TRACETWIN" export raw -o c --format ctf
! diff -rq a c >/dev/null || fail "another seed, the same trace"

reads() { # COMMAND...: exit 0, output, not a word of complaint
  expect_exit 0 "$@"
  expect_stderr ''
  [ -s "$harness_output/stdout" ] || fail "$1 prints nothing"
  ! grep -iE 'traceback|error:|warning:' "$harness_output/stdout" || fail "$1 complains"
}
for name in a c; do
  reads babeltrace2 $name/kernel
  [ "$(wc -l <"$harness_output/stdout")" = 8000 ] || fail "not 8000 events"
  reads babeltrace $name/kernel
  [ "$(wc -l <"$harness_output/stdout")" = 8000 ] || fail "not 8000 events"
done
babeltrace2 --clock-seconds a/kernel | sed 's/^\[\([0-9]*\)\.\([0-9]*\)\] .*cpu_id = \([0-9]*\) .*/\1\2,\3/' >ours
second_opinion csv twin | sed 1d | cut -d, -f1,2 | cmp - ours
"$TRACETWIN" import -q "$(sample)" -o whole >/dev/null
"$TRACETWIN" split whole -o parts --train 0.1 --val 0.1 --test 0.8 --gap 0 >/dev/null
expect_exit 0 "$TRACETWIN" export parts/train -o busy --format ctf
for trace in a busy; do
  reads lttng-cputop --no-progress $trace/kernel
  grep -q 'Per-CPU Usage' "$harness_output/stdout" || fail "no usage"
  reads lttng-schedstats --no-progress $trace/kernel
  grep -q 'Scheduling latency stats' "$harness_output/stdout" || fail "no statistics"
  reads lttng-syscallstats --no-progress $trace/kernel
  grep -q 'Total syscalls' "$harness_output/stdout" || fail "no system calls"
  reads lttng-irqstats --no-progress $trace/kernel
done
grep -q 'Hard IRQ' "$harness_output/stdout" || fail "no interrupts"
# Back again: the same events, CPUs and threads.
expect_exit 0 "$TRACETWIN" import a/kernel -o back --json
expect_json events=8000 lost_events=0
[ "$(second_opinion csv back | cut -d, -f1-3 | md5sum)" = "$(second_opinion csv twin | cut -d, -f1-3 | md5sum)" ] ||
  fail "times, CPUs or threads differ"

for format in csv ctf; do
  cp -r b before-$format
  expect_exit 1 "$TRACETWIN" export twin -o b --format $format
  expect_stdout ''
  expect_stderr 'tracetwin export: b: already exists (-f overwrites)'
  diff -r b before-$format
done
expect_exit 0 "$TRACETWIN" export real/val -o b --format ctf -f --json
expect_json events=2859
