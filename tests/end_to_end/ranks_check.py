#!/usr/bin/env python3
"""Many ranks that give one answer: real processes over Gloo on this machine."""
import json
import os
import random
import re
import signal
import subprocess
import time

from harness import check, checkpoints, main, metrics, require, sha256
from ranks import RANKS_CONFIG, command, free_port, ranks_of, start, state, steps_done, train, wait_for_steps, whole

# Random deaths of a rank; more with INGOT_RANK_KILLS=N.
KILLS = int(os.environ.get("INGOT_RANK_KILLS", "4"))


@check
def same_bits_for_all_worlds_and_levels(bench):
    expected = state(whole(bench))
    for ranks in (2, 4):
        for zero in (0, 1, 2, 3):
            run = bench.work / f"run-{ranks}-{zero}"
            train(bench, run, f"parallel.zero={zero}", ranks=ranks)
            require(state(run) == expected, f"{ranks} ranks, zero {zero}: another state than one rank's")


@check
def bf16_on_the_wire_has_one_answer_too(bench):
    runs = []
    for ranks, zero in ((1, 1), (2, 0), (4, 1), (4, 2), (2, 3)):
        run = bench.work / f"run-{ranks}-{zero}"
        train(bench, run, "parallel.wire=bf16", f"parallel.zero={zero}", ranks=ranks, steps=10)
        runs.append(state(run))
        require(runs[-1] == runs[0], f"{ranks} ranks, zero {zero}: another state than one rank's")
    plain = bench.work / "plain"
    train(bench, plain, steps=10)
    require(state(plain)[1] != runs[0][1], "nothing was rounded")


@check
def moments_in_bf16_have_one_answer(bench):
    bf16, runs = "optimizer.moments_dtype=bf16", []
    for world in ([(1, 1, 10)], [(2, 0, 10)], [(4, 3, 5), (2, 2, 10)]):
        run = bench.work / f"run-{len(runs)}"
        for ranks, zero, steps in world:
            train(bench, run, bf16, f"parallel.zero={zero}", "schedule.kind=constant", ranks=ranks, steps=steps)
        runs.append(state(run)[:2])
        require(runs[-1] == runs[0], f"{world}: another state than one rank's")
    done = bench.run(*command(bench, bench.work / "run-0", "schedule.kind=constant", steps=11), status=1)
    require("optimizer.moments_dtype: expected bf16, found fp32" in done.stderr, done.stderr[-300:])


@check
def odd_worlds_and_uneven_lanes(bench):
    settings = ["training.tokens_per_step=352", "parallel.lanes=5"]  # 11 micro-batches in 5 lanes
    runs = {}
    for ranks in (1, 3, 5):
        run = bench.work / f"run-{ranks}"
        train(bench, run, *settings, ranks=ranks, steps=5)
        runs[ranks] = state(run)
    require(runs[1] == runs[3] == runs[5], "3 or 5 ranks have another state than one")


@check
def resumes_with_other_ranks(bench):
    run = bench.work / "run"
    for ranks, zero, steps in ((4, 3, 10), (1, 0, 20), (2, 2, 30)):
        train(bench, run, f"parallel.zero={zero}", ranks=ranks, steps=steps, *[])
    name, files, _ = state(run)
    # A cosine over 30 steps only: the undisturbed run knows its length from the start.
    other = bench.work / "other"
    for steps in (10, 20, 30):
        train(bench, other, steps=steps)
    require((name, files) == state(other)[:2], "4, 1, then 2 ranks have another state than one rank")


def exported(bench, run):
    """What `ingot` makes of the newest checkpoint: weights in one file, a loss, a text."""
    newest, output = checkpoints(run)[-1], bench.work / f"export-{run.name}"
    bench.run("export", "--checkpoint", newest, "--format", "hf", "--output", output)
    loss = bench.json("eval", "--checkpoint", newest, "--data", bench.dataset())["loss"]
    text = bench.run("generate", "--checkpoint", newest, "--prompt", "One", "--max-tokens", 8, "--seed", 1).stdout
    return sha256(output / "model.safetensors"), loss, text


