#!/usr/bin/env python3
"""kill -9 at random moments, a restart each time: the same weights at the end, a valid checkpoint at every moment."""
import os
import random
import signal
import subprocess
import time

from harness import check, checkpoints, main, metrics, require, sha256

KILLS = 50
STEPS = 200


def arguments(bench, run):
    return ["train", "--config", bench.config(), "--output", run, "--set", f"training.steps={STEPS}", "--set",
            "checkpoint.every=5", "--set", "validation.every=50", "--set", "validation.tokens=128"]


def start(bench, run):
    return subprocess.Popen([bench.ingot, *map(str, arguments(bench, run))], cwd=bench.work,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def last_step(run):
    """Step of the newest committed checkpoint, 0 before the first."""
    found = checkpoints(run)
    return int(found[-1].name.removeprefix("step-")) if found else 0


@check
def killed_fifty_times(bench):
    bench.config()
    whole = bench.work / "whole"
    began = time.monotonic()
    bench.run(*arguments(bench, whole))
    duration = time.monotonic() - began
    run = bench.work / "run"
    generator = random.Random(20)
    kills, furthest = 0, 0
    while kills < KILLS:
        process = start(bench, run)
        # Mostly early in a run's life, so that 50 kills happen before the end; sometimes before the first save.
        delay = generator.uniform(0, 2.2 * duration / KILLS) + generator.choice([0, 0, 0.05])
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        require(process.returncode in (0, -signal.SIGKILL), f"restart failed: {process.stderr.read()[-500:]}")
        kills += 1
        now = last_step(run)
        require(now >= furthest, f"after kill {kills} the newest checkpoint went back from {furthest} to {now}")
        furthest = now
        if now:  # what another program would open at this moment
            bench.run("generate", "--checkpoint", checkpoints(run)[-1], "--prompt", "a", "--max-tokens", 1)
        if process.returncode == 0:  # finished early: begin again from nothing
            _expect_same(run, whole)
            run = bench.work / f"run-{kills}"
            furthest = 0
    bench.run(*arguments(bench, run))
    _expect_same(run, whole)


def _expect_same(run, whole):
    pair = [checkpoints(r)[-1] for r in (run, whole)]
    require(pair[0].name == pair[1].name == f"step-{STEPS:08}", f"ended at {pair[0].name}")
    require(sha256(pair[0] / "model.safetensors") == sha256(pair[1] / "model.safetensors"), "other weights")
    steps = [r["step"] for r in metrics(run) if "loss" in r]
    require(steps == sorted(set(steps)), "metrics.jsonl repeats steps or is out of order")
    leftovers = [p for p in (run / "checkpoints").iterdir() if not p.name.startswith("step-")]
    require(not leftovers, f"left behind: {leftovers}")


@check
def stopped_politely(bench):
    run = bench.work / "run"
    process = start(bench, run)
    while last_step(run) == 0 and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    process.wait(60)
    require(process.returncode != 0, f"a stopped run says it is finished: {process.stderr.read()[-300:]}")
    bench.run(*arguments(bench, run))


if __name__ == "__main__":
    main()
