# train and generate with the autoregressive model, a few steps of it: counts, seeds, the model's
# folder, and that nothing is drawn which training never had.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
. "$SOURCE_DIR/tests/cli/lib/systems.sh" || exit 1
train_and_generate ar
expect_refused ar '--context 4' '--stream merged' '--channels base' '--backbone unet' '--set prior=2' '--set sampler=ddim'
expect_files a again b c c.json check.json model real
