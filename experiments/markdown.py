#!/usr/bin/python3
"""The tables of docs/results from CSVs of experiments/table.py: markdown.py FILE.csv...

A row for each trace and generator: the mean over its seeds, ± their standard deviation where there
are several; then each generator's mean over its traces. A run that several files have is as in the
last of them."""
import csv
import itertools
import statistics
import sys

runs = {}
for path in sys.argv[1:]:
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            runs[row["trace"], row["generator"], row["seed"]] = {
                k: float(v) if k not in ("trace", "generator") and v else v
                for k, v in row.items()}
seeds = {key: list(group) for key, group in itertools.groupby(
    sorted(runs.values(), key=lambda run: (run["trace"], run["generator"])),
    key=lambda run: (run["trace"], run["generator"]))}


class Cell:
    """One column; of a run, `parts` figures, each with a format, put together by `pattern`."""

    def __init__(self, label, pattern, *parts):
        self.label, self.pattern, self.parts = label, pattern, parts

    def text(self, runs):
        figures = []
        for function, form in self.parts:
            values = [v for v in map(function, runs) if v is not None]
            text = format(statistics.fmean(values), form) if values else "–"
            if len(values) > 1:
                text += f"±{statistics.stdev(values):{form.lstrip('+')}}"
            figures.append(text)
        return self.pattern.format(*figures)


def get(name, factor=1):
    return lambda run: factor * run[name] if run.get(name, "") != "" else None


def quotient(a, b):
    return lambda run: run[a] / run[b] if "" not in (run.get(a, ""), run[b]) else None


def difference(a, b):
    return lambda run: run[a] - run[b] if "" not in (run.get(a, ""), run[b]) else None


def table(title, cells, means=False):
    print(f"\n**{title}**\n")
    print("| trace | generator |", " | ".join(cell.label for cell in cells), "|")
    print("|", " | ".join("---" for _ in range(len(cells) + 2)), "|")
    for (trace, generator), of_both in seeds.items():
        print(f"| {trace} | {generator} |", " | ".join(cell.text(of_both) for cell in cells), "|")
    for generator in sorted({generator for _, generator in seeds}) if means else ():
        of_traces = [{k: statistics.fmean(run[k] for run in of_both)
                      if all(isinstance(run[k], float) for run in of_both) else ""
                      for k in of_both[0]}
                     for (_, other), of_both in seeds.items() if other == generator]
        print(f"| mean of {len(of_traces)} ± sd | {generator} |",
              " | ".join(cell.text(of_traces) for cell in cells), "|")


def summary():
    """Of each generator over the traces that it was run on, what issue and poster ask for."""
    def mean(name, of_both):
        values = [run[name] for run in of_both if isinstance(run.get(name, ""), float)]
        return statistics.fmean(values) if values else None

    def share(of_both):
        return mean("tstr_macro_f1", of_both) / mean("trtr_macro_f1", of_both)

    rivals = {trace: share(of_both) for (trace, name), of_both in seeds.items() if name == "markov"}
    print("\n**Over traces**\n")
    print("| generator | traces | TSTR / TRTR: mean, least | above `markov` | COMBINED − TRTR: mean"
          " (traces) | largest raw D_trans, D_time, D_cpu, D_attr, % | dt, thread, comm, ret,"
          " latency: at most 2 × real | calls that end: mean, least | 16-grams in train: at most"
          " real's | events/s made |")
    print("|", " | ".join("---" for _ in range(10)), "|")
    for name in sorted({name for _, name in seeds}):
        of = {trace: of_both for (trace, other), of_both in seeds.items() if other == name}
        shares = {trace: share(of_both) for trace, of_both in of.items()}
        gain = difference("combined_macro_f1", "trtr_macro_f1")
        gains = [statistics.fmean(g) for g in ([gain(run) for run in b if gain(run) is not None]
                                               for b in of.values()) if g]
        above = sum(shares[trace] > rivals[trace] for trace in shares if trace in rivals)
        raw = ", ".join(f"{100 * max(mean(f'before_{d}', b) for b in of.values()):.3f}"
                        for d in ("d_trans", "d_time", "d_cpu", "d_attr"))
        near = ", ".join(str(sum(mean(f"twin_{f}_jsd", b) <= 2 * mean(f"floor_{f}_jsd", b)
                                 for b in of.values() if mean(f"twin_{f}_jsd", b) is not None))
                         for f in ("dt", "tid", "comm", "ret", "latency"))
        pairing = [v for v in (mean("twin_pairing", b) for b in of.values()) if v is not None]
        ends = f"{statistics.fmean(pairing):.3f}, {min(pairing):.3f}" if pairing else "–"
        kept = sum(mean("twin_memorised", b) <= mean("floor_memorised", b) for b in of.values())
        rate = statistics.fmean(mean("generate_events_per_second", b) for b in of.values())
        print(f"| {name} | {len(of)} | {statistics.fmean(shares.values()):.2f},"
              f" {min(shares.values()):.2f} | {'–' if name == 'markov' else above} |",
              f"{statistics.fmean(gains):+.3f} ({len(gains)})" if gains else "–",
              f"| {raw} | {near} | {ends} | {kept} |"
              f" {rate:,.0f} |")


