#!/usr/bin/python3
"""The tables of docs/results/README.md from the CSV of experiments/traces.sh: markdown.py FILE.csv"""
import csv
import sys

with open(sys.argv[1], newline="") as file:
    rows = [{k: float(v) if k not in ("trace", "generator") and v else v for k, v in row.items()}
            for row in csv.DictReader(file)]


def table(title, columns):
    print(f"\n**{title}**\n")
    print("|", " | ".join(name for name, _ in columns), "|")
    print("|", " | ".join("---" for _ in columns), "|")
    for row in rows:
        print("|", " | ".join(value(row) for _, value in columns), "|")


def share(*names):
    return lambda row: " / ".join(
        "–" if row[name] == "" else f"{100 * row[name]:.2f}" for name in names)


def figure(name, digits=3):
    return lambda row: "–" if row[name] == "" else f"{row[name]:.{digits}f}"


def quotient(a, b):
    return lambda row: f"{row[a] / row[b]:.2f}"


def difference(a, b):
    return lambda row: f"{row[a] - row[b]:+.3f}"


def total(*names):
    return lambda row: f"{sum(row[name] for name in names):.0f}"


what = [("trace", lambda row: row["trace"]), ("generator", lambda row: row["generator"])]
table("Constraints violated, %: held-out real / twin before repair / after",
      what + [("events, types", lambda row: f"{row['events']:,.0f}, {row['event_types']:.0f}")] +
      [(label, share(f"floor_{name}", f"before_{name}", f"after_{name}"))
       for label, name in (("D_trans", "d_trans"), ("D_time", "d_time"), ("D_cpu", "d_cpu"),
                           ("D_attr", "d_attr"))] +
      [("edited, %", share("edit_rate"))])
table("Next event, tested on real data: macro-F1 (accuracy)",
      what + [(arm, lambda row, arm=arm: f"{row[f'{arm.lower()}_macro_f1']:.3f} "
                                         f"({row[f'{arm.lower()}_accuracy']:.3f})")
              for arm in ("TRTR", "TSTR", "COMBINED")] +
      [("TSTR / TRTR", quotient("tstr_macro_f1", "trtr_macro_f1")),
       ("of accuracy", quotient("tstr_accuracy", "trtr_accuracy")),
       ("COMBINED − TRTR", difference("combined_macro_f1", "trtr_macro_f1")),
       ("counting", lambda row: f"{row['best_counting_macro_f1']:.3f} "
                                f"({row['best_counting_accuracy']:.3f})")])
table("Likeness to train, held-out real / twin; cost",
      what + [(label, lambda row, name=name: f"{row['floor_' + name]:.3f} / {row['twin_' + name]:.3f}")
              for label, name in (("5-grams per CPU, JSD", "cpu_5gram_jsd"),
                                  ("dt given event, JSD", "dt_jsd"),
                                  ("call latency, JSD", "latency_jsd"),
                                  ("told apart, AUC", "auc"),
                                  ("16-grams in train", "memorised"))] +
      [("training, s", total("train_seconds")),
       ("events/s made", lambda row: f"{row['generate_events_per_second']:,.0f}"),
       ("all else, s", total("import_seconds", "constraints_seconds", "repair_seconds",
                             "export_seconds", "evaluate_seconds")),
       ("peak, MiB", lambda row: f"{row['peak_rss_bytes'] / 2**20:.0f}")])
