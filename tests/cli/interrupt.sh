# Ctrl-C: training leaves a checkpoint that --resume finishes to the very bytes of an uninterrupted run; run leaves what it
# has finished; all else leaves nothing. Exit 130.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
real_parts
after() { python3 "$SOURCE_DIR/tests/cli/lib/interrupt.py" "$@"; } # [PATH+]SECONDS SIGNAL COMMAND...

interrupted() { # [PATH+]SECONDS COMMAND...
  local moment=$1
  shift
  expect_exit 130 after "$moment" SIGINT "$TRACETWIN" "$@"
  expect_stdout ''
  expect_stderr 'tracetwin: stopping; again to leave at once'
}

steps=150
train=(train real/train --val real/val --generator ddpm --context 64 --set width=48 --set layers=2 --set heads=2
  --seed 3 --steps $steps -q)
started=$EPOCHREALTIME
expect_exit 0 "$TRACETWIN" "${train[@]}" -o whole --json
took=$(awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')

# Somewhere in the middle; sooner when the machine has become quicker meanwhile.
for share in 0.4 0.2 0.1 0.05; do
  after "$(awk -v t="$took" -v s=$share 'BEGIN { print s * t }')" SIGINT "$TRACETWIN" "${train[@]}" -o model >/dev/null 2>&1 || break
  rm -r model
done
expect_files model.checkpoint real whole
# The work is not lost by accident.
expect_exit 1 "$TRACETWIN" "${train[@]}" -o model
expect_stdout ''
expect_stderr 'model.checkpoint: an interrupted training (--resume goes on with it, -f begins anew)'
# Interrupted again while resuming: what was done stays done.
expect_exit 130 after 0.3 SIGINT "$TRACETWIN" "${train[@]}" -o model --resume
expect_stdout ''
expect_stderr 'tracetwin train: stopped; the checkpoint is model.checkpoint, go on with --resume'
expect_files model.checkpoint real whole
expect_exit 0 "$TRACETWIN" "${train[@]}" -o model --resume --json
expect_json generator=ddpm steps=$steps seed=3
expect_files model real whole
cmp model/model.safetensors whole/model.safetensors

# Without a checkpoint there is nothing to resume; a finished model is not overwritten.
expect_exit 4 "$TRACETWIN" "${train[@]}" -o other --resume
expect_stdout ''
expect_stderr 'other.checkpoint: no checkpoint to go on from'
expect_exit 1 "$TRACETWIN" "${train[@]}" -o model --resume
expect_stderr 'model: already exists (-f overwrites)'
cmp model/model.safetensors whole/model.safetensors

# What has no checkpoint leaves nothing: neither files nor processes.
traces=()
for _ in {1..40}; do traces+=("$(sample)"); done
interrupted 0.7 import "${traces[@]}" -o out
interrupted 0.7 run "${traces[@]}" -o out # nothing is finished yet
interrupted 0.7 generate model -o out --events 1000000
interrupted 0.7 predict --train real/train --val real/val --test real/test --steps 1000000
interrupted 1.5 evaluate --train real/train --val real/val --test real/test --synthetic real/val -o out
# SIGTERM is the same.
expect_exit 130 after 0.7 SIGTERM "$TRACETWIN" generate model -o out --events 1000000
expect_stdout ''
expect_files model real whole

# run leaves whole results, and a training that train --resume finishes.
small_trace
options=(--generator ddpm --context 64 --set width=48 --set layers=2 --set heads=2 --seed 3 -q)
interrupted out.partial/constraints.json+2 run small -o out "${options[@]}"
expect_stderr 'tracetwin run: stopped; what is finished is in out.partial'
expect_stderr 'because: stopped; the checkpoint is out.partial/model.checkpoint, go on with --resume'
expect_files model out.partial real small whole
[ "$(ls -A out.partial | xargs)" = 'constraints.json dataset model.checkpoint split' ] || fail "it holds: $(ls -A out.partial)"
[ "$(second_opinion check out.partial/dataset out.partial/split/{train,val,test} | xargs)" = '9265 5674 810 1623' ] ||
  fail "numpy counts other events"
expect_exit 1 "$TRACETWIN" run small -o out "${options[@]}" # not lost by accident
expect_stdout ''
expect_stderr 'tracetwin run: out.partial: left by an interruption (-f begins anew)'
expect_exit 0 "$TRACETWIN" train out.partial/split/train --val out.partial/split/val -o out.partial/model --resume \
  "${options[@]}" --steps 70 --json
expect_json generator=ddpm steps=70 seed=3
[ "$(ls -A out.partial | xargs)" = 'constraints.json dataset model split' ] || fail "it holds: $(ls -A out.partial)"
# -f begins anew: interrupted again before anything is finished, it leaves nothing.
interrupted 0.7 run "${traces[@]}" -o out -f
expect_files model real small whole
