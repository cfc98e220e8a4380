# constraints, check, repair: what is mined, exit code 3, four zeros, and nothing left to do after it.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
real_parts
distances='d_trans d_time d_cpu d_attr d_trans_cpu'

expect_exit 0 "$TRACETWIN" constraints real/train -o c.json --json
expect_json transitions event_types events=20016
second_opinion transitions real/train real/test >mined
[ "$(json transitions) $(json event_types) $(json events)" = "$(head -n 1 mined)" ] || fail "numpy counts $(head -n 1 mined)"
expect_exit 0 "$TRACETWIN" constraints real/train -o again.json
cmp c.json again.json
expect_exit 1 "$TRACETWIN" constraints real/test -o again.json
expect_stdout ''
expect_stderr 'again.json: already exists (-f overwrites)'
cmp c.json again.json
expect_exit 0 "$TRACETWIN" constraints real/test -o again.json -f
! cmp -s c.json again.json || fail "again.json is the old one"

# What it was mined from obeys; later events of the same trace do not.
expect_exit 0 "$TRACETWIN" check real/train --constraints c.json --json
expect_stdout '{"d_trans": 0, "d_time": 0, "d_cpu": 0, "d_attr": 0, "d_trans_cpu": 0, "events": 20016}'
expect_stderr ''
expect_exit 3 "$TRACETWIN" check real/test --constraints c.json --json
expect_json $distances events=5720
expect_stderr ''
d_trans=$(json d_trans)
awk -v a="$d_trans" -v b="$(tail -n 1 mined)" 'BEGIN { d = a - b; exit !(a > 0 && d * d < 1e-16) }' ||
  fail "d_trans $d_trans, numpy finds $(tail -n 1 mined)"
expect_exit 3 "$TRACETWIN" check real/test -c c.json
expect_stderr ''

# Repair: four zeros, all events kept; repaired again, nothing changes.
expect_exit 0 "$TRACETWIN" repair real/test --constraints c.json -o fixed --json
expect_stderr ''
expect_json before.d_trans="$d_trans" after.d_trans=0 after.d_time=0 after.d_cpu=0 after.d_attr=0 edited_events edit_rate \
  events=5720 seed=1 edits.event edits.cpu edits.dt edits.tid edits.comm edits.ret edits.retimed
awk -v n="$(json edited_events)" -v rate="$(json edit_rate)" 'BEGIN { d = rate - n / 5720; exit !(n > 0 && d * d < 1e-16) }' ||
  fail "edit_rate is not edited_events / events"
[ "$(second_opinion check fixed)" = 5720 ] || fail "numpy does not agree"
expect_exit 0 "$TRACETWIN" check fixed --constraints c.json --json
expect_json d_trans=0 d_time=0 d_cpu=0 d_attr=0 events=5720
expect_exit 0 "$TRACETWIN" repair fixed --constraints c.json -o fixed2 --json
expect_json edited_events=0 edit_rate=0 before.d_trans=0 after.d_trans=0
diff -r fixed/shard-00000 fixed2/shard-00000
expect_exit 0 "$TRACETWIN" repair real/train -c c.json -o fixed2 -f --json
expect_json edited_events=0
diff -r real/train/shard-00000 fixed2/shard-00000
expect_exit 0 "$TRACETWIN" repair real/test -c c.json -o fixed3
diff -r fixed fixed3
expect_exit 1 "$TRACETWIN" repair real/test -c c.json -o fixed3
expect_stdout ''
expect_stderr 'fixed3: already exists (-f overwrites)'

expect_exit 2 "$TRACETWIN" check real/test
expect_stderr '--constraints FILE is missing'
expect_exit 2 "$TRACETWIN" repair real/test -o no
expect_stderr '--constraints FILE is missing'
expect_exit 2 "$TRACETWIN" constraints real/test
expect_stderr '-o FILE is missing'
expect_files again.json c.json fixed fixed2 fixed3 mined real
