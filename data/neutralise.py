#!/usr/bin/env python3
"""Makes the names in a CTF folder written by `perf data convert --to-ctf` neutral, in place.

A command name stays when it belongs to a kernel thread or stands in KEEP (standard tools) or --keep; any other becomes
svc-N, of the same length, the same one everywhere in the trace. Paths are treated component by component. All other
strings (device, cache, function and queue names) come from the kernel and stay. Nothing but the bytes of these strings
changes: same sizes, same number of events, same times.

usage: neutralise.py [--keep NAME,...] [--host NAME] [--list] FOLDER
  --list   change nothing; print every distinct string with its field, to be read before a trace is given away
"""
import argparse
import os
import re
import struct
import sys

# What data/workload.sh runs, and what a path to it is made of.
KEEP = set("""awk basename bash cat chmod cp date dd dirname echo expr find grep gzip head make mawk mkdir mv openssl perf
perf-exec python3 python3.11 readlink record.sh rm sed seq sh sha256sum sleep sort tail tar tr uniq wc workload.sh xargs
xz dash usr bin sbin lib lib64 x86_64-linux-gnu aarch64-linux-gnu var tmp""".split())
KERNEL_NAME = re.compile(rb"swapper/\d+$|kworker/|ksoftirqd/|migration/|cpuhp/|irq/\d+-|jbd2/|kthreadd$|rcu_")
PATHS = ("filename", "interp", "path", "pathname")
LIBRARY = re.compile(rb"(lib|ld-)[\w.+-]*\.so[\d.]*$")
INTEGER = re.compile(r"integer \{ size = (\d+); align = (\d+);.*\} (\w+)(?:\[ ?(\w+) ?\])?;")
STRING = re.compile(r"string \{.*\} (\w+)(\[)?;")


def fail(message):
    sys.exit(f"neutralise.py: {message}")


