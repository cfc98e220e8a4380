# README.md: every block marked "sh test" runs as it stands, in one folder, on a trace called my-trace; only --minutes
# and --events are made small. Every file and folder that it names is there.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
small_trace
mv small my-trace
PATH=$(dirname "$TRACETWIN"):$PATH

sed -n '/^```sh test$/,/^```$/{/^```/d;p}' "$SOURCE_DIR/README.md" |
  sed -E 's/--minutes [0-9]+/--minutes 0.01/; s/--events [0-9]+/--events 300/' >commands
[ "$(grep -c '^tracetwin ' commands)" -ge 10 ] || fail "few commands"
expect_exit 0 bash -euo pipefail -x commands
[ "$(babeltrace2 ctf/kernel | wc -l)" = 300 ] || fail "not 300 events"

grep -oE '\]\([^)#]+\)|`[a-z]+/[a-z/]*`' "$SOURCE_DIR/README.md" | tr -d '`()]' | sort -u >names
while read -r name; do
  [ -e "$SOURCE_DIR/$name" ] || fail "README.md names $name"
done <names
