# Workload labels: import --label, one model of several workloads, info, generate --label; the documented commands
# of docs/generators.md.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
small_trace
babeltrace2 "$(sample)" --begin=2110.2 --end=2110.35 -o ctf -w other >/dev/null
mv small web
mv other batch
PATH=$(dirname "$TRACETWIN"):$PATH
sed -n '/^```sh labels$/,/^```$/{/^```/d;p}' "$SOURCE_DIR/docs/generators.md" | sed -E 's/--minutes [0-9]+/--steps 2/' >commands
[ "$(grep -c '^tracetwin ' commands)" -ge 5 ] || fail "few commands"
expect_exit 0 bash -euo pipefail -x commands
expect_exit 0 cat night/dataset.json
expect_json sources.0.label=batch sources.0.format=synthetic sources.0.events=20000
expect_exit 0 cat day/dataset.json
expect_json sources.0.label=web sources.1.label=batch sources.0.first=0

rm -rf model night day
for generator in markov ar masked; do
  settings=()
  [ $generator = markov ] || settings=(--context 32 --set width=32 --set layers=1 --set heads=2 --steps 3)
  expect_exit 0 tracetwin train -q split/train --val split/val -o model -f --generator $generator "${settings[@]}" --json
  expect_json generator=$generator loss val_loss
  expect_exit 0 tracetwin info model --json
  expect_json kind=model labels.web=5674 labels.batch=19924
  # a twin of one workload has no event and no thread that only the other one had
  for label in web batch; do
    expect_exit 0 tracetwin generate -q model -o $label.twin -f --label $label --events 3000 --seed 2 --json
    expect_stderr ''
    expect_json events=3000 seed=2
    expect_exit 0 cat $label.twin/dataset.json
    expect_json sources.0.label=$label
    /usr/bin/python3 - split/train $label.twin $label <<'PYTHON'
import json, sys
import numpy
def rows(path, label):
    meta = json.load(open(path + "/dataset.json"))
    event, tid, comm = (numpy.load(f"{path}/shard-00000/{c}.npy") for c in ("event", "tid", "comm"))
    for s in meta["sources"]:
        if s["label"] == label:
            at = slice(s["first"], s["first"] + s["events"])
            yield from zip(event[at].tolist(), tid[at].tolist(), comm[at].tolist())
real, twin = set(rows(sys.argv[1], sys.argv[3])), set(rows(sys.argv[2], sys.argv[3]))
assert twin and {e for e, _, _ in twin} <= {e for e, _, _ in real}, "events"
assert {t for _, t, _ in twin} <= {t for _, t, _ in real}, "threads"
assert {c for _, _, c in twin} <= {c for _, _, c in real}, "comms"
PYTHON
  done
  expect_exit 0 tracetwin generate -q model -o a -f --events 3000 --seed 2
  expect_exit 0 tracetwin generate -q model -o b -f --events 3000 --seed 2
  diff -r a b
  expect_exit 0 cat a/dataset.json # in their shares: 3000 * 5674 / 25598
  expect_json sources.0.label=web sources.0.events=664 sources.1.label=batch sources.1.first=664 sources.1.events=2336
  # both at once: more of a rare event, in one workload
  expect_exit 0 tracetwin generate -q model -o c -f --label web --events 3000 --amplify sched:sched_migrate_task=8 --json
  expect_json factors.sched:sched_migrate_task=8
  expect_exit 2 tracetwin generate model -o no --label night --events 10
  expect_stdout ''
  expect_stderr "tracetwin generate: no workload 'night': the model knows web, batch"
done

# What knows no labels says so.
expect_exit 0 tracetwin train -q split/train -o rules --generator rules
expect_exit 2 tracetwin generate rules -o no --label web --events 10
expect_stdout ''
expect_stderr 'tracetwin generate: the generator rules does not tell workloads apart'
expect_exit 0 tracetwin import -q web -o plain
expect_exit 0 tracetwin train -q plain -o plain.model --generator markov
expect_exit 0 tracetwin info plain.model --json
! grep -q labels "$harness_output/stdout" || fail "labels out of nowhere"
expect_exit 2 tracetwin generate plain.model -o no --label web --events 10
expect_stderr "no workload 'web': the model was trained on data without labels"
# validation data of another workload
expect_exit 4 tracetwin train -q split/train --val plain -o no --generator markov
expect_stderr "plain has events of the workload '', which split/train does not have"
[ ! -e no ] || fail "something was left behind"
