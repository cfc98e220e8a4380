# bench/bench.py at tiny sizes, its times meaning nothing: every figure of the contract is there.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
expect_exit 0 "$SOURCE_DIR/bench/bench.py" --quick -o bench.json --build "$(dirname "$TRACETWIN")"
python3 -c '
import json
r = json.load(open("bench.json"))
assert r["peak_f32_gflops"] > 0 and r["peak_rss_bytes"] > 0 and r["triad_bytes_per_second"] > 0
assert [(t["model"], t["context"]) for t in r["train"]] == [("denoiser", 32), ("predictor", 16)]
for t in r["train"]:
    assert t["events_per_second"] > 0 and t["flops_per_event"] > 0 and 0 < t["share_of_peak"] < 2, t
    assert (t["torch_eager_ratio"] is None) == (r["torch"] is None)
assert len(r["kernels"]) == 20 and all(0 <= k["error"] <= 0.02 and k["share_of_bound"] > 0 for k in r["kernels"])
assert [d["model"] for d in r["data_path"]] == ["denoiser", "predictor"]
assert all(s["events_per_second"] > 0 for s in r["sample"]) and len(r["sample"]) >= 4'
expect_files bench.json
