# train and generate with the autoregressive model, a few steps of it: counts, seeds, the model's
# folder, and that nothing is drawn which training never had.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
real_parts
small=(--generator ar --context 32 --set width=32 --set layers=2 --set heads=2 --steps 3)

expect_exit 0 "$TRACETWIN" train -q real/train -o model --val real/val "${small[@]}" --seed 7 --json
expect_stderr ''
expect_json generator=ar steps=3 parameters events_per_second loss val_loss seed=7
precision=f32
grep -q avx512_bf16 /proc/cpuinfo && precision=bf16
expect_json precision=$precision
expect_exit 0 "$TRACETWIN" info model --json
expect_json kind=model generator=ar steps=3 seed=7
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

for wrong in '--context 4' '--stream merged' '--channels base' '--backbone unet' '--set prior=2' '--set sampler=ddim'; do
  # shellcheck disable=SC2086 # two words
  expect_exit 2 "$TRACETWIN" train real/val -o no --generator ar --steps 1 $wrong
  expect_stdout ''
done
expect_files a again b c c.json check.json model real
