#!/usr/bin/env python3
"""Bad input: one clear line, exit status 1, nothing half-written."""
import gzip
import json
import os
import resource
import shutil
import signal
import struct
import subprocess

from harness import Skipped, check, checkpoints, main, metrics, require


def refuses_and_writes_nothing(bench, *arguments, words=(), preexec=None):
    """The command is refused and every folder of this check looks afterwards as it did before."""
    before = sorted(bench.work.rglob("*"))
    error = bench.refuses(*arguments, words=words, preexec=preexec)
    left = set(bench.work.rglob("*")) - set(before)
    require(not left, f"left behind after {error!r}: {sorted(map(str, left))}")


def build(bench, source, *arguments):
    return ["data", "build", "--input", source, "--tokenizer", bench.tokenizer(), "--output", bench.work / "data",
            *arguments]


@check
def missing_input(bench):
    nowhere = bench.work / "nowhere"
    refuses_and_writes_nothing(bench, "tokenizer", "train", "--input", nowhere, "--vocab-size", 512, "--output",
                               bench.work / "t", words=[nowhere])
    refuses_and_writes_nothing(bench, *build(bench, nowhere), words=[nowhere])
    config = bench.config()
    refuses_and_writes_nothing(bench, "train", "--config", nowhere, "--output", bench.work / "run", words=[nowhere])
    refuses_and_writes_nothing(bench, "train", "--config", config, "--set", f'data.path="{nowhere}"', "--output",
                               bench.work / "run", words=[nowhere])
    refuses_and_writes_nothing(bench, "eval", "--checkpoint", nowhere, "--data", bench.dataset(), words=[nowhere])
    refuses_and_writes_nothing(bench, "generate", "--checkpoint", nowhere, "--prompt", "x", words=[nowhere])
    refuses_and_writes_nothing(bench, "tokenizer", "encode", "--tokenizer", nowhere, "--input", config,
                               words=[nowhere])


@check
def empty_input(bench):
    empty = bench.work / "empty.txt"
    empty.touch()
    (bench.work / "folder").mkdir()
    for source in (empty, bench.work / "folder"):
        refuses_and_writes_nothing(bench, "tokenizer", "train", "--input", source, "--vocab-size", 512, "--output",
                                   bench.work / "t")
        refuses_and_writes_nothing(bench, *build(bench, source))


@check
def vocabulary_too_small_or_too_large(bench):
    for size in (0, 100, 255, 100000000):
        refuses_and_writes_nothing(bench, "tokenizer", "train", "--input", bench.corpus(), "--vocab-size", size,
                                   "--output", bench.work / "t", words=[size])
    small = bench.work / "small.txt"
    small.write_text("one two one two", encoding="utf-8")
    refuses_and_writes_nothing(bench, "tokenizer", "train", "--input", small, "--vocab-size", 5000, "--output",
                               bench.work / "t", words=["5000"])


def zstandard(payload):
    """One frame with one raw block (RFC 8878 section 3.1.1): needs no compressor. Payload below 256 bytes."""
    return (bytes.fromhex("28b52ffd20") + bytes([len(payload)]) + struct.pack("<I", len(payload) << 3 | 1)[:3]
            + payload)


