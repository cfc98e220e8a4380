# The manual page says what --help says, command by command, and the fields it promises are those that --json prints.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
manual=$SOURCE_DIR/docs/tracetwin.1
compare() { python3 "$SOURCE_DIR/tests/cli/lib/manual.py" "$TRACETWIN" "$1"; }

expect_exit 0 compare "$manual"
expect_stdout '13 commands agree'
# The comparison notices what is missing, made up or called otherwise.
sed '/^\.TP$/{N;/--gap N/d}' "$manual" >missing.1
expect_exit 1 compare missing.1
expect_stdout "split: '--gap N' is not in the manual"
sed '0,/^\.B --label NAME$/s//.B --label TEXT/' "$manual" >renamed.1
expect_exit 1 compare renamed.1
expect_stdout "import: '--label NAME' is not in the manual
import: '--label TEXT' is in the manual only"

fields() { # COMMAND: the fields that the manual promises
  sed -n "/^\.SS tracetwin $1 /,/^Fields:/s/^Fields: \(.*\)\.$/\1/p" "$manual"
}
printed() { # the fields that were printed, in their order
  /usr/bin/env python3 -c 'import json, sys; print(*json.load(open(sys.argv[1])))' "$harness_output/stdout"
}
agree() { [ "$(printed)" = "$(fields "$1")" ] || fail "$1 prints: $(printed); the manual: $(fields "$1")"; }
small_trace
expect_exit 0 "$TRACETWIN" import small -o d --json
agree import
expect_exit 0 "$TRACETWIN" info d --json
[ "$(printed)" = "kind $(fields import)" ] || fail "info of a dataset prints: $(printed)"
expect_exit 0 "$TRACETWIN" split d -o s --json
agree split
expect_exit 0 "$TRACETWIN" constraints s/train -o c.json --json
agree constraints
expect_exit 0 "$TRACETWIN" info c.json --json
[ "$(printed)" = "kind $(fields constraints)" ] || fail "info of constraints prints: $(printed)"
expect_exit 3 "$TRACETWIN" check s/test -c c.json --json
agree check
expect_exit 0 "$TRACETWIN" repair s/test -c c.json -o r --json
agree repair
expect_exit 0 "$TRACETWIN" train s/train -o m --generator markov --json
agree train
expect_exit 0 "$TRACETWIN" info m --json
[ "$(printed)" = 'kind generator parameters steps loss val_loss seed' ] || fail "info of a model prints: $(printed)"
expect_exit 0 "$TRACETWIN" generate m -o g --events 10 --json
agree generate
expect_exit 0 "$TRACETWIN" train s/train -o masked --generator masked --steps 1 --set width=32 --set layers=1
expect_exit 0 "$TRACETWIN" fill s/test --model masked -o filled --json
agree fill
expect_exit 0 "$TRACETWIN" predict --train s/train --val s/val --test s/test --steps 1 --json
agree predict
expect_exit 0 "$TRACETWIN" export g -o g.csv --format csv --json
agree export
