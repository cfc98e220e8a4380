# split: by time, exact counts, the parts are slices of the whole.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
"$TRACETWIN" import -q "$(sample)" -o whole >/dev/null

# Of 285936 events 4096 are dropped at each cut; 70, 10 and 20 % of the other 277744, rounded down but the last.
expect_exit 0 "$TRACETWIN" split whole -o parts --json
expect_stdout '{"train": 194420, "val": 27774, "test": 55550}'
expect_stderr ''
expect_exit 0 ls -A parts
expect_stdout $'test\ntrain\nval'
[ "$(second_opinion check parts/train parts/val parts/test | xargs)" = '194420 27774 55550' ] || fail "numpy does not agree"
second_opinion csv whole | sed 1d >rows
cmp <(head -n 194420 rows) <(second_opinion csv parts/train | sed 1d)
cmp <(tail -n +$((194420 + 4096 + 1)) rows | head -n 27774) <(second_opinion csv parts/val | sed 1d)
cmp <(tail -n 55550 rows) <(second_opinion csv parts/test | sed 1d)

expect_exit 0 "$TRACETWIN" split whole -o other --train 0.5 --val 0.25 --test 0.25 --gap 0
expect_stdout $'train                142968\nval                  71484\ntest                 71484'
# A small dataset loses at most an eighth: 1/16 at each cut.
expect_exit 0 "$TRACETWIN" split other/val -o small --gap 1000000 --json
expect_stdout '{"train": 43785, "val": 6255, "test": 12510}'

# What cannot be split.
expect_exit 2 "$TRACETWIN" split whole -o no --train 0.5 --val 0.6 --test 0.2
expect_stdout ''
expect_stderr 'must be above 0 and sum to 1, not 0.5 + 0.6 + 0.2'
expect_exit 2 "$TRACETWIN" split whole -o no --train 0.8 --val 0
expect_stdout ''
expect_exit 2 "$TRACETWIN" split whole -o no --gap -1
expect_exit 2 "$TRACETWIN" split whole
expect_stderr '-o DIR is missing'
expect_exit 4 "$TRACETWIN" split whole -o no --train 0.0000001 --val 0.4 --test 0.5999999
expect_stdout ''
expect_stderr 'whole'
expect_exit 1 "$TRACETWIN" split whole -o small
expect_stdout ''
expect_stderr 'tracetwin split: small: already exists (-f overwrites)'
expect_exit 0 "$TRACETWIN" split whole -o small -f --json
expect_stdout '{"train": 194420, "val": 27774, "test": 55550}'
diff -r small parts
expect_files other parts rows small whole

# Two workloads: each gives every part its share, its source and its label.
small_trace
"$TRACETWIN" import -q small/trace small/trace small -o mixed --label a --label a --label b
expect_exit 0 "$TRACETWIN" split mixed -o mixed.split --gap 100 --json
expect_stdout '{"train": 19176, "val": 2739, "test": 5480}'
[ "$(second_opinion check mixed.split/train mixed.split/val mixed.split/test | xargs)" = '19176 2739 5480' ] ||
  fail "numpy does not agree"
second_opinion csv mixed | sed 1d >rows
# of workload a, 18530 events, 18330 are kept; of b 9065 of 9265
cmp <(sed -n '1,12831p; 18531,24875p' rows) <(second_opinion csv mixed.split/train | sed 1d)
cmp <(sed -n '14865,18530p; 25982,$p' rows) <(second_opinion csv mixed.split/test | sed 1d) ||
  fail "test is not the end of both"
expect_exit 0 cat mixed.split/train/dataset.json
expect_json sources.0.label=a sources.1.label=a sources.2.label=b sources.2.first=12831 sources.2.events=6345
