#!/usr/bin/env python3
"""Token files between Ingot and other trainers: what it writes is read by their readers, what they write by Ingot.

    token_files_check.py --ingot build/release/ingot

Megatron's files are read and written by megatron-core itself. llm.c, nanoGPT and LLMQ are programs, not packages: their
files are read and written here as their layouts say (docs/foreign_formats.md), with numpy. Expected ids are those of
Hugging Face `tokenizers`. Prints `ok NAME` or `FAILED NAME: why` and ends with `N passed, N failed`.
"""
import argparse
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import numpy as np
import torch
from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder
from tokenizers import Tokenizer

from checks import check, finish

WIDE_VOCABULARY = 66000  # over what 16 bits hold, and over the 65,500 where Megatron's tools turn to 32 bits


def texts_of(count):
    rng = random.Random(3)
    words = ["the", "naïve", "猫", "2026", "\n", "'ll", "😀"]
    words += ["".join(rng.choices("aeiounrst", k=rng.randrange(2, 7))) for _ in range(150)]
    return [" ".join(rng.choices(words, k=rng.choice([1, 10, 100, 1500]))) + f" {i}" for i in range(count)]


class Ingot:
    def __init__(self, program, work):
        self.program, self.work, self.made = program, work, 0

    def run(self, *arguments):
        return subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True)

    def must(self, *arguments):
        done = self.run(*arguments)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def build(self, *inputs, tokenizer, options=()):
        self.made += 1
        out = self.work / f"out{self.made}"
        done = self.run("data", "build", "--input", *inputs, "--tokenizer", tokenizer, "--output", out, *options)
        return out if done.returncode == 0 else done.stderr

    def ids(self, *inputs, tokenizer, format):
        """The documents of token files as Ingot reads them, each with its end of text; on an error its message."""
        out = self.build(*inputs, tokenizer=tokenizer,
                         options=["--format", format, "--to", "megatron", "--validation-fraction", "0"])
        return out if isinstance(out, str) else megatron_documents(out / "train")


def widen(source, target):
    """A tokenizer with more special tokens, up to WIDE_VOCABULARY; the last of them get the largest ids."""
    target.mkdir()
    config = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = config["model"]["vocab"]
    for i in range(len(vocabulary), WIDE_VOCABULARY):
        vocabulary[f"<|wide_{i}|>"] = i
        config["added_tokens"].append({"id": i, "content": f"<|wide_{i}|>", "single_word": False, "lstrip": False,
                                       "rstrip": False, "normalized": False, "special": True})
    (target / "tokenizer.json").write_text(json.dumps(config), encoding="utf-8")
    return target


def megatron_documents(prefix):
    dataset = IndexedDataset(str(prefix))
    ends = dataset.document_indices
    return [np.concatenate([dataset[s] for s in range(ends[d], ends[d + 1])]).tolist() if ends[d] < ends[d + 1] else []
            for d in range(len(ends) - 1)]


def llmc_tokens(path, wide):
    raw = path.read_bytes()
    header = np.frombuffer(raw[:1024], dtype="<i4")
    tokens = np.frombuffer(raw[1024:], dtype="<u4" if wide else "<u2")
    assert header[0] == (20240801 if wide else 20240520) and header[1] == (7 if wide else 1), header[:3]
    assert header[2] == len(tokens) and not header[3:].any(), header[:4]
    return tokens


def split_after(tokens, separator):
    """Documents that end with `separator`."""
    ends = np.flatnonzero(np.asarray(tokens) == separator) + 1
    return [part.tolist() for part in np.split(np.asarray(tokens), ends)[:-1]]


def check_writing(ingot, tokenizer, documents, end, wide):
    """What `data build --to` makes of `documents`' texts."""
    name = "wide" if wide else "narrow"
    text = ingot.work / "texts.jsonl"
    whole = ["--validation-fraction", "0"]
    out = ingot.build(text, tokenizer=tokenizer, options=["--to", "megatron", *whole])
    check(f"megatron_reads_{name}", megatron_documents(out / "train") == documents)
    dtype = IndexedDataset(str(out / "train")).index.dtype
    check(f"megatron_type_{name}", dtype == (np.int32 if wide else np.uint16), dtype)
    out = ingot.build(text, tokenizer=tokenizer, options=["--to", "megatron", *whole, "--shard-tokens", "100"])
    dataset = IndexedDataset(str(out / "train"))  # its arrays die with it
    longest = dataset.sequence_lengths.max()
    check(f"megatron_long_documents_{name}", megatron_documents(out / "train") == documents and longest == 100, longest)
    out = ingot.build(text, tokenizer=tokenizer, options=["--to", "megatron", "--validation-fraction", "0.3"])
    both = megatron_documents(out / "train") + megatron_documents(out / "val")
    check(f"megatron_splits_{name}", sorted(both) == sorted(documents) and megatron_documents(out / "val"))

    before = [id for document in documents for id in [end] + document[:-1]]
    out = ingot.build(text, tokenizer=tokenizer, options=["--to", "llm.c", *whole, "--shard-tokens", "5000"])
    shards = sorted(out.glob("train_*.bin"))
    found = [llmc_tokens(shard, wide) for shard in shards]
    check(f"llmc_reads_{name}", np.concatenate(found).tolist() == before and len(shards) > 2
          and all(len(tokens) == 5000 for tokens in found[:-1]), [shard.name for shard in shards])
    out = ingot.build(text, tokenizer=tokenizer, options=["--to", "nanogpt", *whole])
    if wide:
        check("nanogpt_refuses_wide", isinstance(out, str) and "16 bits" in out, out)
        return
    tokens = np.memmap(out / "train.bin", dtype=np.uint16, mode="r")
    check("nanogpt_reads", tokens.tolist() == [id for document in documents for id in document])