@check
def many_files_are_written_by_all_and_read_by_any(bench):
    small, one, whole_run = (bench.work / name for name in ("small", "one", "whole"))
    steps = ((4, 3, 10), (1, 0, 20), (2, 2, 30))
    for ranks, zero, last in steps:  # each reads what others have cut otherwise, and the end is cut as that of one rank
        size = 20000 if last != 20 else 70000
        train(bench, small, f"parallel.zero={zero}", f"checkpoint.shard_bytes={size}", ranks=ranks, steps=last)
        train(bench, one, f"checkpoint.shard_bytes={size}", steps=last)
        train(bench, whole_run, steps=last)
        require(state(small) == state(one), f"to step {last}: {ranks} ranks have other files than one")
    names = list(state(small)[1])
    require(len(names) > 10 and "model.safetensors" not in names, f"few files: {names}")
    index = json.loads((checkpoints(small)[-1] / "model.safetensors.index.json").read_text())
    require(set(index["weight_map"].values()) == {name for name in names if "/" not in name}, f"another index: {index}")
    require(exported(bench, small) == exported(bench, whole_run), "another model than from one file")


@check
def emulated_device(bench):
    settings = ["model.layers=1", "model.channels=64", "model.heads=1", "training.tokens_per_step=128",
                "data.sequence_length=16", "validation.tokens=16"]
    runs = []
    for ranks, zero in ((1, 1), *((ranks, zero) for ranks in (2, 4) for zero in range(4))):
        run = bench.work / f"run-{ranks}-{zero}"
        train(bench, run, *settings, f"parallel.zero={zero}", "optimizer.moments_dtype=bf16", "parallel.wire=bf16",
              ranks=ranks, steps=30, device="cuda")
        runs.append(state(run))
        require(runs[-1] == runs[0], f"{ranks} ranks have another state than one in stage {zero}")


@check
def fast_mode_learns_the_same(bench):
    losses = []
    for ranks in (1, 2):
        run = bench.work / f"run-{ranks}"
        train(bench, run, "parallel.reproducible=false", ranks=ranks, steps=10)
        losses.append([r["loss"] for r in metrics(run) if "loss" in r])
    for a, b in zip(*losses):
        require(abs(a - b) < 1e-3 * a, f"losses {a} and {b}")


