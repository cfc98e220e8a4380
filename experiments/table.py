#!/usr/bin/python3
"""Gathers OUT/TRACE/GENERATOR-SEED/report.json (experiments/traces.sh) into one CSV on stdout:
a row a run. Fractions are fractions, times seconds, memory bytes. Arms that were trained
again (OUT/TRACE/GENERATOR-SEED.arms) count for those of the run."""
import csv
import json
import pathlib
import sys

out = pathlib.Path(sys.argv[1])
rows = []
for path in sorted(out.glob("*/*-*[0-9]/report.json")):
    report = json.loads(path.read_text())
    again = path.parent.with_name(path.parent.name + ".arms") / "report.json"
    evaluation = json.loads(again.read_text()) if again.exists() else report
    utility = evaluation["utility"]
    arms = {arm["name"]: arm for source in (report, evaluation)
            for arm in source["utility"]["arms"] if not arm["equal_steps"]}
    row = {"trace": path.parent.parent.name, "generator": path.parent.name.rsplit("-", 1)[0],
           "seed": report["seed"], "events": report["trace"]["events"],
           "event_types": report["trace"]["event_types"], "steps": report["generator"]["steps"]}
    for distance in report["distances"]:
        prefix = {"held-out real": "floor", "before repair": "before",
                  "after repair": "after"}[distance["name"]]
        for name in ("d_trans", "d_trans_cpu", "d_time", "d_cpu", "d_attr"):
            row[f"{prefix}_{name}"] = distance[name]
    row["twin_events"] = report["repair"]["events"]
    row["edit_rate"] = report["repair"]["edit_rate"]
    for arm in arms.values():
        for name in ("macro_f1", "weighted_f1", "accuracy", "steps", "best_step", "val_loss"):
            row[f"{arm['name'].lower()}_{name}"] = arm[name]
    row["arm_events"] = utility["arms"][0]["real_events"]
    for name in ("macro_f1", "accuracy"):
        row[f"best_counting_{name}"] = max(b[name] for b in utility["baselines"])
    for fidelity in report["fidelity"]:
        prefix = "floor" if fidelity["name"] == "held-out real" else "twin"
        row[f"{prefix}_cpu_5gram_jsd"] = fidelity["ngram_cpu_jsd"][4]
        for name in ("dt_jsd", "tid_jsd", "comm_jsd", "ret_jsd", "latency_jsd"):
            row[f"{prefix}_{name}"] = fidelity[name]
        row[f"{prefix}_pairing"] = fidelity["pairing_candidate"]
        row[f"{prefix}_auc"] = fidelity["discriminator_auc"]
        row[f"{prefix}_memorised"] = fidelity["memorised"]
    for time in report["times"] + evaluation["times"]:
        row[f"{time['stage']}_seconds"] = time["seconds"]
    row["generate_events_per_second"] = report["generator"]["generate_events_per_second"]
    row["peak_rss_bytes"] = report["peak_rss_bytes"]
    rows.append(row)
if not rows:
    sys.exit(f"{out}: no report.json below it")
names = list(dict.fromkeys(name for row in rows for name in row))
writer = csv.DictWriter(sys.stdout, names, restval="", lineterminator="\n")
writer.writeheader()
for row in rows:
    writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
