#!/usr/bin/python3
"""Fails when a file includes what its folder may not use (the table of docs/design.md)."""
import pathlib, re, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# folder -> folders whose headers it may include (itself and base always; tracetwin/ = public API)
MAY_USE = {
    "base": [],
    "trace": [],
    "dataset": ["trace/event.h"],
    "compute": [],
    "nn": ["compute"],
    "generators": ["nn", "compute", "dataset", "trace/event.h"],
    "constraints": ["dataset", "trace/event.h"],
    "predictor": ["metrics", "nn", "compute", "dataset", "trace/event.h"],
    "metrics": ["dataset", "trace/event.h"],
    "report": ["metrics", "dataset/dataset.h", "trace/event.h"],
    "jobs": ["trace", "dataset", "compute", "nn", "generators", "constraints", "predictor",
             "metrics", "report"],
}
# system header prefix -> the only places that may include it
ONLY_IN = {"babeltrace2": ["src/trace/"], "tracecmd": ["src/trace/"], "dnnl": ["src/compute/dnn/"]}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
bad = []
for path in sorted([*ROOT.glob("src/**/*.[ch]"), *ROOT.glob("cli/*.[ch]"), *ROOT.glob("include/**/*.h")]):
    rel = path.relative_to(ROOT).as_posix()
    for kind, header in INCLUDE.findall(path.read_text()):
        for prefix, places in ONLY_IN.items():
            if header.startswith(prefix) and not any(rel.startswith(p) for p in places):
                bad.append(f"{rel}: includes {header}, which only {', '.join(places)} may")
        if rel.startswith("include/"):
            if kind == '"':
                bad.append(f'{rel}: public headers include with <>: "{header}"')
            continue
        if rel.startswith("cli/"):
            if kind == '"' and "/" in header:
                bad.append(f"{rel}: includes {header}; cli may use include/tracetwin only")
            continue
        if kind == "<":
            continue
        folder = rel.split("/")[1]
        target = header.split("/")[0]
        if "/" not in header:
            continue  # a file of the same folder
        if target in (folder, "base", "tracetwin"):
            continue
        if not any(header == m or target == m for m in MAY_USE[folder]):
            bad.append(f"{rel}: {folder} may not use {header}")
print("\n".join(bad) if bad else "includes: every one points downwards")
sys.exit(bool(bad))
