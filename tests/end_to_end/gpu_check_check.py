#!/usr/bin/env python3
"""A rehearsal of tools/gpu_check.sh on the emulator: its parts run, skip with a reason or fail, and leave their results."""
import json
import os
import pathlib
import subprocess

from harness import check, main, require

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Name in the folder that is carried to a GPU, path in a build for the emulator.
PROGRAMS = {"ingot": "ingot", "kernels_test": "tests/kernels/kernels_test",
            "conformance_test": "tests/kernels/emulator/emulator_test",
            "record_goldens": "tests/kernels/emulator/record_goldens"}
SKIPPED = {"environment", "sanitizer", "kernels", "pytorch"}
PASSED = {"conformance", "ops", "curve", "ranks", "steps"}


def programs(bench):
    build = pathlib.Path(bench.ingot).resolve().parent
    folder = bench.work / "programs"
    folder.mkdir(exist_ok=True)
    for name, path in PROGRAMS.items():
        if not (folder / name).exists():
            os.symlink(build / path, folder / name)
    return folder


def gpu_check(bench, results, *parts, rehearse=True):
    return subprocess.run([ROOT / "tools/gpu_check.sh", *(["--rehearse"] if rehearse else []), "--programs",
                           programs(bench), "--results", results, *parts], capture_output=True, text=True, timeout=600)


def outcomes(results):
    rows = [json.loads(line) for line in (results / "results.jsonl").read_text().splitlines()]
    return {row["part"]: row["outcome"] for row in rows}


@check
def all_parts_leave_results(bench):
    results = bench.work / "gpu_results"
    done = gpu_check(bench, results)
    require(done.returncode == 0, f"exit {done.returncode}: {done.stdout}{done.stderr}")
    found = outcomes(results)
    require({part for part in found if found[part] == "passed"} == PASSED, f"outcomes: {found}")
    require({part for part in found if found[part] == "skipped"} == SKIPPED, f"outcomes: {found}")
    require(done.stdout.count("skipped: ") >= len(SKIPPED) - 1, f"no reason for a skipped part: {done.stdout}")
    figures = {row.pop("measurement"): row for row in map(json.loads, (results / "figures.jsonl").read_text().splitlines())}
    require({"environment", "ops_bf16", "curve", "predictions", "step_tiny_bf16", "step_tiny_fp8"} <= set(figures), f"{sorted(figures)}")
    require(all(row["passed"] for row in figures["ops_bf16"]["ops"]), "an op differs from the CPU's")
    require({row["op"] for row in figures["predictions"]["ops"]} == {row["op"] for row in figures["ops_bf16"]["ops"]},
            "predictions are of other ops than the check")
    summary = (results / "summary.md").read_text()
    require("| attention_backward |" in summary and "mean difference at the end" in summary, summary[:2000])
    require((results / "golden/ldmatrix.csv").read_text().count("\n") == 7, "ldmatrix.csv")
    lines = {name: (results / f"golden/{name}.csv").read_text().count("\n")
             for name in ("wgmma", "wgmma_rounding", "tensor_load", "mbarrier_parity")}
    require(lines == {"wgmma": 49, "wgmma_rounding": 49, "tensor_load": 21, "mbarrier_parity": 2}, f"{lines}")
    require((results / "golden/device.txt").read_text() == "emulator\n", "device.txt")


@check
def a_failing_part_fails_and_the_others_go_on(bench):
    results = bench.work / "gpu_failure"
    folder = programs(bench)
    (folder / "record_goldens").unlink()
    (folder / "record_goldens").write_text("#!/bin/sh\necho out of order; exit 3\n")
    (folder / "record_goldens").chmod(0o755)
    done = gpu_check(bench, results, "conformance", "kernels")
    (folder / "record_goldens").unlink()
    require(done.returncode == 1 and "| out of order" in done.stdout, f"{done.returncode}: {done.stdout}")
    require(outcomes(results) == {"conformance": "failed", "kernels": "skipped"}, f"{outcomes(results)}")


@check
def an_unknown_part_is_named(bench):
    done = gpu_check(bench, bench.work / "gpu_unknown", "speed")
    require(done.returncode == 2 and 'no part "speed"' in done.stderr, f"{done.returncode}: {done.stderr}")


@check
def the_emulator_tells_no_speed(bench):
    refused = bench.run("bench", "kernels", "--device", "cuda", status=1)
    require("no speed" in refused.stderr and "--check" in refused.stderr, refused.stderr)
    predicted = bench.json("bench", "kernels", "--predict", "--filter", "gpt2_124m gelu_forward")
    (row,) = [row for row in predicted["ops"] if "fp8" not in row["shape"]]
    require(abs(row["megabytes"] - 2 * 2 * 65536 * 3072 / 1e6) < 1, f"GELU of 65,536 rows of 3,072 in bf16: {row}")
    require(abs(row["microseconds"] - row["megabytes"] / 2.9) < 0.01 * row["microseconds"], f"{row}")


if __name__ == "__main__":
    main()
