#!/usr/bin/env python3
"""Training from raw documents: the same weights as from a dataset built before, through kills, ranks, growth, errors."""
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time

from harness import Skipped, check, checkpoints, main, metrics, need_strace, require, sha256

# More than an epoch, in blocks of 4,096 tokens; eight micro-batches a step.
CONFIG = """
model { architecture: llama layers: 2 channels: 32 heads: 2 feed_forward: 64 }
data { %s sequence_length: 32 shuffle_tokens: 4096 }
training { steps: 64 micro_batch: 8 tokens_per_step: 2048 seed: 7 }
optimizer { learning_rate: 1e-2 }
schedule { kind: cosine warmup_steps: 2 }
validation { every: 32 tokens: 1024 }
checkpoint { every: 8 keep_last: 2 }
"""
FRACTION = 0.1


def documents(bench):
    """A directory of six files, of each ending."""
    def make(path):
        path.mkdir()
        text = bench.work / "corpus.txt"
        bench.run("sample-corpus", "--output", text, "--bytes", 200000, "--seed", 3)
        whole = text.read_text(encoding="utf-8")
        pieces = [whole[i:i + 500] for i in range(0, len(whole), 500)]
        for number in range(6):
            lines = "".join(json.dumps({"text": piece}) + "\n" for piece in pieces[number::6])
            name = path / f"part-{number}.jsonl"
            name.write_text(lines, encoding="utf-8")
            if number == 3:
                subprocess.run(["gzip", name], check=True)
    return bench.shared("documents", make)


def built(bench, inputs=None, name="built"):
    return bench.shared(name, lambda path: bench.run(
        "data", "build", "--input", *(inputs or [documents(bench)]), "--tokenizer", bench.tokenizer(), "--output",
        path, "--validation-fraction", FRACTION))


def raw(bench, *inputs, more=""):
    names = " ".join(f'input: "{path}"' for path in inputs or [documents(bench)])
    return f'raw {{ {names} tokenizer: "{bench.tokenizer()}" validation_fraction: {FRACTION} {more} }}'


def command(bench, run, data, *settings, ranks=1):
    config = bench.work / "config.textproto"
    config.write_text(CONFIG % data, encoding="utf-8")
    train = ["train", "--config", config, "--output", run, "--device", "cpu"]
    for setting in settings:
        train += ["--set", setting]
    return [str(a) for a in (train if ranks == 1 else ["launch", "--nproc", ranks, "--", *train])]


def train(bench, run, data, *settings, status=0, **options):
    return bench.run(*command(bench, run, data, *settings, **options), status=status)


def state(run):
    """What must be equal: weights and moments of the newest checkpoint, and the metrics without their times."""
    newest = checkpoints(run)[-1]
    files = [newest / "model.safetensors", *sorted(newest.glob("training_state/*.safetensors"))]
    figures = [{k: r.get(k) for k in ("step", "loss", "grad_norm", "lr", "val_loss", "val_bits_per_byte")}
               for r in metrics(run)]
    return newest.name, [sha256(file) for file in files], figures


def expected(bench):
    """The state of a run on the built dataset."""
    run = bench.shared("run-built", lambda path: train(bench, path, f'path: "{built(bench)}"'))
    return state(run)


def start(bench, run, data, *settings, **options):
    return subprocess.Popen([bench.ingot, *command(bench, run, data, *settings, **options)], cwd=bench.work, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def steps_done(run):
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b'"loss"') if path.exists() else 0


def wait_until(process, ready, what):
    deadline = time.monotonic() + 60
    while not ready() and process.poll() is None:
        require(time.monotonic() < deadline, what)
        time.sleep(0.002)


def children(launcher):
    listed = pathlib.Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text(encoding="ascii")
    return [int(pid) for pid in listed.split()]


@check
def equals_a_built_dataset_for_any_ranks(bench):
    wanted = expected(bench)
    for ranks in (1, 2, 4):
        run = bench.work / f"run-{ranks}"
        train(bench, run, raw(bench), ranks=ranks)
        require(state(run) == wanted, f"{ranks} ranks from raw documents: another state than from the built dataset")
    cache = bench.json("data", "inspect", run / "tokenized")
    require(cache["complete"] and cache["training"]["tokens"] * 1.5 < 64 * 2048, "the run has not one epoch and a half")


@check
def packs_masks_and_mixes_as_a_built_dataset(bench):
    other = bench.dataset()
    settings = ["training.steps=40", "data.mask_documents=true", "data.packing=best_fit", "validation.every=0",
                "training.micro_batch=4"]
    sources = [f'source {{ {data} validates: false weight: 2 }} source {{ path: "{other}" }}'
               for data in (f'path: "{built(bench)}"', raw(bench))]
    for number, data in enumerate(sources):
        train(bench, bench.work / f"run-{number}", data, *settings)
    require(state(bench.work / "run-0") == state(bench.work / "run-1"), "mixed with another dataset: another state")
    require((bench.work / "run-1" / "tokenized-0").is_dir(), "no cache for the source")


