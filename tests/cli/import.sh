# import: every event of the trace, as babeltrace2 has it; datasets that numpy opens.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
trace=$(sample)

expect_exit 0 "$TRACETWIN" import "$trace" -o whole --json
expect_stdout '{"events": 285936, "event_types": 317, "comms": 47, "cpus": 2, "tids": 126, "duration_ns": 3781441615, "lost_events": 0}'
expect_stderr ''
expect_files whole
[ "$(second_opinion check whole)" = 285936 ] || fail "numpy does not agree"

# Event by event what babeltrace2 prints, but for the state dump at time 0. (The lines of perf's side-band events say
# neither thread nor, rightly, CPU.)
babeltrace2 "$trace" >text
[ "$(grep -vc '^\[00:00:00.000000000\]' text)" = 285936 ] || fail "babeltrace2 counts otherwise"
/usr/bin/python3 "$SOURCE_DIR/tests/cli/lib/babeltrace_csv.py" <text >expected
second_opinion csv whole | sed 1d | awk -F, -v OFS=, '{ if ($5 ~ /^perf_/) $2 = $3 = ""; print $1, $2, $3, $5, $6 }' >rows
cmp expected rows
second_opinion csv whole | awk -F, 'NR > 1 && $4 == ""' >nameless
[ "$(wc -l <nameless)" -lt 286 ] || fail "$(wc -l <nameless) events of threads without a name"

# The same whatever the number of decoders; as text; quiet.
expect_exit 0 "$TRACETWIN" import "$trace" -o one --threads 1 -q
expect_stdout 'events               285936
event_types          317
comms                47
cpus                 2
tids                 126
duration_ns          3781441615
lost_events          0'
expect_stderr ''
diff -r whole one

# Two traces, one after the other; the label and the checksum of each source.
small_trace
expect_exit 0 "$TRACETWIN" import small/trace small -o two --label twice --json
expect_json events=18530 lost_events=0
[ "$(second_opinion check two)" = 18530 ] || fail "numpy does not agree"
expect_exit 0 cat two/dataset.json
expect_json sources.0.events=9265 sources.1.first=9265 sources.1.path=small sources.0.label=twice \
  sources.1.format=ctf-perf
expect_exit 0 "$TRACETWIN" import small/trace small -o labelled --label compile --label idle -q
expect_exit 0 cat labelled/dataset.json
expect_json sources.0.label=compile sources.1.label=idle sources.1.events=9265
expect_exit 2 "$TRACETWIN" import small -o no --label compile --label idle
expect_stderr 'tracetwin import: 2 labels for 1 traces'
rm -r labelled
expect_exit 0 cat two/dataset.json
[[ $(json sources.0.sha256) =~ ^[0-9a-f]{64}$ ]] || fail "no checksum"

# Nothing is overwritten without -f.
cp -r two before
expect_exit 1 "$TRACETWIN" import small -o two
expect_stdout ''
expect_stderr 'tracetwin import: two: already exists (-f overwrites)'
diff -r two before
expect_exit 0 "$TRACETWIN" import small -o two -f --json
expect_json events=9265
expect_files before expected nameless one rows small text two whole
