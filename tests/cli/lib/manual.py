#!/usr/bin/env python3
"""Compares docs/tracetwin.1 with what `tracetwin COMMAND --help` prints: commands, operands, options and their values.

usage: manual.py TRACETWIN MANUAL
"""
import re
import subprocess
import sys

tracetwin, manual = sys.argv[1:]


def run(*words):
    return subprocess.run([tracetwin, *words], check=True, capture_output=True, text=True).stdout


def options_of_help(text):
    return {re.split(r"  +", line.strip())[0] for line in text.splitlines() if re.match(r" +-", line)}


def options_of_manual(text):
    return {line.removeprefix(".B ") for line in re.findall(r"^\.TP\n(.*)$", text, re.M)}


page = open(manual).read()
sections = {title: text for title, text in re.findall(r"^\.S[HS] (.*)\n((?:(?!\.S[HS] ).*\n)*)", page, re.M)}
common = options_of_manual(sections["OPTIONS OF EVERY COMMAND"])
entries = {title.split()[1]: (title, text) for title, text in sections.items() if title.startswith("tracetwin ")}
helped = re.findall(r"^  ([a-z]+) ", run("--help"), re.M)
errors = []
if list(entries) != helped:
    errors.append(f"commands: the manual has {list(entries)}, --help {helped}")
for command, (title, text) in entries.items():
    help_text = run(command, "--help")
    usage = help_text.splitlines()[0].removeprefix("usage: ").removesuffix(" [OPTION...]")
    if usage != title:
        errors.append(f"usage: the manual has '{title}', --help '{usage}'")
    have, want = options_of_manual(text) | common, options_of_help(help_text)
    errors += [f"{command}: '{option}' is not in the manual" for option in sorted(want - have)]
    errors += [f"{command}: '{option}' is in the manual only" for option in sorted(have - want)]
    if not re.search(r"^Fields: .*\.$", text, re.M):
        errors.append(f"{command}: the manual does not say which fields --json prints")
codes = set(options_of_manual(sections["EXIT STATUS"]))
if codes != {"0", "1", "2", "3", "4", "130"}:
    errors.append(f"exit codes: {sorted(codes)}")
print("\n".join(errors) or f"{len(entries)} commands agree")
sys.exit(bool(errors))