def parse_metadata(text):
    """{event id: (name, [(kind, field, bytes per element, count or name of the length field or None)])}"""
    events = {}
    for block in re.findall(r"^event \{\n(.*?)^\};", text, re.S | re.M):
        fields = []
        for line in block.partition("fields := struct {\n")[2].splitlines()[:-1]:
            if match := INTEGER.search(line):
                size, align, field, count = match.groups()
                if int(size) % 8 or int(align) > 8:
                    fail(f"not perf's layout: {line.strip()}")
                fields.append(("integer", field, int(size) // 8, int(count) if (count or "").isdigit() else count))
            elif (match := STRING.search(line)) and not match.group(2):
                fields.append(("string", match.group(1), 0, None))
            elif "struct" not in line and "}" not in line:
                fail(f"not perf's layout: {line.strip()}")
        name = re.search(r'^\tname = "(.*)";', block, re.M).group(1)
        events[int(re.search(r"^\tid = (\d+);", block, re.M).group(1))] = (name, fields)
    return events


def compile_event(fields):
    """Joins neighbouring integers that no sequence counts on: decoding visits strings and sequences only."""
    counters = {count for _, _, _, count in fields if isinstance(count, str)}
    steps, skip = [], 0
    for kind, field, size, count in fields:
        if kind == "integer" and not isinstance(count, str) and field not in counters and field not in ("pid", "ppid"):
            skip += size * (1 if count is None else count)
            continue
        steps.append((skip, kind, field, size, count))
        skip = 0
    return steps, skip


def decode(data, events):
    """Yields (event name, {pid and ppid where it has them}, [(field, offset, bytes) of each string]) of every event."""
    steps_of = {number: (name, *compile_event(fields)) for number, (name, fields) in events.items()}
    packet = 0
    while packet < len(data):
        # header: magic u32, uuid, stream id u32; context: two times, content and packet size in bits, discarded, cpu
        if struct.unpack_from("<I", data, packet)[0] != 0xC1FC1FC1:
            fail(f"no packet at byte {packet}")
        content, whole, discarded = struct.unpack_from("<QQQ", data, packet + 40)
        if discarded:
            fail(f"{discarded} discarded events")
        at, end = packet + 68, packet + content // 8
        while at < end:
            name, steps, tail = steps_of[struct.unpack_from("<I", data, at)[0]]
            at += 12
            integers, strings = {}, []
            for skip, kind, field, size, count in steps:
                at += skip
                if kind == "string":
                    stop = data.index(0, at)
                    strings.append((field, at, bytes(data[at:stop])))
                    at = stop + 1
                elif isinstance(count, str):
                    at += size * integers[count]
                else:
                    integers[field] = int.from_bytes(data[at : at + size], "little")
                    at += size
            at += tail
            yield name, integers, strings
        if at != end:
            fail(f"packet at byte {packet}: events end at {at}, content at {end}")
        packet += whole // 8


class Names:
    """One neutral name per name: svc-0001 for eight letters; s and a base-36 number when there are fewer than six."""

    def __init__(self, keep):
        self.keep, self.table, self.used = keep, {}, set()

    def neutral(self, name):
        if name in self.keep or KERNEL_NAME.match(name):
            return name
        if name not in self.table:
            self.table[name] = self.fresh(len(name))
        return self.table[name]

    def fresh(self, length):
        prefix, digits = (b"svc-", "0123456789") if length >= 6 else (b"s", "0123456789abcdefghijklmnopqrstuvwxyz")
        prefix = prefix[: length - 1]
        for number in range(1, len(digits) ** min(length - len(prefix), 4)):
            text, rest = "", number
            for _ in range(length - len(prefix)):
                rest, digit = divmod(rest, len(digits))
                text = digits[digit] + text
            if (name := prefix + text.encode()) not in self.used | self.keep:
                self.used.add(name)
                return name
        fail(f"too many names of {length} letters")

    def neutral_path(self, path):
        if path.startswith((b"[", b"//anon")):  # [vdso], [kernel.kallsyms]_text: no file
            return path
        parts = path.split(b"/")
        return b"/".join(p if not p or LIBRARY.match(p) else self.neutral(p) for p in parts)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--keep", default="")
    parser.add_argument("--host", default="host")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()

    metadata_path = os.path.join(options.folder, "metadata")
    with open(metadata_path, encoding="utf-8") as file:
        metadata = file.read()
    events = parse_metadata(metadata)
    streams = {}
    for entry in sorted(os.listdir(options.folder)):
        if entry != "metadata":
            with open(os.path.join(options.folder, entry), "rb") as file:
                streams[entry] = bytearray(file.read())
    decoded = {entry: list(decode(data, events)) for entry, data in streams.items()}

    if options.list:
        lines = {
            f"{name} {field} {value.decode(errors='backslashreplace')}"
            for stream in decoded.values()
            for name, _, strings in stream
            for field, _, value in strings
        }
        print("\n".join(sorted(lines)))
        return

    # kernel threads: kthreadd (process 2) and its children, in the state dump and by later forks
    dump = [event for stream in decoded.values() for event in stream if event[0] in ("perf_fork", "perf_comm")]
    kernel = {2} | {integers["pid"] for name, integers, _ in dump if name == "perf_fork" and integers["ppid"] == 2}
    names = Names({name.encode() for name in KEEP | set(filter(None, options.keep.split(",")))})
    for name, integers, strings in dump:
        if name == "perf_comm" and integers["pid"] in kernel:
            names.keep.add(strings[0][2])

    for entry, stream in decoded.items():
        data = streams[entry]
        for _, _, strings in stream:
            for field, at, value in strings:
                if field.endswith("comm") and value:
                    data[at : at + len(value)] = names.neutral(value)
                elif field in PATHS:
                    data[at : at + len(value)] = names.neutral_path(value)
        with open(os.path.join(options.folder, entry), "wb") as file:
            file.write(data)
    with open(metadata_path, "w", encoding="utf-8") as file:
        file.write(re.sub(r'(\thost = ").*(";)', rf"\g<1>{options.host}\g<2>", metadata))
    print(f"neutralise.py: {len(names.table)} names made neutral", file=sys.stderr)


if __name__ == "__main__":
    main()
