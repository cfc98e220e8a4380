# fill: lost-event gaps of a dataset filled by a masked model: counts, seeds, what is left alone, what can't be; and
# experiments/gaps.py, which measures it.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
real_parts
small=(--generator masked --context 32 --set width=32 --set layers=2 --set heads=2 --steps 3)
"$TRACETWIN" train -q real/train -o model "${small[@]}" >/dev/null

# gappy: real/test without 12 stretches of its CPUs' events; one gap more at its end, of nobody knows how many events.
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$SOURCE_DIR/experiments /usr/bin/python3 - <<END
from gaps import choose, cut, load, save, streams
meta, columns = load("real/test")
rows = streams(columns)
meta, columns = cut(meta, columns, rows, choose(rows, 7, 12, 1), 7)
meta["gaps"].append({"begin": int(columns["ts"][-1]), "end": int(columns["ts"][-1]), "lost": 0, "cpu": 0})
save("gappy", meta, columns)
END
expect_exit 0 "$TRACETWIN" info gappy --json
expect_json events=5636 lost_events=84

expect_exit 0 "$TRACETWIN" fill -q gappy --model model -o a --seed 3 --candidates 8 --json
expect_stderr ''
expect_stdout '{"gaps": 13, "filled_gaps": 12, "filled_events": 84, "events": 5720, "seed": 3}'
expect_exit 0 "$TRACETWIN" info a --json
expect_json events=5720 lost_events=0
expect_exit 0 "$TRACETWIN" fill -q gappy --model model -o b --seed 3 --candidates 8
diff -r a b
expect_exit 0 "$TRACETWIN" fill -q gappy --model model -o b --seed 4 --candidates 8 -f
! cmp -s a/shard-00000/event.npy b/shard-00000/event.npy || fail "another seed, the same events"
[ "$(second_opinion check a b | xargs)" = '5720 5720' ] || fail "numpy does not agree"
# Each CPU's stream is the real one but for the gaps, which are listed.
/usr/bin/python3 - <<END
import json, numpy
read = lambda path, name: numpy.load(f"{path}/shard-00000/{name}.npy")
meta = json.load(open("a/dataset.json"))
assert len(meta["filled"]) == 12 and len(meta["gaps"]) == 1 and meta["seed"] == 3 and not meta["synthetic"]
same = 0
for cpu in (0, 1):
    real, filled = (read(path, "ts")[read(path, "cpu") == cpu] for path in ("real/test", "a"))
    same += (real == filled).sum()
assert 5636 <= same < 5720, same
END

# Nothing to fill is nothing to do.
expect_exit 0 "$TRACETWIN" fill -q gappy --model model -o none --longest 6 --json
expect_json gaps=13 filled_gaps=0 filled_events=0 events=5636
cmp none/shard-00000/ts.npy gappy/shard-00000/ts.npy
expect_exit 0 "$TRACETWIN" fill -q gappy --model model -o best --best --candidates 4 --without network --without right

expect_exit 1 "$TRACETWIN" fill -q gappy --model model -o a
expect_exit 2 "$TRACETWIN" fill gappy -o no
expect_stderr '--model MODEL'
"$TRACETWIN" train -q real/train -o markov --generator markov >/dev/null
expect_exit 2 "$TRACETWIN" fill -q gappy --model markov -o no
expect_stdout ''
expect_stderr 'the generator markov cannot fill gaps'
for wrong in '--candidates 0' '--candidates 257' '--without left'; do
  # shellcheck disable=SC2086 # two words
  expect_exit 2 "$TRACETWIN" fill -q gappy --model model -o no $wrong
done
small_trace
"$TRACETWIN" import -q small -o other >/dev/null
expect_exit 4 "$TRACETWIN" fill -q other --model model -o no
expect_stderr 'the model was trained on other event names'
expect_exit 4 "$TRACETWIN" fill -q gappy --model real/train -o no
expect_exit 4 "$TRACETWIN" fill -q nothing --model model -o no

expect_exit 0 "$SOURCE_DIR/experiments/gaps.py" --tracetwin "$TRACETWIN" --lengths 2 --cuts 3 --seeds 1 model \
  real/train real/test sample
[ "$(wc -l <"$harness_output/stdout")" = 7 ] || fail "not a row a method"
grep -q '^sample,2,1,lookup,3,' "$harness_output/stdout" || fail "no look-up"
expect_files a b best gappy markov model none other real small
