#!/usr/bin/env python3
"""`ingot doctor` after runs that ended, were killed, were stopped, or took too long."""
import os
import random
import re
import signal
import subprocess
import time

from harness import check, main, metrics, need_strace, require

KILLS = 12


def start(bench, run, *more, launch=(), tracer=()):
    command = [*tracer, bench.ingot, *launch, "train", "--config", bench.config(), "--output", run, "--set", "training.steps=100000",
               "--set", "checkpoint.every=20", "--set", "validation.every=25", *more]
    return subprocess.Popen(list(map(str, command)), cwd=bench.work, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def steps_of(run):
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_steps(process, run, more):
    begun = steps_of(run)
    while steps_of(run) < begun + more:
        require(process.poll() is None, f"the run ended: {process.returncode}")
        time.sleep(0.002)


@check
def an_ended_run(bench):
    found = bench.json("doctor", bench.trained())
    require(found["kind"] == "finished" and found["culprits"] == [], f"{found}")
    require("exit code 0" in found["ranks"][0], f"{found}")


@check
def nothing_to_read(bench):
    bench.refuses("doctor", bench.work, words=["flight", "--output"])


@check
def killed_at_random(bench):
    run, generator = bench.work / "run", random.Random(5)
    for kill in range(KILLS):
        process = start(bench, run)
        wait_for_steps(process, run, generator.randint(1, 8))
        time.sleep(generator.uniform(0, 0.01))
        process.send_signal(signal.SIGKILL)
        process.wait()
        last = max((r["step"] for r in metrics_lines(run)), default=0)
        found = bench.json("doctor", run)
        require(found["kind"] == "died" and found["culprits"] == [0], f"kill {kill}: {found}")
        named = int(found["finding"].split("died in step ")[1].split(",")[0])
        require(last <= named <= last + 1, f"kill {kill}: step {named}, metrics.jsonl ends with {last}: {found}")


def metrics_lines(run):
    """Whole lines: the process was killed."""
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    whole = text[:text.rfind("\n") + 1]
    (run / "metrics.jsonl").write_text(whole, encoding="utf-8")
    return metrics(run)


@check
def stopped_and_running(bench):
    run = bench.work / "run"
    process = start(bench, run)
    wait_for_steps(process, run, 3)
    require(bench.json("doctor", run)["kind"] == "running", "a run that is under way")
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    found = bench.json("doctor", run)
    require(found["kind"] == "stopped" and str(process.pid) in found["advice"], f"{found}")
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    require(process.wait(60) == 75, f"exit code {process.returncode}: {process.stderr.read()[-300:]}")
    found = bench.json("doctor", run)
    require(found["kind"] == "finished" and "has saved" in found["finding"], f"{found}")


@check
def a_phase_that_lasts_too_long(bench):
    run = bench.work / "run"
    need_strace()
    # Each fsync of a save takes a second and a half; phases that were done before may take 20 times as long again.
    slow = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=1500000"]
    process = start(bench, run, "--set", "training.deadline_scale=1e-7", "--set", "checkpoint.background=false",
                    tracer=slow)
    require(process.wait(60) == 74, f"exit code {process.returncode}")
    error = process.stderr.read()
    require("expected the phase" in error and "ingot doctor" in error, error)
    found = bench.json("doctor", run)
    require(found["kind"] == "hung" and found["culprits"] == [0], f"{found}")
    require("to end within" in found["ranks"][0], f"{found}")


@check
def an_error_of_its_own(bench):
    run = bench.work / "run"
    process = start(bench, run, "--set", "optimizer.learning_rate=1e30", "--set", "schedule.warmup_steps=0")
    require(process.wait(60) == 79, f"exit code {process.returncode}: {process.stderr.read()[-300:]}")
    found = bench.json("doctor", run)
    require(found["kind"] == "failed" and "finite" in found["finding"], f"{found}")


def pid_of(bench, run, rank):
    line = next(line for line in bench.json("doctor", run)["ranks"] if line.startswith(f"rank {rank} "))
    return int(re.search(r"pid (\d+)", line).group(1))


@check
def one_of_two_ranks_dies(bench):
    run, generator = bench.work / "run", random.Random(6)
    for rank in (1, 0, 1):
        process = start(bench, run, "--set", "training.tokens_per_step=512", launch=["launch", "--nproc", 2, "--"])
        wait_for_steps(process, run, generator.randint(2, 9))
        os.kill(pid_of(bench, run, rank), signal.SIGKILL)
        require(process.wait(60) != 0, "the launcher says that all is well")
        found = bench.json("doctor", run)
        require(found["kind"] == "died" and found["culprits"] == [rank], f"rank {rank} was killed: {found}")
        survivor = next(line for line in found["ranks"] if line.startswith(f"rank {1 - rank} "))
        require("left with exit code 74" in survivor, f"{found}")
        metrics_lines(run)


if __name__ == "__main__":
    main()
