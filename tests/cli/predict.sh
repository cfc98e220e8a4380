# predict: the scores' fields and ranges; the same seed gives the same scores.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
real_parts
predict() { "$TRACETWIN" predict -q --val real/val --test real/test --json "$@"; }

expect_exit 0 predict --train real/train --steps 160
expect_stderr ''
expect_json macro_f1 weighted_f1 accuracy top5 top10 classes steps=160 seed=1
cp "$harness_output/stdout" scores
# 160 steps see each event four times: little, but far more than chance (0.1 for ten of 99) knows.
python3 - scores <<'PYTHON'
import json, sys
r = json.load(open(sys.argv[1]))
assert 0 < r["macro_f1"] < 1 and 0 < r["weighted_f1"] < 1, r
assert 0.02 < r["accuracy"] < r["top5"] < r["top10"] <= 1 and r["top10"] > 0.4, r
PYTHON
# The classes are those of the real test data.
[ "$(json classes)" = "$(/usr/bin/python3 -c 'import numpy; print(len(numpy.unique(numpy.load("real/test/shard-00000/event.npy"))))')" ] ||
  fail "$(json classes) classes"

expect_exit 0 predict --train real/train --steps 4 --seed 5
cp "$harness_output/stdout" first
expect_exit 0 predict --train real/train --steps 4 --seed 5
expect_stdout "$(cat first)"
expect_exit 0 predict --train real/train --steps 4 --seed 6
! cmp -s <(sed 's/"seed": 6/"seed": 5/' "$harness_output/stdout") first || fail "another seed, the same scores"
# Two datasets, fewer channels, each CPU's stream.
expect_exit 0 predict --train real/train --train real/val --channels base --stream cpu --steps 16
expect_json steps=16 seed=1 accuracy

# The first dataset's events are the classes: a trace as LTTng calls them knows none of perf's test events, whatever follows.
"$TRACETWIN" export real/val -o lttng --format ctf -q >/dev/null
"$TRACETWIN" import lttng/kernel -o renamed -q >/dev/null
expect_exit 0 predict --train renamed --train real/train --steps 16
expect_json accuracy=0 macro_f1=0 top10=0
expect_exit 0 predict --train real/train --train renamed --steps 16
[ "$(json top10)" != 0 ] || fail "real first: nothing is known"

expect_exit 2 predict --steps 1
expect_stdout ''
expect_stderr '--train, --val and --test are needed'
expect_exit 2 predict --train real/train --channels nonsense
expect_stderr nonsense
expect_exit 4 predict --train no/such --steps 1
expect_stdout ''
expect_stderr 'no/such: '
expect_files first lttng real renamed scores
