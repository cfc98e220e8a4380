# Traces that are none, or damaged: exit 4, one message that names the file, nothing on stdout, nothing left behind.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
small_trace
stream=perf_stream_1

refused() { # NAME MESSAGE: `import` and `run` refuse the trace NAME
  local before
  before=$(ls -A "$T")
  expect_exit 4 "$TRACETWIN" import "$1" -o "$T/out"
  expect_stdout ''
  expect_stderr "tracetwin import: "
  expect_stderr "$2"
  [ "$(grep -c '^tracetwin import: [^ ]' "$harness_output/stderr")" = 1 ] || fail "not one message"
  expect_exit 4 "$TRACETWIN" run "$1" -o "$T/out"
  expect_stdout ''
  expect_stderr "$2"
  # After traces that are good, too.
  expect_exit 4 "$TRACETWIN" import small "$1" -o "$T/out" --json
  expect_stdout ''
  expect_stderr "$2"
  [ "$(ls -A "$T")" = "$before" ] || fail "left behind: $(ls -A "$T" | tr '\n' ' ')"
}
damage() { # NAME: a copy of the small trace, to be damaged
  rm -rf "${T:?}/$1"
  cp -r small/trace "$1"
  echo "$1"
}

refused nowhere 'nowhere: No such file or directory'
mkdir empty
refused empty 'empty: no CTF trace in there'
echo 'not a trace' >file
refused file 'file: not a CTF trace'
mkdir text && echo 'not metadata' >text/metadata
refused text text
mkdir -p deep/metadata
refused deep deep

t=$(damage cut)
truncate -s -1 "$t/$stream"
refused cut "$stream"
t=$(damage half)
truncate -s 30000 "$t/$stream"
refused half "$stream"
t=$(damage no-metadata)
: >"$t/metadata"
refused no-metadata no-metadata
t=$(damage short-metadata)
truncate -s 2000 "$t/metadata"
refused short-metadata short-metadata
t=$(damage wrong-metadata)
sed -i '0,/cpu_id/s//cpu id/' "$t/metadata"
refused wrong-metadata wrong-metadata
t=$(damage binary-metadata)
head -c 4000 /dev/urandom >"$t/metadata"
refused binary-metadata binary-metadata
t=$(damage zeros)
head -c "$(stat -c %s "$t/$stream")" /dev/zero >"$t/$stream"
refused zeros zeros
t=$(damage no-streams)
rm "$t"/perf_stream_*
refused no-streams no-streams

# A trace nobody may read.
if [ "$(id -u)" = 0 ]; then as='setpriv --reuid=65534 --regid=65534 --clear-groups'; else as=; fi
if $as "$TRACETWIN" --version >/dev/null 2>&1; then
  t=$(damage private)
  chmod 0 "$t/metadata"
  mkdir open && chmod 777 open && chmod 755 .
  # shellcheck disable=SC2086 # words
  expect_exit 4 $as "$TRACETWIN" import private -o open/out
  expect_stdout ''
  expect_stderr 'private'
  expect_stderr 'Permission denied'
  chmod 0 private
  # shellcheck disable=SC2086 # words
  expect_exit 4 $as "$TRACETWIN" import private -o open/out
  expect_stdout ''
  expect_stderr 'private'
  [ -z "$(ls -A open)" ] || fail "left behind: $(ls -A open)"
  # A place nobody may write to.
  # shellcheck disable=SC2086 # words
  expect_exit 1 $as "$TRACETWIN" import small -o out
  expect_stdout ''
  expect_stderr 'out: cannot create: Permission denied'
fi
expect_exit 1 "$TRACETWIN" import small -o no/such/folder/out
expect_stdout ''
expect_stderr 'no/such/folder/out: cannot create: No such file or directory'
[ ! -e no ] || fail "no is there"
