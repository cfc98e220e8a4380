# train and generate with the n-gram generator: exact counts, seeds, the model's folder.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
real_parts

expect_exit 0 "$TRACETWIN" train real/train -o model --val real/val --generator markov --seed 7 --json
expect_stderr ''
expect_json generator=markov parameters steps events_per_second loss val_loss precision=none seed=7
[ "$(json parameters)" -gt 100 ] || fail "$(json parameters) counts"
[ "$(json val_loss)" != null ] || fail "no val_loss"
parameters=$(json parameters)
expect_exit 0 "$TRACETWIN" info model --json
expect_json kind=model generator=markov parameters="$parameters" seed=7
expect_exit 0 "$TRACETWIN" train real/train -o again --val real/val --generator markov --seed 7 -q
cmp model/model.safetensors again/model.safetensors
expect_exit 0 "$TRACETWIN" train real/train -o first-order --generator markov --context 1 --json
expect_json generator=markov
[ "$(json val_loss)" = null ] || fail "val_loss without --val"
[ "$(json parameters)" -lt "$parameters" ] || fail "order 1 counts as much as order 5"

expect_exit 0 "$TRACETWIN" generate model -o a --events 5000 --seed 3 --json
expect_stderr ''
expect_json events=5000 events_per_second seed=3
expect_exit 0 "$TRACETWIN" generate model -o b --events 5000 --seed 3 --threads 1
diff -r a b
expect_exit 0 "$TRACETWIN" generate model -o c --events 5000 --seed 4
! cmp -s a/shard-00000/event.npy c/shard-00000/event.npy || fail "another seed, the same events"
expect_exit 0 "$TRACETWIN" generate model -o one --events 1 --json
expect_json events=1 seed=1
[ "$(second_opinion check a b c one | xargs)" = '5000 5000 5000 1' ] || fail "numpy does not agree"
expect_exit 0 "$TRACETWIN" info a --json
expect_json kind=dataset events=5000 cpus=2 lost_events=0
expect_exit 0 cat a/dataset.json
expect_json synthetic=true seed=3

expect_exit 1 "$TRACETWIN" generate model -o a --events 10
expect_stdout ''
expect_stderr 'tracetwin generate: a: already exists (-f overwrites)'
diff -r a b
expect_exit 1 "$TRACETWIN" train real/train -o model --generator markov
expect_stdout ''
expect_stderr 'tracetwin train: model: already exists (-f overwrites)'
cmp model/model.safetensors again/model.safetensors
expect_exit 0 "$TRACETWIN" train real/val -o model --generator markov -f
! cmp -s model/model.safetensors again/model.safetensors || fail "the model is the old one"

expect_exit 2 "$TRACETWIN" generate model -o no
expect_stderr '--events N is missing'
expect_exit 2 "$TRACETWIN" generate model --events 5
expect_stderr '-o DATASET is missing'
for wrong in '--generator nonsense' '--channels event,nonsense' '--stream nonsense' '--context 7' '--set nonsense=1' \
  '--set nonsense'; do
  # shellcheck disable=SC2086 # two words
  expect_exit 2 "$TRACETWIN" train real/val -o no --generator markov $wrong
  expect_stdout ''
  expect_stderr "$([[ $wrong = *context* ]] && echo 7 || echo nonsense)"
done
expect_files a again b c first-order model one real
