# train, generate and check with the rule-based generator: learned rules, given ones, edited ones, bad ones.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
real_parts
"$TRACETWIN" constraints real/train -o c.json >/dev/null

expect_exit 0 "$TRACETWIN" train real/train -o model --generator rules --seed 7 --json
expect_stderr ''
expect_json generator=rules parameters steps=20016 events_per_second seed=7
[ "$(json parameters)" -gt 1000 ] || fail "$(json parameters) numbers"
[ "$(ls model | xargs)" = 'model.json rules.json' ] || fail "the model holds $(ls model)"
expect_exit 0 "$TRACETWIN" info model --json
expect_json kind=model generator=rules seed=7
expect_exit 0 "$TRACETWIN" train real/train -o again --generator rules --seed 7 -q
cmp model/rules.json again/rules.json
expect_exit 0 "$TRACETWIN" generate model -o a --events 20000 --seed 3 --json
expect_stderr ''
expect_json events=20000 seed=3
expect_exit 0 "$TRACETWIN" generate again -o b --events 20000 --seed 3 --threads 1
cmp a/shard-00000/ts.npy b/shard-00000/ts.npy
cmp a/shard-00000/event.npy b/shard-00000/event.npy
[ "$(second_opinion check a b | xargs)" = '20000 20000' ] || fail "numpy does not agree"
expect_exit 0 "$TRACETWIN" info a --json
expect_json kind=dataset events=20000 cpus=2 lost_events=0

# close to the constraints of what it learned from: a shuffled trace is at 1 in all of them
expect_exit 3 "$TRACETWIN" check a --constraints c.json --json
for figure in d_trans d_trans_cpu d_time d_cpu; do
  /usr/bin/python3 -c "import sys; sys.exit(not 0 <= float(sys.argv[1]) < 0.1)" "$(json $figure)" ||
    fail "$figure is $(json $figure)"
done

# the learned rules as given ones: the same twin; edited, and laid out anew by another tool: another
expect_exit 0 "$TRACETWIN" train real/train -o given --generator rules --set rules=model/rules.json --seed 7 --json
expect_json generator=rules steps=0
cmp model/rules.json given/rules.json
expect_exit 0 "$TRACETWIN" generate given -o c --events 20000 --seed 3
cmp a/shard-00000/event.npy c/shard-00000/event.npy
/usr/bin/python3 -c '
import json
with open("model/rules.json") as file:
    rules = json.load(file)
rules["interrupts"] = {}
with open("quiet.json", "w") as file:
    json.dump(rules, file)'
expect_exit 0 "$TRACETWIN" train real/train -o quiet --generator rules --set rules=quiet.json -q
expect_exit 0 "$TRACETWIN" generate quiet -o d --events 20000 --seed 3
! cmp -s a/shard-00000/event.npy d/shard-00000/event.npy || fail "no interrupts, the same events"

sed 's/"sched:sched_switch": /"sched:sched_swich": /' model/rules.json >typing.json
expect_exit 4 "$TRACETWIN" train real/train -o no --generator rules --set rules=typing.json
expect_stdout ''
expect_stderr 'typing.json: '
expect_stderr 'the training dataset has no event "sched:sched_swich"'
head -c 5000 model/rules.json >cut.json
expect_exit 4 "$TRACETWIN" train real/train -o no --generator rules --set rules=cut.json
expect_stderr 'cut.json:'
expect_exit 4 "$TRACETWIN" train real/train -o no --generator rules --set rules=nowhere.json
expect_stderr 'nowhere.json'
expect_exit 2 "$TRACETWIN" train real/train -o no --generator rules --set chains=many
expect_stderr 'chains=many'
expect_exit 2 "$TRACETWIN" train real/train -o no --generator rules --stream merged
cp cut.json again/rules.json
expect_exit 4 "$TRACETWIN" generate again -o no --events 10
expect_stderr 'again/rules.json:'
expect_files a again b c c.json cut.json d given model quiet quiet.json real typing.json
