#!/usr/bin/env python3
"""kill -9 at random moments, a restart each time: the same weights at the end, a valid checkpoint at every moment."""
import os
import random
import signal
import subprocess
import time

from harness import check, checkpoints, main, metrics, require, sha256

KILLS = 50
STEPS = 300


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


def lines_of(run):
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def saving(run):
    return any(path.name.startswith(".") for path in (run / "checkpoints").glob(".*"))


def wait_for_moment(process, run, generator):
    """A random moment: in the start-up, some steps on, or in the middle of a save. False: the run ended before."""
    kind = generator.choice(["start-up", "step", "step", "save", "save"])
    begun, more = lines_of(run), generator.randint(1, 9)
    if kind == "start-up":
        time.sleep(generator.uniform(0, 0.5))
    while kind != "start-up" and process.poll() is None:
        if kind == "step" and lines_of(run) >= begun + more:
            break
        if kind == "save" and lines_of(run) > begun and saving(run):
            break
        time.sleep(0.0005)
    time.sleep(generator.uniform(0, 0.008))
    return process.poll() is None


@check
def killed_fifty_times(bench):
    bench.config()
    whole, run = bench.work / "whole", bench.work / "run"
    bench.run(*arguments(bench, whole))
    generator = random.Random(20)
    kills, with_checkpoint, furthest, rounds = 0, 0, 0, 1
    while kills < KILLS:
        process = start(bench, run)
        if wait_for_moment(process, run, generator):
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        require(process.returncode in (0, -signal.SIGKILL), f"restart failed: {process.stderr.read()[-500:]}")
        now = last_step(run)
        require(now >= furthest, f"after kill {kills} the newest checkpoint went back from {furthest} to {now}")
        furthest = now
        if now:  # what another program would open at this moment
            with_checkpoint += process.returncode != 0
            bench.run("generate", "--checkpoint", checkpoints(run)[-1], "--prompt", "a", "--max-tokens", 1)
        if process.returncode == 0:  # all steps are done: begin again from nothing
            _expect_same(run, whole)
            run, furthest, rounds = bench.work / f"run-{rounds}", 0, rounds + 1
    require(with_checkpoint >= KILLS / 2, f"only {with_checkpoint} of {kills} kills came after a checkpoint")
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
    bench.config()
    whole = bench.work / "whole"
    bench.run(*arguments(bench, whole))
    for asked, code in ((signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)):
        run = bench.work / f"run-{asked}"
        process = start(bench, run)
        while last_step(run) == 0 and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, asked)
        process.wait(60)
        require(process.returncode == code, f"{asked!r}: exit code {process.returncode}, not {code}: "
                                            f"{process.stderr.read()[-300:]}")
        saved = last_step(run)
        require(saved < STEPS, "the run was over before the signal")
        require([r["step"] for r in metrics(run) if "loss" in r][-1] == saved, "the last step was not saved")
        bench.run(*arguments(bench, run))
        _expect_same(run, whole)


if __name__ == "__main__":
    main()
