#!/usr/bin/env python3
"""Reads the event files of a run with TensorBoard's own reader and compares them with metrics.jsonl.

    tensorboard_check.py --ingot build/release/ingot

The run is stopped halfway and goes on, so that there are two event files. Ends with `N passed, N failed`.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

CONFIG = """
model { layers: 1 channels: 32 heads: 2 feed_forward: 64 }
data { sequence_length: 32 }
training { micro_batch: 4 }
schedule { kind: constant warmup_steps: 2 }
validation { every: 5 tokens: 256 }
"""
SCALARS = {"train/loss": "loss", "train/lr": "lr", "train/grad_norm": "grad_norm", "val/loss": "val_loss",
           "val/bits_per_byte": "val_bits_per_byte"}


def make_run(ingot, folder):
    def run(*arguments):
        subprocess.run([ingot, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    run("sample-corpus", "--output", folder / "text.txt", "--bytes", 60000, "--seed", 1)
    run("tokenizer", "train", "--input", folder / "text.txt", "--vocab-size", 330, "--output", folder / "tokenizer")
    run("data", "build", "--input", folder / "text.txt", "--tokenizer", folder / "tokenizer", "--output",
        folder / "data")
    (folder / "config.textproto").write_text(CONFIG)
    for steps in (7, 12):
        run("train", "--config", folder / "config.textproto", "--set", f"data.path={folder / 'data'}", "--set",
            f"training.steps={steps}", "--output", folder / "run")
    return folder / "run"


def compare(run):
    events = EventAccumulator(str(run))
    events.Reload()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    wrong = []
    for tag, key in SCALARS.items():
        written = {line["step"]: line[key] for line in lines if key in line}
        read = {event.step: event.value for event in events.Scalars(tag)}
        if written.keys() != read.keys():
            wrong.append(f"{tag}: steps {sorted(read)} instead of {sorted(written)}")
        elif any(abs(read[step] - value) > 1e-6 * abs(value) for step, value in written.items()):
            wrong.append(f"{tag}: values differ from metrics.jsonl")
    if len([line for line in lines if "loss" in line]) != 12:
        wrong.append("metrics.jsonl does not have 12 training lines")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    with tempfile.TemporaryDirectory() as folder:
        wrong = compare(make_run(parser.parse_args().ingot, pathlib.Path(folder)))
    for why in wrong:
        print(f"FAILED tensorboard: {why}")
    if not wrong:
        print("ok tensorboard")
    print(f"{int(not wrong)} passed, {int(bool(wrong))} failed")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
