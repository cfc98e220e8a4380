#!/usr/bin/python3
"""Rates and peak memory of the pipe: import, export, constraints, check, repair.

  bench/pipe.py [-o JSON] [--events N] [--tracetwin COMMAND] TRACE...

Every figure is of the public command, as a process of its own: wall time and the peak resident
memory of it and its children. import is timed beside `babeltrace2 TRACE > /dev/null` in turns, the
best of three of each (the page cache is warm from the first). The other commands run on the first
trace's dataset repeated to N events (default 100,000,000: what does not fit into memory at once
must not have to), and on a tenth of that, so that memory which grows with the trace shows. repair
gets the constraints of the first tenth of the trace, so that there is something to repair.
Verified before it is timed: import's events are babeltrace2's lines, a repaired dataset checks; at
the end: no command's peak grows with the trace."""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

COLUMNS = ("ts", "ret", "tid", "comm", "event", "cpu")
HEADER = 4096
MAY_STAY_MAPPED = 256 << 20  # a dataset below this size need not be given back page by page


# A process starts with the peak of the one that it was forked from: from this script, numpy's
# arrays. So commands are started by a small one, which reports status and peak on its last line.
LAUNCHER = """
import os, sys
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
sys.stderr.write(f"\\n{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss}")
"""


def run(command, check=(0,)):
    """Seconds, peak bytes and stdout."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out:
        done = subprocess.run([sys.executable, "-I", "-S", "-c", LAUNCHER, *map(str, command)],
                              stdout=out, stderr=subprocess.PIPE, check=False)
        seconds = time.monotonic() - begin
        error, _, last = done.stderr.rpartition(b"\n")
        if done.returncode != 0:
            sys.exit(f"{command[0]}: {done.stderr.decode(errors='replace')}")
        code, peak = map(int, last.split())
        if code not in check:
            sys.exit(f"{' '.join(map(str, command))}: exit {code}\n{error.decode(errors='replace')}")
        out.seek(0)
        return seconds, peak * 1024, out.read()


def write_column(path, values):
    """As docs/dataset.md has it: the header is padded to one page."""
    text = str({"descr": values.dtype.str, "fortran_order": False, "shape": values.shape})
    text = text.ljust(HEADER - 10 - 1) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1"))
        values.tofile(file)


def repeat(source, target, events):
    """The dataset over and over, each time later by its duration, to exactly so many events."""
    meta = json.loads((source / "dataset.json").read_text())
    column = {name: np.concatenate([np.load(source / f"shard-{i:05d}" / f"{name}.npy")
                                    for i in range(meta["shards"])]) for name in COLUMNS}
    n, period = len(column["ts"]), int(column["ts"][-1] - column["ts"][0]) + 1000
    shard = meta["shard_events"]
    shards = -(-events // shard)
    last = 0
    for i in range(shards):
        rows = np.arange(i * shard, min((i + 1) * shard, events))
        folder = target / f"shard-{i:05d}"
        folder.mkdir(parents=True)
        for name in COLUMNS:
            values = column[name][rows % n]
            if name == "ts":
                values = values + rows // n * period
                last = int(values[-1])
            write_column(folder / f"{name}.npy", values.astype(column[name].dtype))
    meta["sources"] = meta["sources"][:1]
    meta["sources"][0].update(first=0, events=events)
    meta.update(events=events, shards=shards, last_ts=last, gaps=[], lost_events=0)
    (target / "dataset.json").write_text(json.dumps(meta))


def measure_import(tracetwin, trace, folder):
    rates = {"babeltrace2": 0.0, "import": 0.0}
    peak = 0
    for attempt in range(3):
        seconds, _, out = run(["babeltrace2", trace])
        lines = out.count(b"\n")
        rates["babeltrace2"] = max(rates["babeltrace2"], lines / seconds)
        seconds, memory, out = run([tracetwin, "import", trace, "-o", folder, "-f", "-q", "--json"])
        events = json.loads(out)["events"]
        rates["import"] = max(rates["import"], events / seconds)
        peak = max(peak, memory)
        if abs(lines - events) > lines // 100:  # the state dump's pseudo-events are not rows
            sys.exit(f"{trace}: {events} events imported, babeltrace2 prints {lines}")
    return {"trace": trace.name, "events": events,
            "babeltrace2_events_per_second": rates["babeltrace2"],
            "import_events_per_second": rates["import"],
            "ratio": rates["import"] / rates["babeltrace2"], "peak_rss_bytes": peak}


def measure_pipe(tracetwin, dataset, constraints, events, folder):
    rows = []

    def step(name, arguments, check=(0,)):
        seconds, memory, out = run([tracetwin, *map(str, arguments)], check)
        rows.append({"command": name, "events": events, "seconds": seconds,
                     "events_per_second": events / seconds, "peak_rss_bytes": memory})
        return out

    step("constraints", ["constraints", dataset, "-o", folder / "own.json", "-f"])
    step("check", ["check", dataset, "--constraints", constraints], (0, 3))
    step("repair", ["repair", dataset, "--constraints", constraints, "-o", folder / "repaired",
                    "-f", "-q"])
    after = json.loads(run([tracetwin, "check", folder / "repaired", "--constraints", constraints,
                            "--json"])[2])
    if any(after[name] for name in ("d_trans", "d_time", "d_cpu", "d_attr")):
        sys.exit(f"{dataset}: repaired, and yet {after}")
    shutil.rmtree(folder / "repaired")
    step("export", ["export", dataset, "-o", folder / "ctf", "--format", "ctf", "-f", "-q"])
    shutil.rmtree(folder / "ctf")
    return rows


def check_peaks(small, large):
    """Ten times the events, the same memory (but for what is mapped of a small dataset)."""
    for before, after in zip(small, large):
        most = max(before["peak_rss_bytes"], MAY_STAY_MAPPED) * 5 // 4
        if after["peak_rss_bytes"] > most:
            sys.exit(f"{after['command']}: {after['peak_rss_bytes'] >> 20} MiB for "
                     f"{after['events']} events, {before['peak_rss_bytes'] >> 20} MiB for "
                     f"{before['events']}: memory grows with the trace")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", default="build/bench-pipe.json")
    parser.add_argument("--events", type=int, default=100_000_000)
    parser.add_argument("--tracetwin", default="build/release/tracetwin")
    parser.add_argument("traces", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    report = {"cpus": os.cpu_count(), "load_before": os.getloadavg()[0], "import": [], "pipe": []}
    with tempfile.TemporaryDirectory(dir=".", prefix="bench-pipe.") as name:
        folder = pathlib.Path(name)
        for i, trace in enumerate(options.traces):
            row = measure_import(options.tracetwin, trace, folder / f"d{i}")
            report["import"].append(row)
            print(f"import {row['trace']:24} {row['import_events_per_second']:12,.0f} events/s, "
                  f"{row['ratio']:.2f} of babeltrace2, {row['peak_rss_bytes'] >> 20} MiB", flush=True)
        run([options.tracetwin, "split", folder / "d0", "-o", folder / "parts", "--train", "0.1",
             "--val", "0.1", "--test", "0.8"])
        constraints = folder / "first.json"
        run([options.tracetwin, "constraints", folder / "parts/train", "-o", constraints])
        for events in (options.events // 10, options.events):
            repeat(folder / "d0", folder / "many", events)
            for row in measure_pipe(options.tracetwin, folder / "many", constraints, events, folder):
                report["pipe"].append(row)
                print(f"{row['command']:12} {events:12,} events {row['events_per_second']:14,.0f} "
                      f"events/s, {row['peak_rss_bytes'] >> 20} MiB", flush=True)
            shutil.rmtree(folder / "many")
    pathlib.Path(options.output).write_text(json.dumps(report, indent=1) + "\n")
    half = len(report["pipe"]) // 2
    check_peaks(report["pipe"][:half], report["pipe"][half:])


if __name__ == "__main__":
    main()
