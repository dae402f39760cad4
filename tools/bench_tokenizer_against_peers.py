#!/usr/bin/env python3
"""Encoding speed of Ingot, tiktoken and Hugging Face `tokenizers` on the same texts, on one core.

usage: .venv/bin/python tools/bench_tokenizer_against_peers.py --tokenizer DIR TEXT... [--ingot BINARY] [--rounds N]

DIR is a directory that `ingot tokenizer train` or `import` made; its tokenizer.json is loaded by all three, so that all
encode with the same vocabulary and pattern. The whole process stays on one processor. Each round runs every contestant
once on each text, one after the other, so that a machine that slows down slows all of them down. Times are of CPU. Peers
are timed after one untimed call; Ingot is shown cold and warm. The ids of each text must be as many with all three.
Medians over the rounds are printed as a markdown table.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tiktoken  # noqa: E402: the environment comes first
import tokenizers  # noqa: E402


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


def peer_round(encode, text):
    start = time.process_time()
    count = len(encode(text))
    return len(text.encode()) / 1e6 / (time.process_time() - start), count


def ingot_round(binary, directory, path):
    out = subprocess.run([binary, "bench", "tokenizer", "--tokenizer", directory, "--input", path, "--threads", "1",
                          "--rounds", "1", "--json"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)["corpora"][0]


def measure(path, arguments, peers):
    text = pathlib.Path(path).read_bytes().decode()  # line ends as they are
    rates, counts = {}, set()
    for encode in peers.values():
        encode(text)
    for _ in range(arguments.rounds):
        figures = ingot_round(arguments.ingot, arguments.tokenizer, path)
        counts.add(figures["tokens"])
        for state in ("cold", "warm"):
            rates.setdefault(f"ingot {state}", []).append(figures[f"{state}_mb_per_second"])
        for name, encode in peers.items():
            rate, count = peer_round(encode, text)
            rates.setdefault(name, []).append(rate)
            counts.add(count)
    if len(counts) != 1:
        sys.exit(f"{path}: the contestants disagree on the number of ids: {sorted(counts)}")
    return {name: statistics.median(values) for name, values in rates.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="UTF-8 .txt files, one document each")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--ingot", default="build/release/ingot")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    path = pathlib.Path(arguments.tokenizer) / "tokenizer.json"
    hf = tokenizers.Tokenizer.from_file(str(path))
    peers = {"tiktoken": load_tiktoken(path).encode_ordinary,
             "tokenizers": lambda text: hf.encode(text, add_special_tokens=False).ids}
    print(f"MB/s of CPU time, medians of {arguments.rounds} rounds, one core; "
          f"tiktoken {tiktoken.__version__}, tokenizers {tokenizers.__version__}\n")
    print("| text | ingot cold | ingot warm | tiktoken | tokenizers | cold : tiktoken | cold : tokenizers |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for text in arguments.texts:
        m = measure(text, arguments, peers)
        print(f"| {pathlib.Path(text).name} | {m['ingot cold']:.1f} | {m['ingot warm']:.1f} | {m['tiktoken']:.1f} | "
              f"{m['tokenizers']:.1f} | {m['ingot cold'] / m['tiktoken']:.1f} | "
              f"{m['ingot cold'] / m['tokenizers']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
