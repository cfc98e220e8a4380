# train and generate with the diffusion model, a few steps of it: counts, seeds, the model's folder.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
real_parts
small=(--generator ddpm --context 64 --set width=48 --set layers=2 --set heads=2 --set steps=6 --steps 3)

expect_exit 0 "$TRACETWIN" train -q real/train -o model --val real/val "${small[@]}" --seed 7 --json
expect_stderr ''
expect_json generator=ddpm steps=3 parameters events_per_second loss val_loss seed=7
[ "$(json parameters)" -gt 100000 ] || fail "$(json parameters) parameters"
expect_exit 0 "$TRACETWIN" info model --json
expect_json kind=model generator=ddpm steps=3 seed=7
expect_exit 0 "$TRACETWIN" train real/train -o again --val real/val "${small[@]}" --seed 7
cmp model/model.safetensors again/model.safetensors
expect_exit 0 "$TRACETWIN" train real/train -o other "${small[@]}" --seed 8 --json
expect_json seed=8
! cmp -s model/model.safetensors other/model.safetensors || fail "another seed, the same model"

# Longer than a window, and no multiple of one.
expect_exit 0 "$TRACETWIN" generate -q model -o a --events 131 --seed 3 --json
expect_stderr ''
expect_json events=131 events_per_second seed=3
expect_exit 0 "$TRACETWIN" generate model -o b --events 131 --seed 3
diff -r a b
expect_exit 0 "$TRACETWIN" generate model -o c --events 131 --seed 4
! cmp -s a/shard-00000/event.npy c/shard-00000/event.npy || fail "another seed, the same events"
[ "$(second_opinion check a b c | xargs)" = '131 131 131' ] || fail "numpy does not agree"

# The other backbone, fewer channels, the published configuration: whole events all the same.
expect_exit 0 "$TRACETWIN" train real/train -o unet "${small[@]}" --backbone unet --channels base --set self=1 --seed 7
expect_exit 0 "$TRACETWIN" generate unet -o d --events 131 --seed 3
expect_exit 0 "$TRACETWIN" train real/train -o original "${small[@]}" --original --set fresh=64 --set steps=3 --json
expect_json generator=ddpm steps=3
expect_exit 0 "$TRACETWIN" generate original -o e --events 131 --seed 3
[ "$(second_opinion check d e | xargs)" = '131 131' ] || fail "numpy does not agree"
grep -q '"backbone": "unet"' unet/model.json || fail "no U-Net"
for published in '"stream": "merged"' '"positions": "0"' '"h0": "sum"' '"dt": "seconds"' '"decode": "argmax"' \
    '"levels": "all"' '"sampler": "ddim"'; do
  grep -q "$published" original/model.json || fail "not as published: $published"
done

for wrong in '--context 63' '--context 8192' '--backbone nonsense' '--set nonsense=1'; do
  # shellcheck disable=SC2086 # two words
  expect_exit 2 "$TRACETWIN" train real/val -o no --generator ddpm --steps 1 $wrong
  expect_stdout ''
done
expect_exit 2 "$TRACETWIN" train real/val -o no --generator ddpm --steps 1 --minutes 1
expect_stderr '--steps and --minutes exclude each other'
expect_files a again b c d e model original other real unet