@check
def killed_and_resumed_at_any_time(bench):
    generator = random.Random(11)
    wanted = expected(bench)
    for ranks in (1, 2):
        for round_ in range(2):
            run, cache = bench.work / f"run-{ranks}-{round_}", bench.work / f"cache-{ranks}-{round_}"
            data = raw(bench, more=f'cache: "{cache}"')
            for _ in range(3):
                process = start(bench, run, data, ranks=ranks)
                if generator.random() < 0.5:  # while shards are written, or between steps
                    shards = len(list(cache.glob("*.shard"))) + generator.randint(1, 4)
                    wait_until(process, lambda: len(list(cache.glob("*.shard"))) >= shards or steps_done(run) > 50,
                               "no shards")
                else:
                    goal = steps_done(run) + generator.randint(1, 15)
                    wait_until(process, lambda: steps_done(run) >= goal, "no steps")
                time.sleep(generator.uniform(0, 0.03))
                victims = [process.pid] if ranks == 1 else children(process)
                if process.poll() is None and victims:
                    os.kill(generator.choice(victims), signal.SIGKILL)
                process.communicate(timeout=60)
            train(bench, run, data, ranks=ranks)
            name, files, figures = state(run)
            require((name, files) == wanted[:2], f"{ranks} ranks, killed: other weights")
            require(figures == wanted[2], f"{ranks} ranks, killed: other metrics")
            bench.run("data", "verify", cache)


@check
def the_cache_is_a_dataset_and_is_used_again(bench):
    run, cache = bench.work / "run", bench.work / "cache"
    data = raw(bench, more=f'cache: "{cache}"')
    train(bench, run, data, "training.steps=8")
    report = bench.json("data", "inspect", cache)
    require(report["training"]["tokens"] > 0 and report["sources"][0]["documents"] > 0, f"inspect: {report}")
    begun = bench.json("data", "verify", cache)
    train(bench, bench.work / "whole", data)
    require(state(bench.work / "whole") == expected(bench), "from a cache begun by another run: another state")
    require(bench.json("data", "verify", cache)["tokens"] > begun["tokens"], "the cache did not grow")
    # Nothing is tokenized any more: the text of a complete cache is not even opened.
    inodes = {path.name: path.stat().st_ino for path in cache.glob("*.shard")}
    train(bench, bench.work / "again", data)
    require(inodes == {path.name: path.stat().st_ino for path in cache.glob("*.shard")}, "shards were made again")
    require(state(bench.work / "again") == expected(bench), "from a complete cache: another state")
    train(bench, bench.work / "path", f'path: "{cache}"')
    require(state(bench.work / "path") == expected(bench), "the cache as data.path: another state")
    # Without the cache the same documents give the same run; a checkpoint remembers which they were.
    shutil.rmtree(cache)
    train(bench, run, data)
    require(state(run)[1] == state_of_two_lengths(bench), "with the cache lost: other weights")


def state_of_two_lengths(bench):
    run = bench.work / "two-lengths"
    for steps in (8, 64):
        train(bench, run, f'path: "{built(bench)}"', f"training.steps={steps}")
    return state(run)[1]


@check
def changed_documents_are_named(bench):
    copy, run = bench.work / "documents", bench.work / "run"
    shutil.copytree(documents(bench), copy)
    train(bench, run, raw(bench, copy), "training.steps=8")
    begun = copy / "part-0.jsonl"
    text = begun.read_bytes()
    with begun.open("ab") as file:
        file.write(b'{"text": "one more"}\n')
    error = bench.refuses(*command(bench, run, raw(bench, copy)), words=["part-0.jsonl", "expected", "new files"])
    require("terminate" not in error, error)
    # The same size and other text, without the cache that has the old tokens: the checkpoint knows.
    begun.write_bytes(text.replace(b" the ", b" eth "))
    shutil.rmtree(run / "tokenized")
    bench.refuses(*command(bench, run, raw(bench, copy)), words=["the checkpoint was trained on", "raw documents"])
    bench.refuses(*command(bench, run, raw(bench, copy, more="min_bytes: 7")), words=["documents of 7 to 0 bytes"])


