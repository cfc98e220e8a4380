# The harness: each expectation holds where it should and fails where it should.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1

must_fail() { # a line of a test: ends it with 1 and names that line
  local script
  script=$(mktemp "$harness_output/test.XXXXXX")
  printf '. "$SOURCE_DIR/tests/cli/lib/harness.sh"\n%s\n' "$1" >"$script"
  expect_exit 1 bash "$script"
  expect_stderr "FAILED: $script:2: $2"
}
print='expect_exit 0 echo {\"a\": {\"b\": [1, \"x\"]}};'

expect_files
touch "$T/one"
expect_files one
must_fail 'touch one two; expect_files one' 'the folder holds: one two'
must_fail 'touch one; expect_files' 'the folder holds: one'

expect_exit 3 bash -c 'echo out; echo err >&2; exit 3'
expect_stdout out
expect_stderr err
must_fail 'expect_exit 3 true' 'exit 0, expected 3'
must_fail 'expect_exit 0 bash -c "exit 139"' 'exit 139, expected 0'
must_fail 'expect_exit 0 echo out; expect_stdout ou' 'stdout is not: ou'
must_fail 'expect_exit 0 printf out; expect_stdout out' 'stdout is not: out'
must_fail 'expect_exit 0 echo; expect_stdout ""' 'stdout is not: '
must_fail 'expect_exit 0 echo out; expect_stderr out' 'stderr does not hold: out'
must_fail 'expect_exit 0 bash -c "echo err >&2"; expect_stderr ""' 'stderr is not empty'

expect_exit 0 true
expect_stdout ''
expect_stderr ''
expect_exit 0 echo '{"a": {"b": [1, "x"]}}'
expect_json a a.b a.b.0=1 a.b.1=x
[ "$(json a.b)" = '[1, "x"]' ] || fail "json prints $(json a.b)"
must_fail "$print expect_json a.c" 'no JSON field a.c'
must_fail "$print expect_json a.b.0=2" 'JSON field a.b.0 is 1, expected 2'
must_fail 'expect_exit 0 echo [1]; expect_json 0' 'no JSON field 0: not a JSON object'
must_fail 'expect_exit 0 echo text; expect_json a' 'no JSON field a'
must_fail 'false' 'false'

folder=$(bash -c '. "$SOURCE_DIR/tests/cli/lib/harness.sh"; echo "$T"')
[ -n "$folder" ] && [ ! -e "$folder" ] || fail "the folder of a test is still there"
