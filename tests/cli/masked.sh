# train and generate with masked diffusion in blocks, a few steps of it: counts, seeds, threads, the model's
# folder, that nothing is drawn which training never had, and the other orders.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
. "$SOURCE_DIR/tests/cli/lib/systems.sh" || exit 1
train_and_generate masked
expect_refused masked '--context 4' '--stream merged' '--channels base' '--backbone unet' '--set block=0' \
  '--set order=right' '--set sampler=ddim'
for order in random confidence; do
  expect_exit 0 "$TRACETWIN" train -q real/train -o $order "${small[@]}" --set order=$order --set reveals=2
  expect_exit 0 "$TRACETWIN" generate -q $order -o twin-$order --events 2000
done
expect_files a again b c c.json check.json confidence model random real twin-confidence twin-random