def write_megatron(prefix, documents, dtype, sequences=1, multimodal=False):
    """By megatron-core's writer; documents of more than one sequence are cut at even places."""
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=dtype, multimodal=multimodal)
    for document in documents:
        parts = np.array_split(np.array(document, dtype=np.int64), sequences)
        for part in parts if len(document) else []:
            builder.add_item(torch.from_numpy(part), **({"mode": 1} if multimodal else {}))
        builder.end_document()
    builder.finalize(f"{prefix}.idx")
    return prefix


def write_llmc(path, documents, end, wide):
    tokens = [id for document in documents for id in [end] + document[:-1]]
    header = np.zeros(256, dtype="<i4")
    header[:3] = (20240801, 7, len(tokens)) if wide else (20240520, 1, len(tokens))
    path.write_bytes(header.tobytes() + np.array(tokens, dtype="<u4" if wide else "<u2").tobytes())
    return path


def write_llmq(path, documents, vocabulary, version=2):
    tokens = np.array([id for document in documents for id in document], dtype="<i4")
    fields = [version, 4, len(tokens)] + ([vocabulary, 0] if version == 2 else [])
    header = b"BIN.TOK\n" + struct.pack(f"<{len(fields)}i", *fields)
    path.write_bytes(header.ljust(1023, b"*") + b"\n" + tokens.tobytes())
    return path


def write_nanogpt(path, documents):
    np.array([id for document in documents for id in document], dtype=np.uint16).tofile(path)
    return path


def check_reading(ingot, tokenizer, documents, end, wide):
    """What Ingot finds in files of the formats' own writers."""
    work, name = ingot.work, "wide" if wide else "narrow"
    types = [np.int32] if wide else [np.uint16, np.int32]
    for dtype in types:
        label = f"{np.dtype(dtype).name}_{name}"
        prefix = write_megatron(work / f"m_{label}", documents, dtype)
        check(f"reads_megatron_{label}", ingot.ids(f"{prefix}.idx", tokenizer=tokenizer, format="megatron") == documents)
        prefix = write_megatron(work / f"s_{label}", documents, dtype, sequences=3)
        check(f"reads_megatron_sequences_{label}", ingot.ids(prefix, tokenizer=tokenizer, format="megatron") == documents)
    prefix = write_megatron(work / f"mm_{name}", documents, types[0], multimodal=True)
    check(f"reads_megatron_modes_{name}", ingot.ids(prefix, tokenizer=tokenizer, format="megatron") == documents)
    bare = [document[:-1] for document in documents]
    prefix = write_megatron(work / f"bare_{name}", bare[:4] + [[]] + bare[4:], types[0])
    check(f"reads_megatron_without_ends_{name}", ingot.ids(prefix, tokenizer=tokenizer, format="megatron") == documents)
    both = IndexedDatasetBuilder(str(work / f"both_{name}.bin"), dtype=types[0])
    for part in (write_megatron(work / f"p1_{name}", documents[:7], types[0]),
                 write_megatron(work / f"p2_{name}", documents[7:], types[0])):
        both.add_index(str(part))
    both.finalize(str(work / f"both_{name}.idx"))
    found = ingot.ids(work / f"both_{name}.bin", tokenizer=tokenizer, format="megatron")
    check(f"reads_megatron_merged_{name}", found == documents)

    path = write_llmc(work / f"c_{name}.bin", documents, end, wide)
    check(f"reads_llmc_{name}", ingot.ids(path, tokenizer=tokenizer, format="llm.c") == documents)
    for version in (1, 2):
        path = write_llmq(work / f"q_{name}{version}.bin", documents, WIDE_VOCABULARY, version)
        check(f"reads_llmq_{name}_{version}", ingot.ids(path, tokenizer=tokenizer, format="llmq") == documents)
    if not wide:
        path = write_nanogpt(work / "n.bin", documents)
        check("reads_nanogpt", ingot.ids(path, tokenizer=tokenizer, format="nanogpt") == documents)


