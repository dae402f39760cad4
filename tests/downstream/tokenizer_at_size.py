#!/usr/bin/env python3
"""Compares ids with `tiktoken` over gigabytes: the corpora's lines, shuffled, crossed and mixed with fuzzed strings.

    .venv/bin/python tests/downstream/tokenizer_at_size.py --ingot build/release/ingot --shared ../shared --bytes 2e9

Not part of the checks of every commit: it takes minutes. Documents of 3 to 40 lines, half of the lines crossed at a blank
with another; one document in 50 holds a string of tokenizer_check.py's fuzzer. A function of --seed.
"""
import argparse
import array
import json
import pathlib
import random
import sys
import tempfile
import time

from tokenizer_check import Ingot, fuzzed_strings, read_corpora, tiktoken_of

ENDS = ("\n", "\n", "\n\n", "\r\n", " ", "  ", "\n\t", "")


class Mixer:
    def __init__(self, corpora, seed):
        texts, _ = read_corpora(corpora)
        self.lines = [line.split(" ") for text in texts for line in text.split("\n") if line.strip()]
        self.random = random.Random(seed)
        self.strings = fuzzed_strings(5000, seed)

    def line(self):
        words = self.random.choice(self.lines)
        if self.random.random() < 0.5:
            other = self.random.choice(self.lines)
            words = words[:self.random.randrange(len(words) + 1)] + other[self.random.randrange(len(other)):]
        return " ".join(words) + self.random.choice(ENDS)

    def document(self):
        parts = [self.line() for _ in range(self.random.randint(3, 40))]
        if self.random.random() < 0.02:
            parts.insert(self.random.randrange(len(parts)), self.random.choice(self.strings))
        return "".join(parts)

    def batch(self, size):
        documents = []
        while size > 0:
            documents.append(self.document() or " ")
            size -= len(documents[-1].encode())
        return documents


def differences(ingot, directory, encoding, documents):
    path = ingot.folder / "batch.jsonl"
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in documents),
                    encoding="utf-8")
    ours = array.array("i", ingot.run("encode", "--tokenizer", directory, "--input", path, "--format", "u32"))
    theirs, different, at = 0, 0, 0
    for text in documents:
        ids = array.array("i", encoding.encode_ordinary(text))
        if ours[at:at + len(ids)] != ids:
            different += 1
            print(f"FAILED {text[:200]!r}", file=sys.stderr)
        at += len(ids)
        theirs += len(ids)
    if theirs != len(ours):
        sys.exit(f"{len(ours)} ids where tiktoken has {theirs}")
    return theirs, different


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--shared", type=pathlib.Path, required=True)
    parser.add_argument("--bytes", type=float, default=2e9)
    parser.add_argument("--batch-bytes", type=float, default=64e6)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    gpt2 = arguments.shared / "data" / "tokenizers" / "gpt2"
    mixer = Mixer(arguments.shared / "data" / "corpora", arguments.seed)
    begin, done, ids, different = time.time(), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        ingot = Ingot(arguments.ingot, pathlib.Path(folder))
        directory = ingot.folder / "gpt2"
        ingot.run("import", "--input", gpt2 / "encoder.json", gpt2 / "vocab.bpe", "--output", directory)
        encoding = tiktoken_of(directory, "gpt2")
        while done < arguments.bytes and different < 10:
            documents = mixer.batch(min(arguments.batch_bytes, arguments.bytes - done))
            count, wrong = differences(ingot, directory, encoding, documents)
            done += sum(len(text.encode()) for text in documents)
            ids += count
            different += wrong
            print(f"{done / 1e6:.0f} MB, {ids} ids, {different} documents differ, {time.time() - begin:.0f} s", flush=True)
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