summary()
table("Constraints violated, %: held-out real / twin before repair / after",
      [Cell("events, types", "{}, {}", (get("events"), ",.0f"), (get("event_types"), ".0f"))] +
      [Cell(label, "{} / {} / {}", *((get(f"{when}_{name}", 100), ".2f")
                                     for when in ("floor", "before", "after")))
       for label, name in (("D_trans", "d_trans"), ("D_time", "d_time"), ("D_cpu", "d_cpu"),
                           ("D_attr", "d_attr"))] +
      [Cell("edited, %", "{}", (get("edit_rate", 100), ".2f"))])
table("Next event, tested on real data: macro-F1 (accuracy)",
      [Cell(arm, "{} ({})", (get(f"{arm.lower()}_macro_f1"), ".3f"),
            (get(f"{arm.lower()}_accuracy"), ".3f")) for arm in ("TRTR", "TSTR", "COMBINED")] +
      [Cell("TSTR / TRTR", "{}", (quotient("tstr_macro_f1", "trtr_macro_f1"), ".2f")),
       Cell("of accuracy", "{}", (quotient("tstr_accuracy", "trtr_accuracy"), ".2f")),
       Cell("COMBINED − TRTR", "{}",
            (difference("combined_macro_f1", "trtr_macro_f1"), "+.3f")),
       Cell("counting", "{} ({})", (get("best_counting_macro_f1"), ".3f"),
            (get("best_counting_accuracy"), ".3f"))], means=True)
table("Likeness to train, held-out real / twin",
      [Cell(label, "{} / {}", (get(f"floor_{name}"), ".3f"), (get(f"twin_{name}"), ".3f"))
       for label, name in (("5-grams per CPU, JSD", "cpu_5gram_jsd"),
                           ("dt given event", "dt_jsd"), ("thread given event", "tid_jsd"),
                           ("comm given event", "comm_jsd"), ("ret given event", "ret_jsd"),
                           ("call latency", "latency_jsd"), ("calls that end, share", "pairing"),
                           ("told apart, AUC", "auc"), ("16-grams in train", "memorised"))])
table("Cost, one thread",
      [Cell("training, s", "{}", (get("train_seconds"), ",.0f")),
       Cell("events/s made", "{}", (get("generate_events_per_second"), ",.0f")),
       Cell("arms: steps of TRTR, TSTR, COMBINED", "{}, {}, {}",
            *((get(f"{arm}_steps"), ",.0f") for arm in ("trtr", "tstr", "combined"))),
       Cell("evaluation, s", "{}", (get("evaluate_seconds"), ",.0f")),
       Cell("all else, s", "{}", (lambda run: sum(
           run[f"{name}_seconds"] for name in ("import", "constraints", "repair", "export")),
           ".0f")),
       Cell("peak, MiB", "{}", (get("peak_rss_bytes", 2**-20), ".0f"))])
