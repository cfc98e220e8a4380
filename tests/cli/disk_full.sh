# A full disk, in the middle of every command that writes: exit 1, the output and the cause on stderr, nothing on stdout,
# nothing left behind. As root on a small tmpfs of our own; anyone has the limit on a file's size.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
small_trace
real_parts
"$TRACETWIN" constraints real/train -o c.json >/dev/null
"$TRACETWIN" train real/train -o model --generator markov -q >/dev/null
mkdir disk

commands=(
  'import small -o disk/out'
  'split real/train -o disk/out'
  'constraints real/train -o disk/out'
  'repair real/test -c c.json -o disk/out'
  'train real/train -o disk/out --generator markov'
  'train real/train -o disk/out --generator ddpm --context 64 --steps 1'
  'generate model -o disk/out --events 30000'
  'export real/train -o disk/out --format csv'
  'export real/train -o disk/out --format ctf'
  'run small -o disk/out --generator markov --events 5000'
)
for command in "${commands[@]}"; do
  # shellcheck disable=SC2016 # for the inner shell
  expect_exit 1 bash -c 'ulimit -f 16; exec "$TRACETWIN" '"$command" # 16 KiB
  expect_stdout ''
  expect_stderr "tracetwin ${command%% *}: "
  expect_stderr 'disk/out'
  expect_stderr 'File too large'
  [ -z "$(ls -A disk)" ] || fail "left behind: $(ls -A disk)"
done

if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
  for command in "${commands[@]}"; do
    # shellcheck disable=SC2016 # for the inner shell
    expect_exit 1 unshare -m bash -c 'mount -t tmpfs -o size=32k tmpfs disk || exit 99
      "$TRACETWIN" '"$command"'; code=$?
      [ -z "$(ls -A disk)" ] || { echo "left behind: $(ls -A disk)"; exit 98; }
      exit $code'
    expect_stdout ''
    expect_stderr "tracetwin ${command%% *}: "
    expect_stderr 'disk/out'
    expect_stderr 'No space left on device'
  done
fi

# A result that was there stays as it was, -f or not.
"$TRACETWIN" export real/val -o disk/out --format csv >/dev/null
cp disk/out before
# shellcheck disable=SC2016 # for the inner shell
expect_exit 1 bash -c 'ulimit -f 16; exec "$TRACETWIN" export real/train -o disk/out --format csv -f'
expect_stdout ''
cmp before disk/out
[ "$(ls -A disk)" = out ] || fail "left behind: $(ls -A disk)"
