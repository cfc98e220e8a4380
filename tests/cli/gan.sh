# train and generate with both sequence GANs, a few steps of each: counts, seeds, the model's folder.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
real_parts
small=(--context 16 --set width=32 --set batch=16 --set filters=16 --set d_pretrain=3 --set d_steps=1 --steps 10)

for name in seqgan maligan; do
  own=(--set rollouts=2 --set every=4)
  [ $name = seqgan ] || own=(--set mixed=1)
  expect_exit 0 "$TRACETWIN" train -q real/train -o $name --val real/val --generator $name "${small[@]}" "${own[@]}" --seed 7 --json
  expect_stderr ''
  expect_json generator=$name steps=10 parameters events_per_second loss val_loss seed=7
  [ "$(ls $name | xargs)" = 'attributes model.json model.safetensors' ] || fail "the model holds $(ls $name)"
  expect_exit 0 "$TRACETWIN" info $name --json
  expect_json kind=model generator=$name steps=10 seed=7
  expect_exit 0 "$TRACETWIN" train real/train -o again-$name --val real/val --generator $name "${small[@]}" "${own[@]}" --seed 7
  cmp $name/model.safetensors again-$name/model.safetensors
  expect_exit 0 "$TRACETWIN" generate -q $name -o a-$name --events 1001 --seed 3 --json
  expect_stderr ''
  expect_json events=1001 events_per_second seed=3
  expect_exit 0 "$TRACETWIN" generate again-$name -o b-$name --events 1001 --seed 3
  diff -r -x dataset.json a-$name b-$name
  expect_exit 0 "$TRACETWIN" generate $name -o c-$name --events 1001 --seed 4
  ! cmp -s a-$name/shard-00000/event.npy c-$name/shard-00000/event.npy || fail "another seed, the same events"
  [ "$(second_opinion check a-$name c-$name | xargs)" = '1001 1001' ] || fail "numpy does not agree"
done

# no discriminator at all: both are the same model
for name in seqgan maligan; do
  expect_exit 0 "$TRACETWIN" train -q real/train -o only-$name --generator $name "${small[@]}" --set pretrain=1 --seed 7
done
cmp only-seqgan/model.safetensors only-maligan/model.safetensors

for wrong in '--context 7' '--context 8192' '--backbone unet' '--channels base' '--set nonsense=1' '--set clip=0.1'; do
  # shellcheck disable=SC2086 # two words
  expect_exit 2 "$TRACETWIN" train real/val -o no --generator seqgan --steps 1 $wrong
  expect_stdout ''
done
expect_exit 2 "$TRACETWIN" train real/val -o no --generator maligan --steps 1 --set rollouts=2
expect_stderr 'generator maligan has no option "rollouts"'
printf x | dd of=seqgan/attributes/model.safetensors bs=1 seek=3 conv=notrunc status=none
expect_exit 4 "$TRACETWIN" generate seqgan -o no --events 10
expect_stderr 'attributes/model.safetensors'
