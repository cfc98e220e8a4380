#!/usr/bin/env python3
"""Runs a command as a terminal does (in a process group of its own) and presses Ctrl-C once, after so many seconds, counted
from when PATH is there if one is given: the whole group gets the signal. Ends with the command's exit code.

usage: interrupt.py [PATH+]SECONDS SIGNAL COMMAND...
"""
import os
import signal
import subprocess
import sys
import time

path, _, seconds = sys.argv[1].rpartition("+")
number = signal.Signals[sys.argv[2]]
command = subprocess.Popen(sys.argv[3:], start_new_session=True)
while path and command.poll() is None and not os.path.exists(path):
    time.sleep(0.01)
try:
    command.wait(float(seconds))
except subprocess.TimeoutExpired:
    os.killpg(command.pid, number)
code = command.wait()
try:
    os.killpg(command.pid, 0)
    sys.exit("a process of the command is still there")
except ProcessLookupError:
    sys.exit(code if code >= 0 else 128 - code)
