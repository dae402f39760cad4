#!/usr/bin/env python3
"""Reads what `ingot data build --to` writes as other trainers do and compares it with ids from Hugging Face tokenizers.

    foreign_tokens_check.py --ingot build/release/ingot

Megatron-LM's files are read by its own IndexedDataset, and compared byte for byte with what its IndexedDatasetBuilder
writes from the same ids. nanoGPT's and llm.c's are read with numpy as their train.py and data loader do. Ends with
`N passed, N failed`.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from tokenizers import Tokenizer

SPLITS = ("train", "val")
TEXTS = [f"Document {i}: " + " ".join(f"w{(i * 7 + k) % 31}" for k in range(i % 40 + 1)) + ".\n" for i in range(300)]


def build(ingot, folder, to, *arguments):
    output = folder / to
    subprocess.run([ingot, "data", "build", "--input", folder / "in.jsonl", "--tokenizer", folder / "tokenizer",
                    "--output", output, "--to", to, *arguments], check=True, stdout=subprocess.DEVNULL)
    return output


def encoded(folder):
    """The ids of all documents, end of text last, and end of text."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
    end = tokenizer.token_to_id("<|endoftext|>")
    return [tokenizer.encode(text, add_special_tokens=False).ids + [end] for text in TEXTS], end


def cut_after(ids, end):
    places = np.flatnonzero(ids == end) + 1
    return [part.tolist() for part in np.split(ids, places) if len(part)]


def read_llmc(output, split, end):
    parts = []
    for path in sorted(output.glob(f"{split}_*.bin")):
        header = np.fromfile(path, dtype=np.int32, count=256)
        if header[0] != 20240520 or header[1] != 1:
            raise ValueError(f"{path}: header {header[:3]}")
        tokens = np.fromfile(path, dtype=np.uint16, offset=1024)
        if len(tokens) != header[2]:
            raise ValueError(f"{path}: {len(tokens)} tokens, the header says {header[2]}")
        parts.append(tokens)
    stream = np.concatenate(parts)
    if stream[0] != end:
        raise ValueError("the first document has no end of text before it")
    return cut_after(np.append(stream[1:], end), end)


def read_megatron(output, split):
    from megatron.core.datasets.indexed_dataset import IndexedDataset
    dataset = IndexedDataset(str(output / split))
    if len(dataset.document_indices) != len(dataset) + 1:
        raise ValueError(f"{len(dataset.document_indices)} document entries, {len(dataset)} sequences")
    return [dataset[i].tolist() for i in range(len(dataset))]


def same_as_megatron_writes(output, split, documents, folder):
    import torch
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder
    builder = IndexedDatasetBuilder(str(folder / "peer.bin"), dtype=np.uint16)
    for ids in documents:
        builder.add_document(torch.tensor(ids), [len(ids)])
    builder.finalize(str(folder / "peer.idx"))
    return all((folder / f"peer.{kind}").read_bytes() == (output / f"{split}.{kind}").read_bytes()
               for kind in ("idx", "bin"))


def checks(ingot, folder):
    (folder / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    subprocess.run([ingot, "tokenizer", "train", "--input", folder / "in.jsonl", "--vocab-size", "400", "--output",
                    folder / "tokenizer"], check=True, stdout=subprocess.DEVNULL)
    documents, end = encoded(folder)
    megatron = build(ingot, folder, "megatron")
    nano = build(ingot, folder, "nanogpt")
    llmc = build(ingot, folder, "llm.c", "--shard-tokens", "1000")
    readers = {
        "nanogpt": lambda split: cut_after(np.memmap(nano / f"{split}.bin", dtype=np.uint16, mode="r"), end),
        "llm.c": lambda split: read_llmc(llmc, split, end),
        "megatron": lambda split: read_megatron(megatron, split),
    }
    for name, read in readers.items():
        splits = [read(split) for split in SPLITS]
        chosen = {tuple(ids) for ids in splits[1]}
        in_order = [[ids for ids in documents if (tuple(ids) in chosen) == validates] for validates in (False, True)]
        yield f"{name}: documents", splits == in_order and all(splits)
        if name == "megatron":
            for split, ids in zip(SPLITS, in_order):
                yield f"megatron: bytes of {split}", same_as_megatron_writes(megatron, split, ids, folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, good in checks(arguments.ingot, pathlib.Path(folder)):
            print(("ok " if good else "FAILED ") + name)
            passed, failed = passed + good, failed + (not good)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