def check_refused(ingot, tokenizer, documents):
    """Damage and mix-ups: an error that names the file, whatever the command; nothing is left behind."""
    work = ingot.work
    good = work / "m_uint16_narrow"
    index, tokens = (pathlib.Path(f"{good}{ending}").read_bytes() for ending in (".idx", ".bin"))
    other = write_megatron(work / "other", documents[:5], np.uint16)
    cases = {"index_cut": (index[:-5], tokens, ".idx: "), "index_header_cut": (index[:20], tokens, ".idx: "),
             "tokens_cut": (index, tokens[:-6], ".bin holds"), "odd_tokens": (index, tokens[:-1], ".bin: "),
             "version": (index[:9] + b"\2" + index[10:], tokens, "version 2"),
             "type_int64": (index[:17] + b"\5" + index[18:], tokens, "int64"),
             "type_int32": (index[:17] + b"\4" + index[18:], tokens, "holds|no whole number of ids"),
             "magic": (b"X" + index[1:], tokens, "MMIDIDX"), "fairseq": (b"TNTIDX\0\0" + index[8:], tokens, "fairseq"),
             "of_another_set": (index, pathlib.Path(f"{other}.bin").read_bytes(), ".bin holds"),
             "empty_index": (b"", tokens, ".idx"), "empty_tokens": (index, b"", ".bin")}
    for name, (idx, bin_, words) in cases.items():
        path = work / f"bad_{name}"
        pathlib.Path(f"{path}.idx").write_bytes(idx)
        pathlib.Path(f"{path}.bin").write_bytes(bin_)
        error = ingot.ids(path, tokenizer=tokenizer, format="megatron")
        check(f"refuses_megatron_{name}", isinstance(error, str) and str(path) in error
              and any(word in error for word in words.split("|")), error)
    prefix = write_megatron(work / "int64", documents, np.int64)
    error = ingot.ids(prefix, tokenizer=tokenizer, format="megatron")
    check("refuses_megatron_written_as_int64", isinstance(error, str) and "int64 (5)" in error, error)
    wide = [[70000, 1, 2]]
    files = {"llm.c": write_llmc(work / "w_c.bin", documents, 0, False), "llmq": write_llmq(work / "w_q.bin", documents, 650)}
    for format, path in files.items():
        raw = path.read_bytes()
        for name, contents in {"cut": raw[:-2], "longer": raw + b"\0\0", "header_cut": raw[:500],
                               "magic": b"\0" + raw[1:], "version": swapped(raw, format)}.items():
            bad = work / f"bad_{format}_{name}.bin"
            bad.write_bytes(contents)
            error = ingot.ids(bad, tokenizer=tokenizer, format=format)
            check(f"refuses_{format}_{name}", isinstance(error, str) and f"{bad}: " in error, error)
    path = work / "odd.bin"
    path.write_bytes(b"\1\0\2")
    error = ingot.ids(path, tokenizer=tokenizer, format="nanogpt")
    check("refuses_nanogpt_odd", isinstance(error, str) and f"{path}: 3 bytes" in error, error)
    others = {"megatron": write_megatron(work / "w_m", wide, np.int32), "llmq": write_llmq(work / "w_q2.bin", wide, 70001),
              "llm.c": write_llmc(work / "w_c2.bin", wide, 0, True),
              "nanogpt": write_nanogpt(work / "w_n.bin", [[60000, 1]])}
    for format, path in others.items():
        error = ingot.ids(path, tokenizer=tokenizer, format=format)
        check(f"refuses_{format}_of_another_vocabulary", isinstance(error, str) and "outside the vocabulary" in error
              and str(path) in error, error)


def swapped(raw, format):
    """The file with a version that does not exist."""
    at = 8 if format == "llmq" else 4
    return raw[:at] + b"\x63" + raw[at + 1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingot", required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        ingot = Ingot(arguments.ingot, pathlib.Path(work))
        texts = texts_of(60)
        with open(ingot.work / "texts.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        narrow = ingot.work / "narrow"
        ingot.must("tokenizer", "train", "--input", ingot.work / "texts.jsonl", "--vocab-size", "650", "--output", narrow)
        for tokenizer, wide in ((narrow, False), (widen(narrow, ingot.work / "wide"), True)):
            reference = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
            end = reference.token_to_id("<|endoftext|>")
            documents = [reference.encode(text).ids + [end] for text in texts]
            check_writing(ingot, tokenizer, documents, end, wide)
            if wide:
                documents[3][1:1] = [WIDE_VOCABULARY - 1, 65536, 65535]
            check_reading(ingot, tokenizer, documents, end, wide)
            if not wide:
                check_refused(ingot, tokenizer, documents)
    sys.exit(finish())


if __name__ == "__main__":
    main()