@check
def a_mismatch_is_named(bench):
    port = free_port()
    environment = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2",
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    arguments = command(bench, bench.work / "run")
    processes = []
    for rank, more in ((0, []), (1, ["--set", "optimizer.beta2=0.9"])):
        own = {**os.environ, **environment, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(subprocess.Popen([bench.ingot, *arguments, *more], cwd=bench.work, env=own, text=True,
                                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
    for process in processes:
        error = process.communicate(timeout=60)[1]
        require(process.returncode == 78, f"exit code {process.returncode}: {error}")
        require("optimizer.beta2" in error and "0.9" in error and "rank 1" in error, f"not named: {error}")


@check
def torchrun_style_variables(bench):
    run, port = bench.work / "run", free_port()
    processes = []
    for rank in (0, 1):
        own = {**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2",
               "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "check"}
        processes.append(subprocess.Popen([bench.ingot, *command(bench, run)], cwd=bench.work, env=own, text=True,
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    outputs = [process.communicate(timeout=120) for process in processes]
    for process, (_, error) in zip(processes, outputs):
        require(process.returncode == 0, f"exit code {process.returncode}: {error}")
    require("rank 0 of 2 (torchrun)" in outputs[0][0], f"the launcher is not told: {outputs[0][0][:200]}")
    require(not outputs[1][0], f"rank 1 talks: {outputs[1][0][:200]}")
    require(state(run) == state(whole(bench)), "another state than one rank's")


@check
def too_many_ranks_are_refused(bench):
    done = bench.run(*command(bench, bench.work / "run", "parallel.lanes=2", ranks=4), status=1)
    require("at most 2 ranks, found 4" in done.stderr, done.stderr[-300:])


class Killed:
    """One run of three ranks, of which random ones are killed at random moments until it has come to its end."""

    def __init__(self, bench, number):
        self.bench, self.run = bench, bench.work / f"run-{number}"

    def cycle(self, generator, ranks=3):
        """Starts it, kills a rank; whether it lived long enough to be killed."""
        process = start(self.bench, self.run, "checkpoint.every=3", ranks=ranks)
        early = generator.random() < 0.25  # while the ranks start and meet, else in the steps after some
        if not early:
            wait_for_steps(process, self.run, steps_done(self.run) + generator.randint(1, 4))
        time.sleep(generator.uniform(0, 0.3 if early else 0.03))
        victim = generator.randrange(ranks)
        pid = self.wait_for_rank(process, victim)
        if pid is None:
            process.communicate(timeout=60)
            return False
        os.kill(pid, signal.SIGKILL)
        begin = time.monotonic()
        _, error = process.communicate(timeout=60)
        seconds = time.monotonic() - begin
        if process.returncode == 0:
            return False  # it had left before the signal came
        require(process.returncode == 137 and f"rank {victim} was killed by signal 9" in error,
                f"exit code {process.returncode}: {error}")
        require(seconds < 2, f"out after {seconds:.1f} s: {error}")
        if not early:  # all have met: the others name it themselves
            told = len(re.findall(rf"ingot: error: rank {victim}\b.*died", error))
            require(told == ranks - 1, f"named by {told}: {error}")
        return True

    @staticmethod
    def wait_for_rank(process, rank):
        """Its process id, or None when the run is over."""
        while process.poll() is None:
            try:
                pids = ranks_of(process)
            except FileNotFoundError:
                return None
            if rank in pids:
                return pids[rank]
        return None

    def finish(self):
        """What was lost is made up for: the same bits as without the deaths."""
        train(self.bench, self.run, "checkpoint.every=3", ranks=2)
        require(state(self.run) == state(whole(self.bench)), "another state than the undisturbed run's")


@check
def a_killed_rank_is_named_and_costs_nothing(bench):
    generator = random.Random(5)
    killed, runs = 0, 0
    while killed < KILLS:
        run = Killed(bench, runs)
        while killed < KILLS and run.cycle(generator):
            killed += 1
        run.finish()
        runs += 1
    print(f"{killed} kills in {runs} runs")


@check
def a_signal_to_one_rank_stops_all_after_one_save(bench):
    run = bench.work / "run"
    process = start(bench, run, ranks=2, steps=3000)
    wait_for_steps(process, run, 3)
    os.kill(ranks_of(process)[1], signal.SIGTERM)
    output, error = process.communicate(timeout=60)
    require(process.returncode == 75, f"exit code {process.returncode}: {error}")
    require("stopped by a signal" in output, output[-300:])
    last = metrics(run)[-1]["step"]
    require(checkpoints(run)[-1].name == f"step-{last:08}", f"steps to {last}, {checkpoints(run)[-1]}")


@check
def a_signal_to_the_launcher_is_passed_on(bench):
    run = bench.work / "run"
    process = start(bench, run, ranks=2, steps=3000)
    wait_for_steps(process, run, 3)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    require(process.returncode == 75, f"exit code {process.returncode}: {error}")


@check
def the_cost_of_ranks_is_measured(bench):
    config = bench.config(RANKS_CONFIG)
    done = bench.run("launch", "--nproc", 2, "--", "bench", "ranks", "--config", config, "--mebibytes", 1, "--repeat", 1,
                     "--json")
    figures = json.loads(done.stdout)
    require(figures["ranks"] == 2 and figures["lanes"] == 8 and len(figures["exchanges"]) == 1, done.stdout)
    shares = [figures["share_of_step_in_exchanges"], figures["stall_share_at_a_save_a_minute"]]
    require(all(0 < share < 1 for share in shares), done.stdout)
    require("launch --nproc 2" in bench.refuses("bench", "ranks", "--config", config), "one rank is not refused")


@check
def the_cost_of_ranks_on_a_device_is_measured(bench):
    config = bench.config(RANKS_CONFIG)
    small = ["model.layers=1", "model.channels=64", "model.heads=1", "training.tokens_per_step=64", "data.sequence_length=16"]
    done = bench.run("launch", "--nproc", 2, "--", "bench", "ranks", "--config", config, "--device", "cuda", "--mebibytes", 1,
                     "--repeat", 1, "--json", *[part for setting in small for part in ("--set", setting)])
    figures = json.loads(done.stdout)
    require((figures["device"], figures["data_plane"]) == ("emulator", "Gloo"), done.stdout)
    require("ours_to_gloo" not in figures["exchanges"][0] and figures["save_stall_seconds"] > 0, done.stdout)


@check
def an_error_of_all_ranks_is_told(bench):
    done = bench.run(*command(bench, bench.work / "run", "no.such=1", ranks=2), status=1)
    require("no.such" in done.stderr, done.stderr[-300:])


if __name__ == "__main__":
    main()
