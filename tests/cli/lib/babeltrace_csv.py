#!/usr/bin/python3
"""The events of a perf trace as `babeltrace2` prints them, in the columns of `tracetwin export --format csv` but comm:
timestamp_ns,cpu,tid,event,ret. The state dump at time 0 is left out; of perf's side-band events, whose context says
nothing of the running thread, only time and name are printed.

usage: babeltrace2 TRACE | babeltrace_csv.py
"""
import re
import sys

line_of = re.compile(r"\[(\d\d):(\d\d):(\d\d)\.(\d{9})\] \([^)]*\) (\S+): \{ cpu_id = (\d+) \}, (.*)")
for line in sys.stdin:
    h, m, s, ns, event, cpu, fields = line_of.match(line).groups()
    ts = ((int(h) * 60 + int(m)) * 60 + int(s)) * 10**9 + int(ns)
    if ts == 0:
        continue
    if event.startswith("perf_"):
        print(f"{ts},,,{event},")
        continue
    tid = re.search(r"\bperf_tid = (-?\d+)", fields)[1]
    if tid == "-1":  # a thread that has just died
        tid = re.search(r"\bcommon_pid = (-?\d+)", fields)[1]
    ret = re.search(r"\bret = (-?\d+)", fields) if event.startswith("syscalls:sys_exit_") else None
    print(f"{ts},{cpu},{tid},{event},{ret[1] if ret else ''}")
