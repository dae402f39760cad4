#!/usr/bin/env python3
"""Encoding speed of Ingot, tiktoken and Hugging Face `tokenizers` on the same texts, on one core.

usage: .venv/bin/python tools/bench_tokenizer_against_peers.py --tokenizer DIR TEXT... [--ingot BINARY] [--rounds N]
                                                               [--threads N]

DIR is a directory that `ingot tokenizer train` or `import` made; its tokenizer.json is loaded by all three, so that all
encode with the same vocabulary and pattern. The whole process stays on one processor. Each round runs every contestant
once on each text, one after the other, so that a machine that slows down slows all of them down. Times are of CPU. Peers
are timed after one untimed call; Ingot is shown cold and warm. The ids of each text must be as many with all three.
Medians over the rounds are printed as a markdown table.

With --threads N all have N processors and N threads, and times are by the clock: Ingot cuts the text where its ids do
not change, the peers' batch calls get it in 16 N parts, cut at line ends, whose ids they must agree on.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import tiktoken
import tokenizers


def byte_of_character():
    """Byte-level BPE spells bytes that do not print as the characters from 256 on, in order."""
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {chr(256 + i): byte for i, byte in enumerate(others)}


def split_pattern(spec):
    """The regular expression of a tokenizer.json; ByteLevel without one before it splits as GPT-2 does."""
    steps = spec["pre_tokenizer"].get("pretokenizers", [spec["pre_tokenizer"]])
    patterns = [step["pattern"]["Regex"] for step in steps if step["type"] == "Split"]
    gpt2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    if len(patterns) > 1 or any(step["type"] not in ("Split", "ByteLevel") for step in steps):
        sys.exit(f"tiktoken takes one pattern; this tokenizer has the steps {[step['type'] for step in steps]}")
    return patterns[0] if patterns else gpt2


def load_tiktoken(path):
    spec = json.loads(path.read_text(encoding="utf-8"))
    special = {token["content"] for token in spec["added_tokens"]}
    byte_of = byte_of_character()
    ranks = {bytes(byte_of[c] for c in token): rank
             for token, rank in spec["model"]["vocab"].items() if token not in special}
    return tiktoken.Encoding("bench", pat_str=split_pattern(spec), mergeable_ranks=ranks, special_tokens={})


def clock(threads):
    return time.process_time() if threads == 1 else time.perf_counter()


def parts_of(text, threads):
    """The text as it is for one thread; else in about 16 parts a thread that end where lines do."""
    if threads == 1:
        return [text]
    size = len(text) // (16 * threads) + 1
    parts = [""]
    for line in text.splitlines(keepends=True):
        if len(parts[-1]) >= size:
            parts.append("")
        parts[-1] += line
    return parts


def peer_round(encode, parts, threads):
    start = clock(threads)
    count = encode(parts)
    seconds = clock(threads) - start
    return sum(len(part.encode()) for part in parts) / 1e6 / seconds, count


def ingot_round(arguments, path):
    out = subprocess.run([arguments.ingot, "bench", "tokenizer", "--tokenizer", arguments.tokenizer, "--input", path,
                          "--threads", str(arguments.threads), "--rounds", "1", "--json"],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out)["corpora"][0]


def measure(path, arguments, peers):
    text = pathlib.Path(path).read_bytes().decode()  # line ends as they are
    threads = arguments.threads
    parts = parts_of(text, threads)
    rates, counts = {}, set()
    for encode in peers.values():
        encode(parts)
    prefix = "" if threads == 1 else "all_threads_"
    for _ in range(arguments.rounds):
        figures = ingot_round(arguments, path)
        if threads == 1:
            counts.add(figures["tokens"])
        for state in ("cold", "warm"):
            rates.setdefault(f"ingot {state}", []).append(figures[f"{prefix}{state}_mb_per_second"])
        for name, encode in peers.items():
            rate, count = peer_round(encode, parts, threads)
            rates.setdefault(name, []).append(rate)
            counts.add(count)
    if len(counts) != 1:
        sys.exit(f"{path}: the contestants disagree on the number of ids: {sorted(counts)}")
    return {name: statistics.median(values) for name, values in rates.items()}


def peers_of(path, threads):
    """Name → a function from parts of a text to the number of their ids."""
    hf = tokenizers.Tokenizer.from_file(str(path))
    bpe = load_tiktoken(path)
    if threads == 1:
        return {"tiktoken": lambda parts: len(bpe.encode_ordinary(parts[0])),
                "tokenizers": lambda parts: len(hf.encode(parts[0], add_special_tokens=False).ids)}
    return {"tiktoken": lambda parts: sum(map(len, bpe.encode_ordinary_batch(parts, num_threads=threads))),
            "tokenizers": lambda parts: sum(len(e.ids) for e in hf.encode_batch(parts, add_special_tokens=False))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="UTF-8 .txt files, one document each")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--ingot", default="build/release/ingot")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    threads = arguments.threads
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    peers = peers_of(pathlib.Path(arguments.tokenizer) / "tokenizer.json", threads)
    print(f"MB/s {'of CPU time, one core' if threads == 1 else f'by the clock, {threads} threads'}, medians of "
          f"{arguments.rounds} rounds; tiktoken {tiktoken.__version__}, tokenizers {tokenizers.__version__}\n")
    print("| text | ingot cold | ingot warm | tiktoken | tokenizers | cold : tiktoken | cold : tokenizers |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for text in arguments.texts:
        m = measure(text, arguments, peers)
        print(f"| {pathlib.Path(text).name} | {m['ingot cold']:.1f} | {m['ingot warm']:.1f} | {m['tiktoken']:.1f} | "
              f"{m['tokenizers']:.1f} | {m['ingot cold'] / m['tiktoken']:.1f} | "
              f"{m['ingot cold'] / m['tokenizers']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