@check
def a_growing_directory_keeps_its_order(bench):
    first, run = bench.work / "documents", bench.work / "run"
    first.mkdir()
    parts = sorted(documents(bench).iterdir())
    for part in parts[1:4]:
        shutil.copy2(part, first / part.name)
    train(bench, run, raw(bench, first), "training.steps=4")
    for part in (parts[0], *parts[4:]):  # one whose name comes before those seen
        shutil.copy2(part, first / part.name)
    train(bench, run, raw(bench, first), "training.steps=8")
    train(bench, run, raw(bench, first))
    order = [first / part.name for part in (*parts[1:4], parts[0], *parts[4:])]
    other, data = bench.work / "other", f'path: "{built(bench, order, name="grown")}"'
    for steps in (4, 8, 64):
        train(bench, other, data, f"training.steps={steps}")
    require(state(run)[:2] == state(other)[:2], "other weights than from the files in the order in which they came")


@check
def a_bad_document_ends_all_ranks_with_its_name(bench):
    bad = bench.work / "documents"
    shutil.copytree(documents(bench), bad)
    with (bad / "part-4.jsonl").open("ab") as file:
        file.write(b'{"text": "\xff\xfe"}\n{"text": 5}\n')
    for ranks in (1, 2):
        process = start(bench, bench.work / f"run-{ranks}", raw(bench, bad), ranks=ranks)
        error = process.communicate(timeout=120)[1]
        require(process.returncode != 0 and "part-4.jsonl" in error and "raw documents failed" in error,
                f"{ranks} ranks: exit code {process.returncode}: {error[-500:]}")
    run = bench.work / "run-1"
    train(bench, run, raw(bench, bad, more="skip_bad_lines: true"), status=1)  # another way to read than before
    shutil.rmtree(run)
    train(bench, run, raw(bench, bad, more="skip_bad_lines: true"))
    require(bench.json("data", "inspect", run / "tokenized")["bad_lines"] == 2, "bad lines are not counted")


@check
def memory_is_bounded(bench):
    """A block of six million tokens is made before the first step: 20 MB of text pass through."""
    text = bench.work / "corpus.txt"
    bench.run("sample-corpus", "--output", text, "--bytes", 20_000_000, "--seed", 5)
    settings = ["training.steps=2", "data.shuffle_tokens=6000000", "validation.every=0", "checkpoint.background=false"]
    train(bench, bench.work / "small", f'path: "{built(bench)}"', *settings)
    whole = text.read_text(encoding="utf-8")
    lines = bench.work / "corpus.jsonl"
    lines.write_text("".join(json.dumps({"text": whole[i:i + 2000]}) + "\n" for i in range(0, len(whole), 2000)),
                     encoding="utf-8")
    peaks = {}
    for name, data in (("built", f'path: "{built(bench, [lines], "large")}"'), ("raw", raw(bench, lines))):
        done = train(bench, bench.work / name, data, *settings)
        peaks[name] = float(re.search(r"peak memory ([\d.]+) MiB", done.stdout).group(1))
    require(state(bench.work / "raw") == state(bench.work / "built"), "another state")
    # Two buffers of 1 MiB of text for each of four batches, ids of four bytes, the encoder's cache.
    require(peaks["raw"] < peaks["built"] + 48, f"peak memory {peaks} MiB")


@check
def slow_storage_changes_nothing_but_the_time(bench):
    need_strace()
    run = bench.work / "run"
    # A block of three files, of which validation needs none but the first.
    settings = ["data.shuffle_tokens=30000", "validation.tokens=32", "training.steps=16"]
    train(bench, bench.work / "built", f'path: "{built(bench)}"', *settings)
    slow = [argument for path in sorted(documents(bench).iterdir()) for argument in ("-P", str(path))]
    done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", *slow, "-e", "trace=read,pread64", "-e",
                           "inject=read,pread64:delay_enter=700000", bench.ingot,
                           *command(bench, run, raw(bench), *settings)], cwd=bench.work, capture_output=True, text=True,
                          timeout=300, check=False)
    if "inject" in done.stderr and done.returncode != 0:
        raise Skipped(f"strace cannot delay calls here: {done.stderr.strip()[:80]}")
    require(done.returncode == 0, done.stderr[-500:])
    require(state(run) == state(bench.work / "built"), "another state")
    records = [r for r in metrics(run) if "loss" in r]
    # How long a step waits depends on the machine; that it is measured and told does not.
    for r in records:
        share = r["data_wait_seconds"] / r["seconds"]
        require(0 <= share <= 1 and abs(r["data_wait_share"] - share) < 1e-6, f"the share is not that of the step: {r}")
    told = re.search(r"^step 1/16 .* (\d+) % waiting for data", done.stdout, re.M)
    first = 100 * records[0]["data_wait_share"]
    require((first >= 1) == (told is not None), f"the step line tells {told}, the metrics {first} %")


if __name__ == "__main__":
    main()
