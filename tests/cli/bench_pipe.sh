# bench/pipe.py at a tiny size, its times meaning nothing: every figure is there, the repeated
# dataset is one that the commands accept.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
small_trace
expect_exit 0 "$SOURCE_DIR/bench/pipe.py" -o pipe.json --events 50000 --tracetwin "$TRACETWIN" small/trace
python3 -c '
import json
r = json.load(open("pipe.json"))
(row,) = r["import"]
assert row["events"] > 9000 and row["ratio"] > 0 and row["peak_rss_bytes"] > 0, row
assert [(p["command"], p["events"]) for p in r["pipe"]] == [
    (c, n) for n in (5000, 50000) for c in ("constraints", "check", "repair", "export")], r
assert all(p["events_per_second"] > 0 and p["peak_rss_bytes"] > 0 for p in r["pipe"])'
expect_exit 2 "$SOURCE_DIR/bench/pipe.py" --events 10
expect_files pipe.json small
