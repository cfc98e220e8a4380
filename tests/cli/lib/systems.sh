# What every generator of systems (`ar`, `masked`) is tested for; sourced after harness.sh.

# same_for_all_threads MODEL: a twin of enough events for two teams of replicas is the same with one thread and with two.
same_for_all_threads() {
  local threads
  for threads in 1 2; do
    expect_exit 0 "$TRACETWIN" generate -q "$1" -o "$T/by-$threads" --events 18000 --seed 3 --threads "$threads"
  done
  diff -r "$T/by-1/shard-00000" "$T/by-2/shard-00000" || fail "the twin depends on the number of threads"
  rm -rf "$T/by-1" "$T/by-2"
}

# train_and_generate GENERATOR: the same model for the same seed, twins of the size asked for, the same for any
# number of threads, with nothing that training never had. Leaves real, model, again, a, b, c, c.json, check.json, and in
# `small` options with which it trains in a second.
train_and_generate() {
  real_parts
  small=(--generator "$1" --context 32 --set width=32 --set layers=2 --set heads=2 --steps 3)
  expect_exit 0 "$TRACETWIN" train -q real/train -o model --val real/val "${small[@]}" --seed 7 --json
  expect_stderr ''
  expect_json "generator=$1" steps=3 parameters events_per_second loss val_loss seed=7
  local precision=f32
  grep -q avx512_bf16 /proc/cpuinfo && precision=bf16
  expect_json precision=$precision
  expect_exit 0 "$TRACETWIN" info model --json
  expect_json kind=model "generator=$1" steps=3 seed=7
  expect_exit 0 "$TRACETWIN" train real/train -o again --val real/val "${small[@]}" --seed 7
  cmp model/model.safetensors again/model.safetensors
  expect_exit 0 ls -A model
  expect_stdout $'model.json\nmodel.safetensors\nprior'

  expect_exit 0 "$TRACETWIN" generate -q model -o a --events 4131 --seed 3 --json
  expect_stderr ''
  expect_json events=4131 events_per_second seed=3
  expect_exit 0 "$TRACETWIN" generate model -o b --events 4131 --seed 3
  diff -r a b
  same_for_all_threads model
  expect_exit 0 "$TRACETWIN" generate model -o c --events 4131 --seed 4
  ! cmp -s a/shard-00000/event.npy c/shard-00000/event.npy || fail "another seed, the same events"
  [ "$(second_opinion check a b c | xargs)" = '4131 4131 4131' ] || fail "numpy does not agree"
  "$TRACETWIN" constraints real/train -o c.json >/dev/null
  "$TRACETWIN" check a -c c.json --json >check.json || true
  # CPUs are right by construction; the rest but at the seams and where nothing else is left to draw
  python3 -c '
import json
d = json.load(open("check.json"))
assert d["d_cpu"] == 0 and d["d_attr"] < 0.005 and d["d_trans_cpu"] < 0.02, d'
}

# expect_refused GENERATOR OPTIONS...: each OPTIONS (words) is wrong.
expect_refused() {
  local generator=$1 wrong
  shift
  for wrong in "$@"; do
    # shellcheck disable=SC2086 # two words
    expect_exit 2 "$TRACETWIN" train real/val -o no --generator "$generator" --steps 1 $wrong
    expect_stdout ''
  done
}
