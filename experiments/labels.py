#!/usr/bin/python3
"""How like twins are to workloads: the Jensen-Shannon divergence (bits, 0 to 1) of event n-grams per CPU.

    labels.py TWIN... -- PART...    a line for each twin: n = 1 and n = 5 against each part

A dataset, or DATASET:LABEL for the sources of it that have that label. No n-gram crosses a border between sources."""
import json
import sys

import numpy


def rows(spec):
    """Lists of event names per CPU and source."""
    path, _, label = spec.partition(":")
    with open(path + "/dataset.json") as file:
        meta = json.load(file)
    event, cpu = (
        numpy.concatenate([numpy.load(f"{path}/shard-{k:05}/{name}.npy") for k in range(meta["shards"])])
        for name in ("event", "cpu")
    )
    names = numpy.array(meta["event_names"], dtype=object)
    for s in meta["sources"]:
        if label and s["label"] != label:
            continue
        at = slice(s["first"], s["first"] + s["events"])
        for k in numpy.unique(cpu[at]):
            yield names[event[at][cpu[at] == k]]


def grams(spec, n):
    counts = {}
    for events in rows(spec):
        for gram in zip(*(events[k : len(events) - n + 1 + k] for k in range(n))):
            counts[gram] = counts.get(gram, 0) + 1
    total = sum(counts.values())
    return {gram: count / total for gram, count in counts.items()}


def jsd(p, q):
    total = 0
    for gram in p.keys() | q.keys():
        a, b = p.get(gram, 0), q.get(gram, 0)
        for x in (a, b):
            if x:
                total += x / 2 * numpy.log2(2 * x / (a + b))
    return total


def main():
    split = sys.argv.index("--")
    twins, parts = sys.argv[1:split], sys.argv[split + 1 :]
    real = {part: [grams(part, n) for n in (1, 5)] for part in parts}
    for twin in twins:
        made = [grams(twin, n) for n in (1, 5)]
        print(twin, *(f"{jsd(p, q):.4f}" for part in parts for p, q in zip(made, real[part])))


if __name__ == "__main__":
    main()
