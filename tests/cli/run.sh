# run: from a trace to its evaluated twin; every file of it, the same twin again, and nothing overwritten.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
small_trace
entries='constraints.json
ctf
dataset
model
raw
report.json
split
twin'

expect_exit 0 "$TRACETWIN" run -q small -o out --generator markov --context 4 --events 1500 --seed 9 --json
expect_stderr ''
cmp out/report.json "$harness_output/stdout"
expect_json seed=9 trace.events=9265 trace.event_types=132 trace.lost_events=0 generator.name=markov generator.context=4 trace.format=ctf-perf \
  distances.0.name='held-out real' distances.1.name='before repair' distances.2.name='after repair' \
  distances.2.d_trans=0.0 distances.2.d_time=0.0 distances.2.d_cpu=0.0 distances.2.d_attr=0.0 distances.2.events=1500 \
  repair.events=1500 repair.edit_rate fidelity.0 fidelity.1 utility.arms.2.macro_f1 utility.delta_f1 times.0.stage=import \
  peak_rss_bytes
[ "$(json times | python3 -c 'import json, sys; print(*(t["stage"] for t in json.load(sys.stdin)))')" = \
  'import split constraints train generate repair export evaluate' ] || fail "stages: $(json times)"
for entry in $entries; do
  json files | grep -qF "\"out/$entry\"" || fail "the report does not name out/$entry"
done
expect_exit 0 ls -A out
expect_stdout "$entries"
[ "$(second_opinion check out/dataset out/split/{train,val,test} out/raw out/twin | xargs)" = '9265 5674 810 1623 1500 1500' ] ||
  fail "numpy counts $(second_opinion check out/dataset out/split/{train,val,test} out/raw out/twin | xargs)"
expect_exit 0 "$TRACETWIN" check out/twin --constraints out/constraints.json --json
expect_json d_trans=0 d_time=0 d_cpu=0 d_attr=0
expect_exit 0 "$TRACETWIN" info out/model --json
expect_json kind=model generator=markov seed=9
expect_exit 0 babeltrace2 out/ctf/kernel
expect_stderr ''
[ "$(wc -l <"$harness_output/stdout")" = 1500 ] || fail "not 1500 events"
# Each step alone gives the same.
"$TRACETWIN" generate out/model -o raw --events 1500 --seed 9 -q >/dev/null
diff -r raw/shard-00000 out/raw/shard-00000
"$TRACETWIN" export out/twin -o ctf --format ctf -q >/dev/null
diff -r ctf out/ctf

# Not again without -f; with it, all is replaced. The summary names what matters.
cp -r out before
expect_exit 1 "$TRACETWIN" run small -o out --generator markov --events 500
expect_stdout ''
expect_stderr 'tracetwin run: out: already exists (-f overwrites)'
diff -r out before
expect_exit 0 "$TRACETWIN" run -q small/trace -o out --generator markov --events 1200 --seed 9 -f
expect_stderr ''
for word in TRTR TSTR COMBINED 'after repair' 'out/ctf' 'out/report.json'; do
  grep -qF "$word" "$harness_output/stdout" || fail "the summary does not say $word"
done
[ "$(second_opinion check out/twin)" = 1200 ] || fail "the twin is the old one"
expect_files before ctf out raw small
