#!/usr/bin/env python3
"""`make bench`: the compute engine against the machine's ceilings and against PyTorch, and sampling.

  bench/bench.py [--quick] [-o FILE] [--build FOLDER]

Runs tracetwin-bench (verifies, then times: products, kernels, training steps, the data path on
data/sample), then the same steps in PyTorch where a Python has it ($TORCH_PYTHON, else python3 or
/usr/bin/python3), then sampling through the public command. All of it as JSON in FILE (default
build/bench.json), tables on stdout. Ratios above 1: ours is faster.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODES = {"eager-f32": "torch_eager_ratio", "eager-bf16": "torch_bf16_ratio",
         "compile-bf16": "torch_compile_ratio"}
POSTER = ["--context", "256", "--set", "width=256", "--set", "layers=6", "--set", "heads=8"]
# generator, its options, events. What is sampled hardly depends on how long it was trained.
SAMPLED = [("ddpm", POSTER, 32768), ("ddpm", [], 32768), ("ar", [], 65536), ("masked", [], 65536),
           ("markov", [], 1 << 20)]
COMPILE_LIMIT = 900  # seconds


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"bench: {' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def make_dataset(tracetwin, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run("tar", "-xf", ROOT / "data/sample.tar.xz", "-C", folder)
    metadata = next(folder.rglob("metadata"))
    run(tracetwin, "import", metadata.parent, "-o", folder / "dataset", "-q")
    return folder / "dataset"


def find_torch():
    for python in filter(None, [os.environ.get("TORCH_PYTHON"), "python3", "/usr/bin/python3"]):
        try:
            done = subprocess.run([python, "-c", "import torch; print(torch.__version__)"],
                                  capture_output=True, text=True)
        except OSError:
            continue
        if done.returncode == 0:
            return python, done.stdout.strip()
    return None, None


def compare_with_torch(python, entry, dump, quick):
    """Adds the ratios to a `train` entry: PyTorch's best step over ours."""
    file = dump / f"{entry['model']}-{entry['context']}.safetensors"
    entry["torch_steps"] = []
    for mode, ratio in MODES.items():
        entry[ratio] = None
        if python is None or (quick and mode == "compile-bf16"):
            continue
        command = [python, ROOT / "bench/torch_step.py", file, "--kind", entry["model"], "--context",
                   entry["context"], "--heads", entry["heads"], "--mode", mode,
                   "--seconds", 0 if quick else 10]
        try:
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                                  timeout=COMPILE_LIMIT)
        except subprocess.TimeoutExpired:
            entry["torch_steps"].append({"mode": mode, "error": f"not done in {COMPILE_LIMIT} s"})
            continue
        if done.returncode and mode == "compile-bf16":  # "if it works"
            entry["torch_steps"].append({"mode": mode, "error": done.stderr.strip()[-300:]})
            continue
        if done.returncode:
            sys.exit(f"bench: PyTorch, {mode}: {done.stderr}")
        step = json.loads(done.stdout.splitlines()[-1])
        if step["parameters"] != entry["parameters"]:
            sys.exit(f"bench: {file}: PyTorch has {step['parameters']} parameters, "
                     f"we have {entry['parameters']}")
        entry["torch_steps"].append(step)
        entry[ratio] = step["step_seconds"] / entry["step_seconds"]


def sample(tracetwin, dataset, folder, quick):
    results = []
    for i, (generator, options, events) in enumerate(SAMPLED):
        model = folder / f"model-{i}"
        events = 2000 if quick else events
        steps = [] if generator == "markov" else ["--steps", "2"]
        trained = json.loads(run(tracetwin, "train", dataset, "-o", model, "--generator", generator,
                                 *steps, *options, "-q", "--json"))
        rates = []
        for seed in range(1 if quick else 3):
            made = json.loads(run(tracetwin, "generate", model, "-o", folder / f"twin-{i}-{seed}",
                                  "--events", events, "--seed", seed, "-q", "--json"))
            rates.append(made["events_per_second"])
        results.append({"generator": generator, "options": options, "events": events,
                        "parameters": trained["parameters"], "events_per_second": max(rates),
                        "runs": rates})
    return results


def print_tables(result):
    print(f"\n{'model':10} {'context':>7} {'events/s':>9} {'of peak':>8} {'of torch: eager f32':>20} "
          f"{'eager bf16':>11} {'compiled bf16':>14}   torch {result['torch']}")
    cell = lambda value: "-" if value is None else f"{value:.2f}"
    for t in result["train"]:
        print(f"{t['model']:10} {t['context']:7} {t['events_per_second']:9.0f} "
              f"{100 * t['share_of_peak']:7.1f}% {cell(t['torch_eager_ratio']):>20} "
              f"{cell(t['torch_bf16_ratio']):>11} {cell(t['torch_compile_ratio']):>14}")
    print(f"\n{'sampling':10} {'parameters':>10} {'events/s':>10}")
    for s in result["sample"]:
        print(f"{s['generator']:10} {s['parameters']:10} {s['events_per_second']:10.0f}  {' '.join(s['options'])}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny shapes: does it run at all?")
    parser.add_argument("-o", "--output", type=pathlib.Path, default=ROOT / "build/bench.json")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    arguments = parser.parse_args()
    tracetwin = arguments.build / "tracetwin"
    folder = arguments.build / "bench/work"
    dataset, dump, engine = make_dataset(tracetwin, folder), folder / "steps", folder / "engine.json"
    command = [arguments.build / "bench/tracetwin-bench", "--dataset", dataset, "--dump", dump,
               "--output", engine] + (["--quick"] if arguments.quick else [])
    if subprocess.run([str(c) for c in command]).returncode:
        sys.exit("bench: tracetwin-bench failed")
    result = json.loads(engine.read_text())
    python, version = find_torch()
    result["torch"] = version
    for entry in result["train"]:
        compare_with_torch(python, entry, dump, arguments.quick)
    result["sample"] = sample(tracetwin, dataset, folder, arguments.quick)
    temporary = arguments.output.with_suffix(".part")
    temporary.write_text(json.dumps(result, indent=1) + "\n")
    temporary.replace(arguments.output)
    shutil.rmtree(folder)
    print_tables(result)


if __name__ == "__main__":
    main()
