#!/usr/bin/python3
"""A second opinion on datasets: docs/dataset.md read with numpy, none of our code.

usage: dataset.py check DATASET...   fails unless every column loads and fits dataset.json; prints the events
       dataset.py csv DATASET        the rows as `tracetwin export --format csv` should write them
       dataset.py transitions TRAIN [TEST]
                                     distinct successors, event types and events of TRAIN;
                                     the share of TEST's pairs of neighbours that TRAIN lacks
"""
import csv
import json
import os
import sys

import numpy

TYPES = {"ts": "<i8", "ret": "<i8", "tid": "<i4", "comm": "<u4", "event": "<u2", "cpu": "<u2"}
NO_RET, NO_TID, NO_COMM = -(2**63), -(2**31), 2**32 - 1


class Dataset:
    def __init__(self, path):
        with open(os.path.join(path, "dataset.json")) as file:
            self.meta = json.load(file)
        shards = [f"shard-{i:05d}" for i in range(self.meta["shards"])]
        assert sorted(os.listdir(path)) == ["dataset.json", *shards], os.listdir(path)
        for name, kind in TYPES.items():
            parts = [numpy.load(os.path.join(path, shard, name + ".npy"), mmap_mode="r") for shard in shards]
            assert all(part.dtype == numpy.dtype(kind) and part.ndim == 1 for part in parts), name
            setattr(self, name, numpy.concatenate(parts))

    def check(self):
        meta, n = self.meta, self.meta["events"]
        assert all(len(getattr(self, name)) == n for name in TYPES)
        assert n > 0 and (numpy.diff(self.ts) >= 0).all()
        assert (meta["first_ts"], meta["last_ts"]) == (self.ts[0], self.ts[-1])
        known = self.comm != NO_COMM
        assert self.event.max() < len(meta["event_names"])
        assert not known.any() or self.comm[known].max() < len(meta["comms"])
        assert len(set(meta["event_names"])) == len(meta["event_names"])
        count = {"event_types": self.event, "comm_types": self.comm[known], "cpus": self.cpu,
                 "tids": self.tid[self.tid != NO_TID]}
        for field, column in count.items():
            assert meta[field] == len(numpy.unique(column)), field
        assert meta["cpu_limit"] == self.cpu.max() + 1
        assert sum(source["events"] for source in meta["sources"]) == n
        return n

    def csv(self, file):
        names, comms = self.meta["event_names"], self.meta["comms"]
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["timestamp_ns", "cpu", "tid", "comm", "event", "ret"])
        for ts, cpu, tid, comm, event, ret in zip(self.ts.tolist(), self.cpu.tolist(), self.tid.tolist(),
                                                  self.comm.tolist(), self.event.tolist(), self.ret.tolist()):
            out.writerow([ts + self.meta["clock_origin_ns"], cpu, "" if tid == NO_TID else tid,
                          "" if comm == NO_COMM else comms[comm], names[event], "" if ret == NO_RET else ret])

    def pairs(self):
        """Successive events by name, of one source, with no gap of lost events between."""
        names = numpy.array(self.meta["event_names"])[self.event]
        real = numpy.ones(len(names) - 1, bool)
        for source in self.meta["sources"][1:]:
            real[source["first"] - 1] = False
        for gap in self.meta["gaps"]:
            real &= (self.ts[1:] < gap["begin"]) | (self.ts[:-1] > gap["end"])
        return list(zip(names[:-1][real], names[1:][real]))


def main(verb, *paths):
    sets = [Dataset(path) for path in paths]
    if verb == "check":
        for one in sets:
            print(one.check())
    elif verb == "csv":
        sets[0].csv(sys.stdout)
    elif verb == "transitions":
        seen = set(sets[0].pairs())
        print(len(seen), len(numpy.unique(sets[0].event)), len(sets[0].event))
        if len(sets) > 1:
            pairs = sets[1].pairs()
            print("%.10g" % (sum(pair not in seen for pair in pairs) / len(pairs)))


if len(sys.argv) < 3:
    sys.exit(__doc__)
main(*sys.argv[1:])