@check
def corrupt_compressed_files(bench):
    line = json.dumps({"text": "compressed words " * 8}).encode() + b"\n"
    whole = {"gz": gzip.compress(line * 100), "zst": zstandard(line)}
    for suffix, data in whole.items():
        good = bench.work / f"good.jsonl.{suffix}"
        good.write_bytes(data)
        bench.run(*build(bench, good))
        shutil.rmtree(bench.work / "data")
        damaged = bytearray(data)
        damaged[4 if suffix == "zst" else len(data) // 2] ^= 0xFF
        for name, content in {"short": data[:-9], "damaged": bytes(damaged), "noise": os.urandom(300)}.items():
            bad = bench.work / f"{name}.jsonl.{suffix}"
            bad.write_bytes(content)
            refuses_and_writes_nothing(bench, *build(bench, bad), words=[bad.name])


@check
def json_line_without_the_field(bench):
    lines = [json.dumps({"text": f"document {i} " * 20}) for i in range(50)]
    for number, bad in ((7, '{"other": "x"}'), (20, '{"text": 5}'), (31, '{"text": "unfinished'), (40, "[]")):
        lines[number - 1] = bad
        file = bench.work / f"bad-{number}.jsonl"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        first = min(7, number)
        refuses_and_writes_nothing(bench, *build(bench, file), words=[file.name, f"{first}"])
    said = bench.run(*build(bench, file, "--skip-bad-lines"))
    require("4" in said.stdout + said.stderr, f"the 4 skipped lines are not counted: {said.stdout!r}")
    require(bench.json("data", "inspect", bench.work / "data"), "nothing to inspect")


def shards(data):
    found = [p for p in data.rglob("*") if p.is_file() and "shard" in p.name or p.suffix == ".bin"]
    return sorted(found, key=lambda p: p.stat().st_size)


@check
def damaged_shard(bench):
    original = bench.dataset()
    require(shards(original), f"no shards in {sorted(original.rglob('*'))}")
    size = shards(original)[-1].stat().st_size
    for offset in (0, 9, 40, size // 2, size - 1):
        data = bench.work / f"flip-{offset}"
        shutil.copytree(original, data)
        victim = shards(data)[-1]
        content = bytearray(victim.read_bytes())
        content[offset] ^= 0x10
        victim.write_bytes(content)
        bench.refuses("data", "verify", data, words=[victim.name])
        bench.refuses("data", "verify", victim, words=[victim.name])
    for length in (0, 3, 64, size // 2, size - 1):
        data = bench.work / f"cut-{length}"
        shutil.copytree(original, data)
        victim = shards(data)[-1]
        os.truncate(victim, length)
        bench.refuses("data", "verify", data, words=[victim.name])
        refuses_and_writes_nothing(bench, "train", "--config", bench.config(data=data), "--output",
                                   bench.work / "run", words=[victim.name])


@check
def damaged_checkpoint(bench):
    original = checkpoints(bench.trained())[-1]
    weights = (original / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", weights[:8])[0]
    header = json.loads(weights[8:8 + length])
    name = next(n for n in header if n != "__metadata__")
    wide = dict(header)
    wide[name] = {**header[name], "shape": [1 << 40, 1 << 40]}
    damage = {
        "huge-header": struct.pack("<Q", 1 << 60) + weights[8:],
        "header-past-end": struct.pack("<Q", len(weights)) + weights[8:],
        "cut": weights[:len(weights) // 2],
        "empty": b"",
        "not-json": weights[:8] + b"x" * length + weights[8 + length:],
        "wrong-shape": _safetensors(wide, weights[8 + length:]),
        "tensor-missing": _safetensors({k: v for k, v in header.items() if k != name}, weights[8 + length:]),
    }
    for case, content in damage.items():
        broken = bench.work / case
        shutil.copytree(original, broken)
        (broken / "model.safetensors").write_bytes(content)
        _without_manifest(broken)
        refuses_and_writes_nothing(bench, "eval", "--checkpoint", broken, "--data", bench.dataset(),
                                   words=["model.safetensors"])
        refuses_and_writes_nothing(bench, "generate", "--checkpoint", broken, "--prompt", "x",
                                   words=["model.safetensors"])
    broken = bench.work / "config"
    shutil.copytree(original, broken)
    (broken / "config.json").write_text('{"model_type": "llama", "hidden_size": -5', encoding="utf-8")
    _without_manifest(broken)
    refuses_and_writes_nothing(bench, "generate", "--checkpoint", broken, "--prompt", "x", words=["config.json"])


def _safetensors(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _without_manifest(checkpoint):
    """Weights that come from elsewhere have no checksums; their own bounds must hold."""
    shutil.rmtree(checkpoint / "training_state", ignore_errors=True)
    for manifest in checkpoint.glob("*manifest*"):
        manifest.unlink()


@check
def resume_passes_over_a_damaged_checkpoint(bench):
    run = bench.work / "run"
    shutil.copytree(bench.trained(), run)
    newest = checkpoints(run)[-1]
    content = bytearray((newest / "model.safetensors").read_bytes())
    content[-20] ^= 1
    (newest / "model.safetensors").write_bytes(content)
    said = bench.train(run)
    require(newest.name in said.stdout + said.stderr, "the damaged checkpoint is not named")
    whole = checkpoints(bench.trained())[-1] / "model.safetensors"
    require((newest / "model.safetensors").read_bytes() == whole.read_bytes(), "the run did not mend itself")


@check
def config_with_several_mistakes(bench):
    mistakes = ["model.layers=-3", "model.heads=0", "training.steps=0", "optimizer.learning_rate=-1",
                "data.sequence_length=0", "checkpoint.keep_last=0"]
    words = [m.split("=")[0] for m in mistakes]
    sets = [word for m in mistakes for word in ("--set", m)]
    config = bench.config()
    refuses_and_writes_nothing(bench, "train", "--config", config, *sets, "--output", bench.work / "run",
                               words=words)
    for wrong in ("model.no_such_field=1", "nonsense", "model.layers=many", "precision.compute=fp64"):
        refuses_and_writes_nothing(bench, "train", "--config", config, "--set", wrong, "--output",
                                   bench.work / "run", words=[wrong.split("=")[0].split(".")[-1]])
    config.write_text("model { layers: 2 \n layres: 3 }", encoding="utf-8")
    refuses_and_writes_nothing(bench, "train", "--config", config, "--output", bench.work / "run", words=["layres"])


@check
def sequence_longer_than_the_data(bench):
    refuses_and_writes_nothing(bench, "train", "--config", bench.config(), "--set", "data.sequence_length=900000",
                               "--output", bench.work / "run", words=["900000"])


@check
def folder_of_something_else(bench):
    run = bench.work / "run"
    shutil.copytree(bench.trained(), run)
    before = (run / "metrics.jsonl").read_bytes()
    config = bench.config()
    for change in ("model.channels=64", "data.sequence_length=16", "training.seed=8"):
        refuses_and_writes_nothing(bench, "train", "--config", config, "--set", change, "--output", run,
                                   words=[change.split("=")[0]])
    require((run / "metrics.jsonl").read_bytes() == before, "metrics.jsonl of the other run changed")
    photos = bench.work / "photos"
    photos.mkdir()
    (photos / "holiday.jpg").write_bytes(b"x")
    refuses_and_writes_nothing(bench, "train", "--config", config, "--output", photos)
    refuses_and_writes_nothing(bench, "data", "build", "--input", bench.corpus(), "--tokenizer", bench.tokenizer(),
                               "--output", photos)
    refuses_and_writes_nothing(bench, "tokenizer", "train", "--input", bench.corpus(), "--vocab-size", 512,
                               "--output", photos)


def limit_file_size(size):
    """Every write past `size` bytes fails as on a full disk, though with EFBIG."""
    def preexec():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return preexec


@check
def file_size_limit(bench):
    # Largest files of a whole job: the shard (about 50 KB) and the weights (about 100 KB).
    refuses_and_writes_nothing(bench, *build(bench, bench.corpus()), preexec=limit_file_size(8192))
    refuses_and_writes_nothing(bench, "tokenizer", "train", "--input", bench.corpus(), "--vocab-size", 512,
                               "--output", bench.work / "t", preexec=limit_file_size(2048))
    run = bench.work / "run"
    config = bench.config()
    bench.refuses("train", "--config", config, "--output", run, preexec=limit_file_size(30000))
    require(not checkpoints(run), "a checkpoint was committed though its weights did not fit")
    bench.train(run)
    require(checkpoints(run)[-1].name == "step-00000012", "the run did not go on once there was room")


@check
def disk_full(bench):
    disk = bench.work / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "none", str(disk)], capture_output=True,
                           check=False)
    if mount.returncode != 0:
        raise Skipped("may not mount a small tmpfs here; file_size_limit covers the same paths")
    try:
        _on_a_full_disk(bench, disk)
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def _on_a_full_disk(bench, disk):
    filler = disk / "filler"
    filler.write_bytes(bytes(1180 * 1024))
    refuses_and_writes_nothing(bench, "data", "build", "--input", bench.corpus(), "--tokenizer", bench.tokenizer(),
                               "--output", disk / "data")
    filler.unlink()
    # Room for the flight record and the first checkpoint, not for the second beside it.
    run = disk / "run"
    bench.refuses("train", "--config", bench.config(), "--output", run)
    kept = checkpoints(run)
    subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
    bench.train(run)
    require(checkpoints(run)[-1].name == "step-00000012", f"did not go on from {kept}")
    require([r["step"] for r in metrics(run) if "loss" in r][-1] == 12, "metrics end early")


if __name__ == "__main__":
    main()
