#!/usr/bin/python3
"""How well gaps are filled: cuts them out of held-out data on purpose, has `tracetwin fill` fill them, and compares.

usage: gaps.py [--tracetwin COMMAND] [--lengths 1,5,...] [--cuts N] [--seeds 1,2,3] [--threads N] MODEL TRAIN TEST NAME

One CSV row a length, seed and method on stdout. A cut takes `length` successive events out of one CPU's stream; cuts of
one CPU lie CONTEXT events apart at least. Methods:
  masked        tracetwin fill: a draw
  masked_best   fill --best: the candidate closest to all others
  left_best     the same given the left side alone
  bridged_best  without the network: the n-gram, given both sides
  ngram_best    the n-gram given the left side alone
  lookup        what stands in TRAIN where most events on both sides agree (up to CONTEXT on each; of several such
                places the content seen most often)
Figures, each over all cuts and over those whose window (NEAR events, the gap, NEAR events) isn't verbatim in TRAIN:
  accuracy    events that are right at their place
  whole       gaps that are right in every event
  similarity  1 - edit distance / length
"""
import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile

import numpy

CONTEXT, NEAR = 32, 16
TYPES = {"ts": "<i8", "ret": "<i8", "tid": "<i4", "comm": "<u4", "event": "<u2", "cpu": "<u2"}
METHODS = {"masked": [], "masked_best": ["--best"], "left_best": ["--without", "right", "--best"],
           "bridged_best": ["--without", "network", "--best"],
           "ngram_best": ["--without", "network", "--without", "right", "--best"]}


def load(path):
    with open(os.path.join(path, "dataset.json")) as file:
        meta = json.load(file)
    assert not meta["gaps"] and len(meta["sources"]) <= 1, f"{path}: gaps and borders between sources aren't heeded here"
    shards = [os.path.join(path, f"shard-{i:05d}") for i in range(meta["shards"])]
    return meta, {name: numpy.concatenate([numpy.load(os.path.join(shard, name + ".npy")) for shard in shards])
                  for name in TYPES}


