#!/usr/bin/env python3
"""tools/quickstart.sh on a small text with a training of seconds: the first of the README's two commands."""
import json
import os
import pathlib
import shutil
import subprocess

from harness import check, main, metrics, require

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "quickstart.sh"


def quickstart(bench, *texts, minutes="0.15", status=0):
    done = subprocess.run([SCRIPT, *texts], cwd=bench.work, capture_output=True, text=True, errors="replace",
                          timeout=1500, env={**os.environ, "MINUTES": minutes, "RUNS": str(bench.work / "runs")})
    require(done.returncode == status, f"exited {done.returncode}: {done.stdout[-800:]}{done.stderr[-800:]}")
    return done.stdout + done.stderr


@check
def text_to_model(bench):
    text = quickstart(bench, bench.corpus())
    runs = list((bench.work / "runs").iterdir())
    require(len(runs) == 1 and str(runs[0]) in text, f"{runs} is not named in what it prints")
    curve = [r["val_loss"] for r in metrics(runs[0] / "run") if "val_loss" in r]
    require(curve[-1] < curve[0], f"validation loss does not fall: {curve}")
    newest = sorted(runs[0].glob("run/checkpoints/step-*"))[-1]
    json.loads((newest / "config.json").read_text(encoding="utf-8"))
    quickstart(bench, bench.corpus())
    require(len(list((bench.work / "runs").iterdir())) == 2, "the second call did not make a folder of its own")


@check
def parquet_needs_no_step_more(bench):
    shutil.copy(SCRIPT.parents[1] / "tests" / "golden" / "parquet" / "rows.parquet", bench.work / "rows.parquet")
    os.symlink(bench.corpus(), bench.work / "more.txt")  # the table alone is too little text for a tokenizer
    text = quickstart(bench, bench.work / "rows.parquet", bench.work / "more.txt")
    require("in 2 files" in text, f"not both files were read: {text[-1500:]}")


@check
def sample_corpus_shows_its_floor(bench):
    text = quickstart(bench)
    require("floor:" in text and "above it" in text, f"no floor in: {text[-1500:]}")


@check
def missing_text(bench):
    require("no such file" in quickstart(bench, "nowhere.txt", status=1), "the missing text is not named")


if __name__ == "__main__":
    main()
