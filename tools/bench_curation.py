#!/usr/bin/env python3
"""What formats and curation cost `ingot data build`, beside a plain build of the same documents from .jsonl.

usage: .venv/bin/python tools/bench_curation.py --ingot build/release/ingot --shared ../shared [--megabytes N] [--rounds N]

Documents are made of paragraphs of ../shared/data/corpora whose words are shuffled, so that no paragraph comes twice and
what deduplication remembers grows to the end. Each round builds every way once, one after the other, with one thread
that tokenizes; a machine that slows down slows all of them down. CPU time is that of all threads of the process.
Medians over the rounds are printed as a markdown table.
"""
import argparse
import gzip
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import pyarrow as pa
import pyarrow.parquet as pq

VOCABULARY = 32000


def paragraphs(corpora):
    found = []
    for path in sorted(corpora.glob("*.txt")):
        found += path.read_text(encoding="utf-8").split("\n")
    for path in sorted(corpora.glob("*.jsonl")):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                found += json.loads(line)["text"].split("\n")
    return [words for words in (text.split() for text in found) if len(words) >= 8]


def documents(corpora, size):
    rng = random.Random(1)
    known = paragraphs(corpora)
    made = 0
    while made < size:
        parts = [" ".join(rng.sample(words, len(words))) for words in rng.choices(known, k=rng.randrange(3, 40))]
        text = "\n\n".join(parts)
        made += len(text.encode())
        yield {"text": text, "language": rng.choice(["en", "de", "zh"]), "score": round(rng.random() * 5, 3),
               "metadata": {"quality": rng.randrange(6), "host": f"h{rng.randrange(1000)}.org"}}


def write_inputs(folder, rows):
    jsonl = folder / "a.jsonl"
    with open(jsonl, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with open(jsonl, "rb") as file, gzip.open(folder / "a.jsonl.gz", "wb", compresslevel=6) as packed:
        shutil.copyfileobj(file, packed)
    with open(folder / "a.jsonl.zst", "wb") as file:
        with pa.CompressedOutputStream(pa.PythonFile(file, "w"), "zstd") as packed:
            packed.write(jsonl.read_bytes())
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet", compression="zstd", row_group_size=1000)


def ways(folder, corpora):
    plain = [folder / "a.jsonl"]
    keeps_all = ["--where", "score>=0", "--where", "language=en|de|zh", "--where", "metadata.quality>=0"]
    evaluation = ["--decontaminate", corpora / "wikitext2_test.txt"]
    return {
        "plain, `.jsonl`": plain, "`.jsonl.zst`": [folder / "a.jsonl.zst"], "`.jsonl.gz`": [folder / "a.jsonl.gz"],
        "`.parquet` (zstd)": [folder / "a.parquet"],
        "three `--where` that hold": plain + keeps_all,
        "the same, `.parquet`": [folder / "a.parquet"] + keeps_all,
        "`--deduplicate documents`": plain + ["--deduplicate", "documents"],
        "`--deduplicate paragraphs`": plain + ["--deduplicate", "paragraphs"],
        "`--decontaminate` with 1.3 MB": plain + evaluation,
        "paragraphs, decontamination, `--where`": plain + keeps_all + evaluation + ["--deduplicate", "paragraphs"],
    }


def build(ingot, folder, way):
    """Seconds by the clock and of CPU, and documents."""
    out = folder / "out"
    command = [ingot, "data", "build", "--tokenizer", folder / "tokenizer", "--output", out, "--threads", "1", "--json",
               "--validation-fraction", "0", "--input", *way]
    start = time.monotonic()
    with open(folder / "counts", "w", encoding="utf-8") as counts:
        child = subprocess.Popen([str(part) for part in command], stdout=counts, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    if status:
        sys.exit(f"failed: {command}")
    shutil.rmtree(out)
    found = json.loads((folder / "counts").read_text(encoding="utf-8"))
    return seconds, usage.ru_utime + usage.ru_stime, found["documents"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--shared", required=True, type=pathlib.Path)
    parser.add_argument("--megabytes", type=int, default=100, help="of text")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    corpora = arguments.shared / "data" / "corpora"
    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work)
        write_inputs(folder, list(documents(corpora, arguments.megabytes * 1_000_000)))
        subprocess.run([arguments.ingot, "tokenizer", "train", "--input", folder / "a.jsonl", "--limit-bytes", "20000000",
                        "--vocab-size", str(VOCABULARY), "--output", folder / "tokenizer"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        contestants = ways(folder, corpora)
        rounds = [{name: build(arguments.ingot, folder, way) for name, way in contestants.items()}
                  for _ in range(arguments.rounds)]
        base = None
        print("| build | documents | CPU s | : plain | clock s |\n| --- | --- | --- | --- | --- |")
        for name in contestants:
            clock, cpu, kept = (statistics.median(part) for part in zip(*(one[name] for one in rounds)))
            base = base or cpu
            print(f"| {name} | {kept:,} | {cpu:.2f} | {cpu / base:.2f} | {clock:.2f} |")


if __name__ == "__main__":
    main()