def save(path, meta, columns):
    """As docs/dataset.md has it, in one shard."""
    n = len(columns["ts"])
    os.makedirs(os.path.join(path, "shard-00000"))
    meta = dict(meta, events=n, shards=1, shard_events=-(-n // 2048) * 2048,
                sources=[dict(source, first=0, events=n) for source in meta["sources"]],
                first_ts=int(columns["ts"][0]), last_ts=int(columns["ts"][-1]),
                event_types=len(set(columns["event"])), tids=len(set(columns["tid"]) - {-2**31}),
                comm_types=len(set(columns["comm"]) - {2**32 - 1}), cpus=len(set(columns["cpu"])),
                lost_events=sum(gap["lost"] for gap in meta["gaps"]))
    with open(os.path.join(path, "dataset.json"), "w") as file:
        json.dump(meta, file)
    for name, kind in TYPES.items():
        header = b"{'descr': '%s', 'fortran_order': False, 'shape': (%d,), }" % (kind.encode(), n)
        with open(os.path.join(path, "shard-00000", name + ".npy"), "wb") as file:
            file.write(b"\x93NUMPY\x01\x00" + (4086).to_bytes(2, "little") + header.ljust(4085) + b"\n")
            file.write(columns[name].astype(kind).tobytes())


def streams(columns):
    return {cpu: numpy.flatnonzero(columns["cpu"] == cpu) for cpu in numpy.unique(columns["cpu"])}


def choose(rows, length, cuts, seed):
    """(cpu, position in its stream) of each cut."""
    rng = random.Random(f"{seed} {length}")
    room = {cpu: len(at) - length - 2 * CONTEXT for cpu, at in rows.items()}
    room = {cpu: n for cpu, n in room.items() if n > 0}
    chosen = []
    for _ in range(100 * cuts):
        cpu = rng.choices(list(room), list(room.values()))[0]
        at = CONTEXT + rng.randrange(room[cpu])
        if all(other != cpu or abs(place - at) >= length + CONTEXT for other, place in chosen):
            chosen.append((cpu, at))
        if len(chosen) == cuts:
            break
    return chosen


def cut(meta, columns, rows, chosen, length):
    keep = numpy.ones(len(columns["ts"]), bool)
    gaps = []
    for cpu, at in chosen:
        keep[rows[cpu][at:at + length]] = False
        gaps.append({"begin": int(columns["ts"][rows[cpu][at - 1]]), "end": int(columns["ts"][rows[cpu][at + length]]),
                     "lost": length, "cpu": int(cpu)})
    gaps.sort(key=lambda gap: gap["begin"])
    return dict(meta, gaps=gaps), {name: column[keep] for name, column in columns.items()}


def fill(args, method, seed, folder):
    words = [args.tracetwin, "fill", os.path.join(folder, "cut"), "--model", args.model, "-f", "-q", "-o",
             os.path.join(folder, "filled"), "--seed", str(seed), "--threads", str(args.threads), "--json"]
    result = json.loads(subprocess.run(words + METHODS[method], check=True, capture_output=True).stdout)
    assert result["filled_gaps"] == result["gaps"]
    with open(os.path.join(folder, "filled", "dataset.json")) as file:
        meta = json.load(file)
    assert meta["shards"] == 1 and not meta["gaps"]
    return {name: numpy.load(os.path.join(folder, "filled", "shard-00000", name + ".npy")) for name in ("event", "cpu")}


def agreeing(train, places, step, wanted):
    """How many of `wanted` agree with train[places], train[places + step], ..."""
    count = numpy.zeros(len(places), numpy.int16)
    alive = numpy.arange(len(places))
    for k, event in enumerate(wanted):
        alive = alive[train[places[alive] + step * k] == event]
        count[alive] += 1
    return count


def look_up(train, left, right, truth):
    """The content at the nearest context; whether the window is there verbatim. train: -1 between streams."""
    n = len(truth)
    places = numpy.arange(CONTEXT, len(train) - n - CONTEXT)
    before = agreeing(train, places - 1, -1, left[::-1])
    after = agreeing(train, places + n, 1, right)
    near = places[(before >= NEAR) & (after >= NEAR)]
    verbatim = bool((agreeing(train, near, 1, truth) == n).any())
    order = before + after
    while True: # contents that reach over a border don't count
        best = places[order == order.max()]
        contents = train[best[:4096, None] + numpy.arange(n)]
        contents = contents[(contents >= 0).all(axis=1)]
        if len(contents):
            break
        order[order == order.max()] = -1
    kinds, counts = numpy.unique(contents, axis=0, return_counts=True)
    return kinds[counts.argmax()], verbatim


def edit_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def score(truths, guesses):
    if not truths:
        return [0, "", "", ""]
    right = [guess == truth for guess, truth in zip(guesses, truths)]
    n = len(truths[0])
    return [len(truths), round(sum(float(r.mean()) for r in right) / len(right), 4),
            round(sum(bool(r.all()) for r in right) / len(right), 4),
            round(sum(1 - edit_distance(g.tolist(), t.tolist()) / n for g, t in zip(guesses, truths)) / len(right), 4)]


def measure(args, length, seed, train, meta, columns, rows, out, folder):
    chosen = choose(rows, length, args.cuts, seed)
    save(os.path.join(folder, "cut"), *cut(meta, columns, rows, chosen, length))
    whole = {cpu: columns["event"][at].astype(numpy.int32) for cpu, at in rows.items()}
    truths = [whole[cpu][at:at + length] for cpu, at in chosen]
    looked = [look_up(train, whole[cpu][at - CONTEXT:at], whole[cpu][at + length:at + length + CONTEXT], truth)
              for (cpu, at), truth in zip(chosen, truths)]
    guesses = {"lookup": [content for content, _ in looked]}
    for method in METHODS:
        filled = fill(args, method, seed, folder)
        parts = {cpu: filled["event"][filled["cpu"] == cpu] for cpu in rows}
        guesses[method] = [parts[cpu][at:at + length] for cpu, at in chosen]
    fresh = [i for i, (_, verbatim) in enumerate(looked) if not verbatim]
    for method, guess in guesses.items():
        out.writerow([args.name, length, seed, method, *score(truths, guess),
                      *score([truths[i] for i in fresh], [guess[i] for i in fresh])])
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracetwin", default="tracetwin")
    parser.add_argument("--lengths", default="1,5,10,20,30,40")
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--threads", type=int, default=0)
    for name in ("model", "train", "test", "name"):
        parser.add_argument(name)
    args = parser.parse_args()
    _, learned = load(args.train)
    between = numpy.full(CONTEXT, -1, numpy.int32)
    train = numpy.concatenate([part for at in streams(learned).values()
                               for part in (between, learned["event"][at].astype(numpy.int32))] + [between])
    meta, columns = load(args.test)
    rows = streams(columns)
    out = csv.writer(sys.stdout, lineterminator="\n")
    figures = ["cuts", "accuracy", "whole", "similarity"]
    out.writerow(["trace", "length", "seed", "method", *figures, *("fresh_" + figure for figure in figures)])
    for length in map(int, args.lengths.split(",")):
        for seed in map(int, args.seeds.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                measure(args, length, seed, train, meta, columns, rows, out, folder)


if __name__ == "__main__":
    main()
