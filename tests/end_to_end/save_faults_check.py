#!/usr/bin/env python3
"""The save path under faults: every system call of it failed or interrupted by a kill, full disks, slow disks.

The thread that writes checkpoints is named ingot-save. strace attaches to it alone and fails calls that touch a path of
a checkpoint some steps ahead, so each injection hits the call that is meant.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

from harness import Skipped, check, checkpoints, main, metrics, need_strace, require, sha256
from ranks import ranks_of

CALLS = "openat,mkdir,write,fsync,close,rename,renameat2,unlinkat,rmdir,getdents64,newfstatat,fstat,mmap,statx"
# What can come of which call.
MAKES = {"openat", "mkdir", "write", "fsync", "close", "rename", "renameat2"}
ERRORS = {"EIO": None, "ENOSPC": MAKES, "EINTR": {"openat", "write", "fsync", "close"}}
AHEAD = 25  # steps between the newest checkpoint and the one that is failed: time to attach
LAST = 100_000
CONFIG = """
model { architecture: llama layers: 1 channels: 16 heads: 2 feed_forward: 16 }
data { path: "%s" sequence_length: 16 }
training { steps: 100000 micro_batch: 1 seed: 7 }
optimizer { learning_rate: 1e-3 }
schedule { kind: constant warmup_steps: 2 }
validation { every: 0 tokens: 64 }
checkpoint { every: 1 keep_last: 2 }
"""


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return f"{crc ^ 0xFFFFFFFF:08x}"


def require_valid_newest(run):
    """Of the directories that are there at this moment, the newest is whole. A running save may remove older ones."""
    for _ in range(20):
        newest = checkpoints(run)[-1]
        try:
            files = json.loads((newest / "MANIFEST.json").read_text(encoding="utf-8"))["files"]
            for name, record in files.items():
                data = (newest / name).read_bytes()
                require(len(data) == record["bytes"] and crc32c(data) == record["crc32c"], f"{newest / name} is damaged")
            return newest
        except FileNotFoundError:
            if newest.exists():
                raise
    raise AssertionError("checkpoints went away 20 times while they were read")


def training(bench, run, settings, ranks=1):
    command = ["train", "--config", bench.config(CONFIG), "--output", run]
    for setting in settings:
        command += ["--set", setting]
    return list(map(str, command if ranks == 1 else ["launch", "--nproc", ranks, "--", *command]))


class Run:
    """A training process that saves after each step; or two, of which rank 1 is looked at."""

    def __init__(self, bench, run, *settings, ranks=1):
        self.path, self.settings = run, settings
        self.output = bench.work / f"{run.name}.out"
        with open(self.output, "ab") as out:
            self.process = subprocess.Popen([bench.ingot, *training(bench, run, settings, ranks)], cwd=bench.work,
                                            stdout=out, stderr=out)
        self.pid = self.process.pid if ranks == 1 else self._rank(1)
        self.thread = self._thread()

    def _rank(self, rank):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            require(self.process.poll() is None, f"ended with {self.process.returncode}: {self.text()[-500:]}")
            pid = ranks_of(self.process).get(rank)
            if pid is not None:
                return pid
            time.sleep(0.005)
        raise AssertionError(f"no rank {rank}")

    def _thread(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            require(self.process.poll() is None, f"ended with {self.process.returncode}: {self.text()[-500:]}")
            for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
                try:
                    if (task / "comm").read_text().strip() == "ingot-save":
                        return task.name
                except (FileNotFoundError, ProcessLookupError):
                    pass
            time.sleep(0.005)
        raise AssertionError("no thread ingot-save")

    def text(self):
        return self.output.read_text(encoding="utf-8", errors="replace")

    def newest(self):
        found = checkpoints(self.path)
        return int(found[-1].name.removeprefix("step-")) if found else 0

    def wait_past(self, step):
        while self.newest() <= step:
            require(self.process.poll() is None, f"ended with {self.process.returncode}: {self.text()[-500:]}")
            time.sleep(0.002)

    def strace(self, log, *options):
        """Attached to the saving thread when this returns."""
        tracer = subprocess.Popen(["strace", "-y", "-o", str(log), "-p", self.thread, *options], text=True,
                                  stderr=subprocess.PIPE)
        line = tracer.stderr.readline()
        if "attached" not in line:
            tracer.kill()
            require(self.process.poll() is not None, f"strace: {line}")
        return tracer

    def stop(self, code=75):
        self.process.send_signal(signal.SIGTERM)
        require(self.process.wait(60) == code, f"exit code {self.process.returncode}: {self.text()[-500:]}")


def template(path, run):
    """The path with the step as {S}, the process as {P}; None for one that has nothing to do with a checkpoint."""
    if not path.startswith(str(run.path)):
        return None
    return path.replace(f".tmp-{run.pid}", ".tmp-{P}")


def calls_of_a_save(bench, run):
    """{(call, path template)} of whole saves, as they happen."""
    log = bench.work / "calls"
    run.wait_past(3)
    tracer = run.strace(log, "-e", f"trace={CALLS}")
    run.wait_past(run.newest() + 6)
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    found = set()
    for line in log.read_text(errors="replace").splitlines():
        call = re.match(r"(\w+)\(", line)
        paths = [template(path, run) for path in re.findall(r'[<"](/[^>"]*)[>"]', line)]
        paths = [path for path in paths if path]
        if not call or not paths:
            continue
        # The last path of a rename is what it makes; the temporary name has the step that is being saved.
        step = re.search(r"\.(?:tmp|trash)-step-(\d+)", line)
        path = next((p for p in paths if step and step.group(1) in p), paths[0])
        found.add((call.group(1), re.sub(r"step-\d+", "step-{S}", path)))
    return {key for key in found if not (key[0] == "newfstatat" and "{S}" not in key[1])}


def injected(log):
    return [line for line in log.read_text(errors="replace").splitlines() if "(INJECTED)" in line]


def fail_call(bench, run, call, paths, error):
    """Fails `call` once at each path, every second save from AHEAD steps on. Returns how many were injected."""
    log = bench.work / "injected"
    options, step = [], run.newest() + AHEAD
    # A write that is interrupted is tried again: it must be failed once and not for ever.
    alone = error == "EINTR" and call == "write"
    per_save = [path for path in paths if "{S}" in path and not alone]
    shared = [path for path in paths if path not in per_save]
    for path in per_save:
        options += ["-P", path.replace("{S}", f"{step:08}").replace("{P}", str(run.pid))]
        step += 2
    count = 0
    if per_save:
        tracer = run.strace(log, *options, "-e", f"trace={call}", "-e", f"inject={call}:error={error}")
        run.wait_past(step + 1)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        count += len({re.sub(r" = .*", "", line) for line in injected(log)})
    for path in shared:
        step = run.newest() + AHEAD
        place = path.replace("{S}", f"{step:08}").replace("{P}", str(run.pid))
        tracer = run.strace(log, "-P", place, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when=1")
        run.wait_past(step if place != path else run.newest() + 3)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        count += len(injected(log))
    return count


@check
def every_call_fails_once(bench):
    need_strace()
    run = Run(bench, bench.work / "run")
    keys = calls_of_a_save(bench, run)
    calls = sorted({call for call, _ in keys})
    require({"openat", "write", "fsync", "mkdir", "rename", "renameat2"} <= set(calls), f"the trace has only {calls}")
    count, wanted = 0, 0
    for error, possible in ERRORS.items():
        for call in calls:
            if possible is not None and call not in possible:
                continue
            paths = sorted(path for c, path in keys if c == call)
            wanted += len(paths)
            count += fail_call(bench, run, call, paths, error)
            require_valid_newest(run.path)
    require(count >= 0.95 * wanted, f"only {count} of {wanted} calls were failed")
    warnings = run.text().count("was not saved")
    require(warnings >= count / 2, f"{count} calls failed, {warnings} failures were said")
    run.stop()
    print(f"    {len(keys)} different calls of a save: {count} faults of {wanted}, {warnings} saves failed")
    same_as_undisturbed(bench, run)


def same_as_undisturbed(bench, run):
    """The run goes on three more steps and has the weights of one that was never disturbed."""
    last = run.newest() + 3
    whole = bench.work / f"{run.path.name}-whole"
    settings = [*run.settings, f"training.steps={last}"]
    bench.run(*training(bench, run.path, settings))
    bench.run(*training(bench, whole, [*settings, "checkpoint.every=0"]))
    newest = [require_valid_newest(path) for path in (run.path, whole)]
    require(newest[0].name == newest[1].name == f"step-{last:08}", f"ended at {newest}")
    require(tensors_of(newest[0]) == tensors_of(newest[1]), "other weights")


def tensors_of(checkpoint):
    return {file.name: sha256(file) for file in checkpoint.glob("**/*.safetensors")}


# Two ranks, and files small enough that each writes several.
TWO = ("training.tokens_per_step=32", "checkpoint.shard_bytes=40000", "checkpoint.max_failures=1000")


@check
def every_call_of_another_rank_fails_once(bench):
    need_strace()
    run = Run(bench, bench.work / "run", *TWO, ranks=2)
    keys = {(call, path) for call, path in calls_of_a_save(bench, run) if call in ("openat", "write", "fsync", "close")}
    files = {path for _, path in keys if path.endswith(".safetensors")}
    require(len(files) >= 3, f"rank 1 writes only {files}")
    count, wanted = 0, 0
    for error in ("EIO", "ENOSPC"):
        for call in sorted({call for call, _ in keys}):
            paths = sorted(path for c, path in keys if c == call)
            wanted += len(paths)
            count += fail_call(bench, run, call, paths, error)
            require_valid_newest(run.path)
    require(count >= 0.95 * wanted, f"only {count} of {wanted} calls were failed")
    warnings = len(re.findall(r"was not saved: .*rank 1: ", run.text()))
    require(warnings >= count / 2, f"{count} calls failed, {warnings} failures of rank 1 were said")
    run.stop()
    print(f"    {len(keys)} different calls of rank 1: {count} faults of {wanted}, {warnings} saves failed")
    same_as_undisturbed(bench, run)


@check
def another_rank_killed_at_every_kind_of_call(bench):
    need_strace()
    furthest = 0
    for call in ("openat", "write", "fsync", "close"):
        run = Run(bench, bench.work / "run", *TWO, ranks=2)
        keys = calls_of_a_save(bench, run)
        path = sorted(path for c, path in keys if c == call and path.endswith(".safetensors"))[-1]
        step = run.newest() + AHEAD
        tracer = run.strace(bench.work / "killed", "-P", path.replace("{S}", f"{step:08}"), "-e", f"trace={call}", "-e",
                            f"inject={call}:signal=KILL:when=1")
        try:
            code = run.process.wait(60)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{call} at {path} of step {step} did not come")
        tracer.wait()
        require(code == 137 and "rank 1" in run.text(), f"exit code {code}: {run.text()[-300:]}")
        newest = int(require_valid_newest(run.path).name.removeprefix("step-"))
        require(step > newest >= max(furthest, step - 2), f"{call}: killed in step {step}, the newest is {newest}")
        furthest = newest
    same_as_undisturbed(bench, run)


@check
def killed_at_every_kind_of_call(bench):
    """A kill at a call: before it has done anything. Each call that changes the disk, at one path of each kind."""
    need_strace()
    run = Run(bench, bench.work / "run")
    keys = calls_of_a_save(bench, run)
    kinds = {}
    for call, path in sorted(keys):
        if call in ("write", "fsync", "mkdir", "rename", "renameat2", "unlinkat"):
            kind = re.sub(r"(?!MANIFEST)[A-Za-z_]+\.(json|jinja|md)", "FILE", path)
            kinds[call, kind] = path
    furthest = 0
    for (call, _), path in kinds.items():
        if run is None:
            run = Run(bench, bench.work / "run")
        run.wait_past(furthest)
        step = run.newest() + AHEAD
        place = path.replace("{S}", f"{step:08}").replace("{P}", str(run.pid))
        tracer = run.strace(bench.work / "killed", "-P", place, "-e", f"trace={call}", "-e",
                            f"inject={call}:signal=KILL:when=1")
        try:
            run.process.wait(60)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{call} at {place} did not come")
        tracer.wait()
        require(run.process.returncode == -signal.SIGKILL, f"exit code {run.process.returncode}: {run.text()[-300:]}")
        newest = int(require_valid_newest(run.path).name.removeprefix("step-"))
        require(newest >= furthest, f"{call} at {place}: the newest went back from {furthest} to {newest}")
        furthest, run = newest, None
    run = Run(bench, bench.work / "run")
    run.wait_past(furthest)
    run.stop()
    print(f"    killed at {len(kinds)} calls")
    same_as_undisturbed(bench, run)


def small_disk(bench, options):
    disk = bench.work / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(disk)], capture_output=True, check=False)
    if mount.returncode != 0:
        raise Skipped("may not mount a small tmpfs here")
    return disk


def goes_on_when_there_is_room(bench, disk, remount, *more, ranks=1):
    """Saves fail from the second on. Then the disk grows."""
    run = disk / "run"
    settings = ["training.steps=40", "checkpoint.every=5", *more]
    error = bench.run(*training(bench, run, settings, ranks), status=1).stderr
    require("was not saved" in error and "checkpoint.max_failures" in error, error)
    require(error.count("ingot: error: ") == ranks, error)
    first = require_valid_newest(run)
    kept = [r["step"] for r in metrics(run) if "loss" in r]  # whole lines only, or this fails
    # With two ranks a line may come while the last block is a shard's; it is then left out, whole.
    every = kept == list(range(1, len(kept) + 1)) if ranks == 1 else kept == sorted(set(kept))
    require(every and len(kept) >= 5, f"metrics.jsonl has steps {kept}")
    leftovers = [p.name for p in (run / "checkpoints").iterdir() if not p.name.startswith("step-")]
    require(not leftovers, f"a failed save left {leftovers}")
    subprocess.run(["mount", "-o", f"remount,{remount}", str(disk)], check=True)
    bench.run(*training(bench, run, settings, ranks))
    whole = bench.work / "whole"
    bench.run(*training(bench, whole, settings))
    newest = [require_valid_newest(path) for path in (run, whole)]
    require(tensors_of(newest[0]) == tensors_of(newest[1]), "other weights")
    return first


@check
def a_full_disk(bench):
    # The flight record takes 528 KiB, a checkpoint about 150 KiB: one fits, a second does not.
    disk = small_disk(bench, "size=780k")
    try:
        goes_on_when_there_is_room(bench, disk, "size=8m")
    finally:
        subprocess.run(["umount", str(disk)], check=False)


@check
def a_full_disk_under_two_ranks(bench):
    disk = small_disk(bench, "size=1320k")  # with two flight records
    try:
        goes_on_when_there_is_room(bench, disk, "size=8m", *TWO[:2], ranks=2)
    finally:
        subprocess.run(["umount", str(disk)], check=False)


@check
def no_more_inodes(bench):
    # RUN_DIR and its files take about 10, a checkpoint about 11.
    disk = small_disk(bench, "size=8m,nr_inodes=28")
    try:
        goes_on_when_there_is_room(bench, disk, "nr_inodes=1000")
    finally:
        subprocess.run(["umount", str(disk)], check=False)


@check
def a_slow_disk(bench):
    """Training goes on while a save is written, and no two are ever written at once."""
    need_strace()
    run = Run(bench, bench.work / "run", "checkpoint.every=10")
    run.wait_past(0)
    tracer = run.strace(bench.work / "slow", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=30000")
    begun, behind, most = run.newest(), 0, 0
    while run.newest() < begun + 40:
        require(run.process.poll() is None, run.text()[-300:])
        temporary = [p.name for p in (run.path / "checkpoints").iterdir() if p.name.startswith(".tmp-")]
        most = max(most, len(temporary))
        if temporary:
            step = int(temporary[0].removeprefix(".tmp-step-"))
            line = (run.path / "metrics.jsonl").read_bytes().rstrip(b"\n").rsplit(b"\n", 1)[-1]
            try:
                behind = max(behind, json.loads(line)["step"] - step)
            except json.JSONDecodeError:
                pass  # read in the middle of a write
        time.sleep(0.001)
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    run.stop()
    require(most == 1, f"{most} saves were written at once")
    require(behind >= 1, "training waited for each save")
    same_as_undisturbed(bench, run)


if __name__ == "__main__":
    main()
