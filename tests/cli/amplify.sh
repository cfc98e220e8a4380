# generate --amplify and --min-share: more of the rare, where it may come.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
real_parts
"$TRACETWIN" train -q real/train -o model --generator markov >/dev/null
event=sched:sched_migrate_task

expect_exit 0 "$TRACETWIN" generate model -o plain --events 400000 --amplify $event=1 --json
expect_json events=400000 "factors.$event=1"
plain=$(json "shares.$event")
expect_exit 0 "$TRACETWIN" generate model -o more --events 400000 --amplify $event=x8 --json
expect_json "factors.$event=8"
more=$(json "shares.$event")
awk -v a="$plain" -v b="$more" 'BEGIN { exit !(b > 2 * a) }' || fail "8 times as likely: from $plain to $more"
# no transition that training never had
expect_exit 0 "$TRACETWIN" constraints real/train -o c.json
expect_exit 3 "$TRACETWIN" check more --constraints c.json --json
expect_json d_trans_cpu=0

expect_exit 0 "$TRACETWIN" generate model -o share --events 50000 --min-share $event=0.005 --json
awk -v a="$(json "shares.$event")" 'BEGIN { exit !(a >= 0.005) }' || fail "its share is $(json "shares.$event")"
expect_exit 0 "$TRACETWIN" generate model -o again --events 50000 --min-share $event=0.005 --json
diff -r share again

# A network heeds them too.
small=(--context 16 --set width=16 --set layers=1 --set heads=1 --steps 1)
for generator in ar masked; do
  "$TRACETWIN" train -q real/train -o network -f --generator $generator "${small[@]}" >/dev/null
  expect_exit 0 "$TRACETWIN" generate -q network -o few --events 20000 --amplify $event=1 --json
  plain=$(json "shares.$event")
  expect_exit 0 "$TRACETWIN" generate -q network -o many -f --events 20000 --amplify $event=64 --json
  awk -v a="$plain" -v b="$(json "shares.$event")" 'BEGIN { exit !(b > 3 * a) }' ||
    fail "$generator: from $plain to $(json "shares.$event")"
  # what forbids events does so as before
  expect_exit 3 "$TRACETWIN" check few --constraints c.json --json
  attr=$(json d_attr)
  expect_exit 3 "$TRACETWIN" check many --constraints c.json --json
  awk -v a="$(json d_trans_cpu)" -v b="$(json d_attr)" -v c="$attr" 'BEGIN { exit !(a < 0.01 && b < c + 0.01) }' ||
    fail "$generator: $(cat "$harness_output/stdout")"
  rm -r few
done
rm -r network many

# What can't be had, and what makes no sense, leaves nothing behind.
expect_exit 1 "$TRACETWIN" generate model -o no --events 5000 --min-share $event=0.9
expect_stdout ''
expect_stderr "$event has a share of"
for wrong in "--amplify $event" '--amplify nonsense=2' "--amplify $event=0" "--amplify $event=-1" "--amplify $event=2y" \
  "--min-share $event=1" "--amplify $event=2 --min-share $event=0.1"; do
  # shellcheck disable=SC2086 # two words
  expect_exit 2 "$TRACETWIN" generate model -o no --events 5000 $wrong
  expect_stdout ''
done
"$TRACETWIN" train -q real/train -o other --generator rules >/dev/null
expect_exit 2 "$TRACETWIN" generate other -o no --events 5000 --amplify $event=2
expect_stderr 'tracetwin generate: the generator rules cannot make events likelier'
expect_files again c.json model more other plain real share
