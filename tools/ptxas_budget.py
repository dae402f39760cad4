#!/usr/bin/env python3
"""Compares the registers, spills and shared memory of every CUDA kernel with tests/golden/ptxas_budget.txt.

usage: tools/ptxas_budget.py [--update | --table] [BUILD_DIR]  BUILD_DIR: a build of the preset `cuda` (default: build/cuda)

Reads what `ptxas -v` said of each .cu file when it was built (tools/nvcc_log.sh). A kernel may use less than its line in the
budget allows, never more; a kernel without a line and a line without a kernel are failures too. --update writes the
file; --table prints it for docs/performance.md, the most of each kernel's instances. Ends with `N passed, N failed`; exits 1 on a failure.
"""
import argparse
import pathlib
import re
import subprocess
import sys

from check_report import report

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUDGET = ROOT / "tests/golden/ptxas_budget.txt"
ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(sm_\w+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
# The namespace that nvcc makes of an anonymous one: hash, length, file, hash.
ANONYMOUS = re.compile(r"_GLOBAL__N__[0-9a-f]{8}_\d+_(\w+?)_cu_[0-9a-f]{8}")
NAMESPACES = re.compile(r"\bingot::|\bcuda::|\(anonymous namespace\)::")


def nvcc_version():
    text = subprocess.run(["nvcc", "--version"], check=True, capture_output=True, text=True).stdout
    return re.search(r"release ([\d.]+)", text).group(1)


def readable(symbols):
    """Mangled names to `file: name<arguments>`, without parameters."""
    plain = subprocess.run(["c++filt", "-p"], input="\n".join(symbols), check=True, capture_output=True,
                           text=True).stdout.splitlines()
    names = {}
    for symbol, name in zip(symbols, plain):
        file = ANONYMOUS.search(symbol)
        names[symbol] = (file.group(1) + ":" if file else "") + NAMESPACES.sub("", name).replace(" ", "")
    return names


def measured(build):
    """{(kernel, architecture): (registers, spill bytes, shared bytes)}"""
    logs = sorted(build.glob("kernels/cuda/**/*.cu.o.log"))
    if not logs:
        sys.exit(f"{build} holds no *.cu.o.log: build the preset `cuda` first")
    found, current = {}, None
    for log in logs:
        for line in log.read_text(encoding="utf-8").splitlines():
            if match := ENTRY.search(line):
                current = match.groups()
                found[current] = [0, 0, 0]
            elif current and (match := SPILLS.search(line)):
                found[current][1] = int(match.group(2)) + int(match.group(3))
            elif current and (match := USED.search(line)):
                shared = SHARED.search(line)
                found[current][0] = int(match.group(1))
                found[current][2] = int(shared.group(1)) if shared else 0
    names = readable(sorted({symbol for symbol, _ in found}))
    table = {}
    for (symbol, architecture), values in found.items():
        key = (names[symbol], architecture)
        table[key] = tuple(max(a, b) for a, b in zip(values, table.get(key, (0, 0, 0))))
    return table


def read_budget():
    version, table = "", {}
    for line in BUDGET.read_text(encoding="utf-8").splitlines():
        if line.startswith("# nvcc "):
            version = line.split()[2]
        elif line and not line.startswith("#"):
            kernel, architecture, *values = line.split()
            table[kernel, architecture] = tuple(int(value) for value in values)
    return version, table


def write_budget(table):
    lines = ["# What each kernel may use: kernel, architecture, registers, bytes of spills (stores and loads), static",
             "# shared bytes. Made by tools/ptxas_budget.py --update; a change of a line is part of a change's review.",
             f"# nvcc {nvcc_version()}"]
    lines += [" ".join(map(str, (*key, *values))) for key, values in sorted(table.items())]
    BUDGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


def compare(budget, found):
    """One list of problems a kernel."""
    for key in sorted(budget.keys() | found.keys()):
        name = " ".join(key)
        if key not in budget:
            yield [f"{name}: not in the budget; look at its figures, then run tools/ptxas_budget.py --update"]
        elif key not in found:
            yield [f"{name}: in the budget, but there is no such kernel"]
        else:
            yield [f"{name}: {found[key][i]} {what}, the budget is {budget[key][i]}"
                   for i, what in enumerate(("registers", "bytes of spills", "bytes of static shared memory"))
                   if found[key][i] > budget[key][i]]


def print_table(budget):
    """A row a kernel: what its greediest instance may use, registers and spills of both architectures."""
    kernels = {}
    for (kernel, architecture), values in budget.items():
        worst = kernels.setdefault(re.sub(r"<.*", "", kernel), {})
        worst[architecture] = [max(pair) for pair in zip(values, worst.get(architecture, (0, 0, 0)))]
        worst["instances"] = worst.get("instances", 0) + (architecture == "sm_90a")
    print("| kernel | instances | registers sm_80 | registers sm_90a | spills sm_80, bytes | spills sm_90a |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for kernel, worst in sorted(kernels.items()):
        old, new = worst.get("sm_80"), worst["sm_90a"]
        cells = [f"`{kernel}`", worst["instances"], old[0] if old else "-", new[0], old[1] if old else "-", new[1]]
        print("| " + " | ".join(map(str, cells)) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("build", nargs="?", default=ROOT / "build/cuda", type=pathlib.Path)
    options = parser.parse_args()
    if options.update:
        write_budget(measured(options.build))
        return 0
    version, budget = read_budget()
    if options.table:
        print_table(budget)
        return 0
    if version != nvcc_version():
        print(f"skipped ptxas_budget: recorded with nvcc {version}, here is {nvcc_version()}")
        print("0 passed, 0 failed")
        return 0
    results = list(compare(budget, measured(options.build)))
    return report(results)


if __name__ == "__main__":
    sys.exit(main())
