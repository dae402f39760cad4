#!/usr/bin/env python3
"""Fails unless the tests have run every line of every kernels/cuda/*.cu.

usage: tools/kernel_coverage.py [BUILD_DIR]     BUILD_DIR: a build of the preset `coverage` (default: build/coverage)

Runs kernels_test of that build on the emulator, one process a test, then reads gcov's counts. A line of a template counts
once somebody's instance has run it. Prints each line that did not run as `file:line: never run`; ends with
`N passed, N failed` over the files; exits 1 on a failure.
"""
import argparse
import collections
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run_tests(build):
    for old in build.rglob("*.gcda"):
        old.unlink()
    jobs = os.environ.get("JOBS", str(os.cpu_count()))
    result = subprocess.run(["ctest", "--test-dir", build / "tests/kernels", "-j", jobs, "--output-on-failure",
                             "--no-tests=error"], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{result.stdout[-4000:]}\nthe tests fail: no coverage to read")


def counts(build):
    """{file: {line: runs}} of the .cu files of kernels/cuda."""
    found = collections.defaultdict(collections.Counter)
    data = sorted(build.glob("kernels/cuda/**/*.cu.gcda"))
    with tempfile.TemporaryDirectory() as folder:
        for path in data:
            subprocess.run(["gcov", "--json-format", path], cwd=folder, check=True, capture_output=True)
            for report in pathlib.Path(folder).glob("*.gcov.json.gz"):
                for file in json.loads(gzip.decompress(report.read_bytes()))["files"]:
                    name = pathlib.Path(build, file["file"]).resolve()
                    if name.suffix == ".cu" and name.is_relative_to(ROOT / "kernels/cuda"):
                        for line in file["lines"]:
                            found[name][line["line_number"]] += line["count"]
                report.unlink()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default=ROOT / "build/coverage", type=pathlib.Path)
    build = parser.parse_args().build.resolve()
    run_tests(build)
    found = counts(build)
    files = sorted((ROOT / "kernels/cuda").glob("*.cu"))
    failed = 0
    for file in files:
        lines = found.get(file, {})
        missing = sorted(number for number, runs in lines.items() if runs == 0)
        if not lines:
            print(f"{file.relative_to(ROOT)}:1: no line was ever run")
        for number in missing:
            print(f"{file.relative_to(ROOT)}:{number}: never run")
        failed += not lines or bool(missing)
        print(f"{file.name}: {len(lines) - len(missing)} of {len(lines)} lines")
    print(f"{len(files) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
