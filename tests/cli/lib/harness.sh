# Sourced by every command test (tests/cli/*.sh): . "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
# Needs TRACETWIN and SOURCE_DIR (CTest sets them). Gives an empty folder $T, the current one, gone at the end, and the
# expectations below; the first that does not hold says where and why, shows what the command printed, and ends the
# test with 1. See tests/cli/README.md.
set -euo pipefail
: "${TRACETWIN:?is the command under test}" "${SOURCE_DIR:?is the root of the repository}"
export LC_ALL=C OMP_WAIT_POLICY=passive # threads that wait do not keep others from working
T=$(mktemp -d "${TMPDIR:-/tmp}/tracetwin-cli.XXXXXX")
harness_output=$(mktemp -d "${TMPDIR:-/tmp}/tracetwin-out.XXXXXX") # beside $T: tests list what is in $T
trap 'rm -rf "$T" "$harness_output"' EXIT
trap 'echo "FAILED: ${BASH_SOURCE[0]}:$LINENO: $BASH_COMMAND" >&2' ERR
cd "$T"
touch "$harness_output/stdout" "$harness_output/stderr"

# fail MESSAGE...: names the test's own line, not the harness's.
fail() {
  local i=0
  while [ "${BASH_SOURCE[i + 1]-}" = "${BASH_SOURCE[0]}" ]; do i=$((i + 1)); done
  echo "FAILED: ${BASH_SOURCE[i + 1]-?}:${BASH_LINENO[i]}: $*" >&2
  for stream in stdout stderr; do
    [ ! -s "$harness_output/$stream" ] || sed "s/^/  $stream: /" "$harness_output/$stream" | head -20 >&2
  done
  exit 1
}

# expect_exit CODE COMMAND...: runs it; the other expectations look at what it printed.
expect_exit() {
  local want=$1 got=0
  shift
  printf '+ %s\n' "$*"
  "$@" >"$harness_output/stdout" 2>"$harness_output/stderr" || got=$?
  [ "$got" = "$want" ] || fail "exit $got, expected $want: $*"
}

# expect_stdout TEXT: exactly this, and a newline; '' for nothing at all.
expect_stdout() {
  local want=$1${1:+$'\n'}
  cmp -s "$harness_output/stdout" <(printf %s "$want") || fail "stdout is not: $1"
}

# expect_stderr TEXT: holds this, literally; '' for nothing at all.
expect_stderr() {
  if [ -z "$1" ]; then
    [ ! -s "$harness_output/stderr" ] || fail "stderr is not empty"
  else
    grep -qF -- "$1" "$harness_output/stderr" || fail "stderr does not hold: $1"
  fi
}

# json FIELD: prints the value of a field (a.b: b of a; a.0: first of a) of the last stdout, which is one JSON object.
json() {
  /usr/bin/env python3 -c '
import json, sys
with open(sys.argv[1]) as file:
    value = json.load(file)
if not isinstance(value, dict):
    sys.exit("not a JSON object")
for key in sys.argv[2].split("."):
    value = value[int(key) if isinstance(value, list) else key]
print(value if isinstance(value, str) else json.dumps(value))' "$harness_output/stdout" "$1" 2>"$harness_output/json"
}

# expect_json FIELD[=VALUE]...: the last stdout is one JSON object with these fields (and these values).
expect_json() {
  local field got
  for field in "$@"; do
    got=$(json "${field%%=*}") || fail "no JSON field ${field%%=*}: $(tail -n 1 "$harness_output/json")"
    [[ $field != *=* ]] || [ "$got" = "${field#*=}" ] || fail "JSON field ${field%%=*} is $got, expected ${field#*=}"
  done
}

# expect_files NAME...: $T holds these entries (hidden ones too) and no others; no argument: it is empty.
expect_files() {
  local got want
  got=$(ls -A "$T" | sort)
  want=$(printf '%s\n' "$@" | sort)
  [ "$got" = "$want" ] || fail "the folder holds: $(tr '\n' ' ' <<<"$got"), expected: $*"
}

# sample: unpacks the sample trace once per build and prints its path. Do not write there.
sample() {
  local dest
  dest=$(dirname "$TRACETWIN")/sample
  "$SOURCE_DIR/scripts/unpack-sample.sh" "$dest" && echo "$dest/trace"
}

# second_opinion VERB PATH...: lib/dataset.py, which reads datasets with numpy.
second_opinion() { /usr/bin/python3 "$SOURCE_DIR/tests/cli/lib/dataset.py" "$@"; }

# real_parts: makes real/{train,val,test} of the last tenth of the sample: 20016, 2859 and 5720 events.
real_parts() {
  "$TRACETWIN" import -q "$(sample)" -o "$T/whole" >/dev/null
  "$TRACETWIN" split "$T/whole" -o "$T/last" --train 0.85 --val 0.05 --test 0.1 --gap 0 >/dev/null
  "$TRACETWIN" split "$T/last/test" -o "$T/real" --gap 0 >/dev/null
  rm -rf "$T/whole" "$T/last"
}

# small_trace: makes the CTF trace small/trace of a quarter of a second of the sample: 9265 events.
small_trace() { babeltrace2 "$(sample)" --begin=2109.2 --end=2109.45 -o ctf -w "$T/small" >/dev/null; }
