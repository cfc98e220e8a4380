# How a command is called: unknown words are exit 2 with one line that says what and how it should be; help is exit 0.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
commands='run import info split train generate fill constraints check repair predict evaluate export'

expect_exit 2 "$TRACETWIN"
expect_stdout ''
expect_stderr 'usage: tracetwin COMMAND [OPTION...]'
expect_exit 0 "$TRACETWIN" --help
expect_stderr ''
[ "$(sed -n 's/^  \([a-z]*\)  .*/\1/p' "$harness_output/stdout" | xargs)" = "$commands" ] || fail "--help lists others"
expect_exit 0 "$TRACETWIN" --version
expect_stdout "tracetwin $(sed -n 's/^project(tracetwin VERSION \([0-9.]*\).*/\1/p' "$SOURCE_DIR/CMakeLists.txt")"
expect_exit 2 "$TRACETWIN" nonsense
expect_stdout ''
expect_stderr "tracetwin: unknown command 'nonsense'; see 'tracetwin --help'"

for command in $commands; do
  expect_exit 0 "$TRACETWIN" "$command" --help
  expect_stderr ''
  grep -q "^usage: tracetwin $command " "$harness_output/stdout" || fail "no usage"
  expect_exit 0 "$TRACETWIN" "$command" nonsense -h
  expect_exit 2 "$TRACETWIN" "$command"
  expect_stdout ''
  expect_stderr "usage: tracetwin $command "
  expect_exit 2 "$TRACETWIN" "$command" a --nonsense
  expect_stdout ''
  expect_stderr "tracetwin $command: unknown option '--nonsense'"
  expect_exit 2 "$TRACETWIN" "$command" a -z
  expect_stderr "tracetwin $command: unknown option '-z'"
  expect_exit 2 "$TRACETWIN" "$command" a --json=yes
  expect_stderr "option '--json=yes' takes no value"
done
for command in info split train generate fill constraints check repair export; do
  expect_exit 2 "$TRACETWIN" "$command" one two
  expect_stderr "tracetwin $command: unexpected operand 'two'"
done
for command in run import split train generate fill constraints repair evaluate export; do
  expect_exit 2 "$TRACETWIN" "$command" a -o
  expect_stderr "tracetwin $command: option '-o' needs a value"
  expect_exit 2 "$TRACETWIN" "$command" a --output=
  expect_stderr "tracetwin $command: --output: the value is empty"
done
for value in x -1 1x 1.5 99999999999999999999; do
  expect_exit 2 "$TRACETWIN" generate model -o no --events "$value"
  expect_stdout ''
  expect_stderr "--events: '$value' is not a whole number"
done
for value in x -1 inf nan 5m; do
  expect_exit 2 "$TRACETWIN" train data -o no --minutes "$value"
  expect_stdout ''
  expect_stderr "--minutes: '$value' is not a number of 0 or more"
done
expect_exit 2 "$TRACETWIN" train data -o no --threads 100000
expect_stderr "--threads: '100000' is not a number of threads"
for value in '' xml; do
  expect_exit 2 "$TRACETWIN" export data -o no ${value:+--format "$value"}
  expect_stdout ''
  expect_stderr '--format is ctf or csv'
done

# '--' ends the options; an output that nobody can read is a failure.
expect_exit 4 "$TRACETWIN" info -- --json
expect_stderr 'tracetwin info: --json: No such file or directory'
expect_exit 1 bash -c '"$TRACETWIN" --help >/dev/full'
expect_stderr 'tracetwin: cannot write to standard output: No space left on device'
expect_files
