#!/usr/bin/env python3
"""Builds the same dataset from JSON lines and from what pyarrow writes: every compression, encoding and shape of row groups.

    parquet_check.py --ingot build/release/ingot

Prints `ok NAME` or `FAILED NAME: why` and ends with `N passed, N failed`.
"""
import argparse
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq

from checks import check, finish

DOCUMENTS = 4000
LANGUAGES = ["en", "de", "zh", "fr"]


def rows_of(seed):
    """Documents of 0 to 20,000 bytes with columns, some of them null."""
    rng = random.Random(seed)
    words = ["der", "the", "naïve", "猫", "x1", "\n\n", "\t", "'ll", "😀", "of", "2026", "and"]
    words += ["".join(rng.choices("aeiounrstlé", k=rng.randrange(2, 7))) for _ in range(200)]
    rows = []
    for i in range(DOCUMENTS):
        size = rng.choice([0, 3, 20, 100]) if i % 97 else 3000
        rows.append({"text": " ".join(rng.choices(words, k=size)) + (f" {i}" if size else ""),
                     "language": rng.choice(LANGUAGES + [None]), "score": rng.choice([None, rng.random()]),
                     "tokens": rng.randrange(2**40), "good": rng.random() < 0.5,
                     "meta": {"quality": rng.randrange(6), "host": rng.choice(["a.org", None])} if i % 5 else None})
    return rows


def table_of(rows, text=pa.string()):
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    types = {"text": text, "language": pa.string(), "score": pa.float64(), "tokens": pa.int64(), "good": pa.bool_(),
             "meta": pa.struct([("quality", pa.int32()), ("host", pa.string())])}
    return pa.table({name: pa.array(values, types[name]) for name, values in columns.items()})


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


class Ingot:
    def __init__(self, program, work):
        self.program, self.work, self.made = program, work, 0

    def run(self, *arguments):
        return subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True)

    def build(self, *inputs, options=()):
        """The counts of a dataset and the bytes of its shards."""
        self.made += 1
        out = self.work / f"dataset{self.made}"
        done = self.run("data", "build", "--input", *inputs, "--tokenizer", self.work / "tokenizer", "--output", out,
                        "--json", *options)
        if done.returncode:
            return {"error": done.stderr}, object()  # equals no other
        return json.loads(done.stdout), {shard.name: shard.read_bytes() for shard in sorted(out.glob("*.shard"))}

    def error(self, *inputs, options=()):
        done = self.run("data", "build", "--input", *inputs, "--tokenizer", self.work / "tokenizer", "--output",
                        self.work / "never", *options)
        return done.stderr if done.returncode == 1 and not (self.work / "never").exists() else f"exit {done.returncode}"


def comparable(counts):
    return {key: value for key, value in counts.items() if key not in ("output", "seconds", "megabytes_per_second")}


def check_variants(ingot, rows, wanted):
    small = {"row_group_size": 100, "data_page_size": 4096}
    variants = {
        "snappy": {"compression": "snappy"} | small,
        "gzip": {"compression": "gzip"} | small,
        "zstd": {"compression": "zstd"} | small,
        "lz4": {"compression": "lz4"} | small,
        "brotli": {"compression": "brotli"} | small,
        "uncompressed": {"compression": "none"} | small,
        "one_row_group": {},
        "row_groups_of_one": {"row_group_size": 1},
        "pages_v2": {"data_page_version": "2.0", "row_group_size": 977},
        "no_dictionary": {"use_dictionary": False} | small,
        "delta": {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}, "row_group_size": 512},
        "format_1": {"version": "1.0", "store_schema": False} | small,
    }
    tables = {name: (table_of(rows), options) for name, options in variants.items()}
    tables["large_string"] = table_of(rows, pa.large_string()), small
    tables["binary"] = table_of(rows, pa.binary()), small
    dictionary = table_of(rows)
    dictionary = dictionary.set_column(0, "text", dictionary["text"].dictionary_encode())
    tables["dictionary"] = dictionary, {"row_group_size": 1500}
    for name, (table, options) in tables.items():
        path = ingot.work / f"{name}.parquet"
        pq.write_table(table, path, **options)
        counts, shards = ingot.build(path, options=["--threads", 1 + len(name) % 4])
        check(f"same_dataset_{name}", shards == wanted[1] and comparable(counts) == comparable(wanted[0]),
              f"{counts} against {wanted[0]}")


def check_files(ingot, rows, wanted):
    folder = ingot.work / "folder"
    folder.mkdir()
    third = DOCUMENTS // 3
    pq.write_table(table_of(rows[:third]), folder / "a.parquet", row_group_size=50)
    write_jsonl(folder / "b.jsonl", rows[third:2 * third])
    pq.write_table(table_of(rows[2 * third:]), folder / "c.parquet", row_group_size=333)
    check("directory_of_both", ingot.build(folder)[1] == wanted[1])
    check("pattern", ingot.build(f"{folder}/a.*", f"{folder}/b.*", f"{folder}/c.*")[1] == wanted[1])


def check_curation(ingot, rows, jsonl):
    parquet = ingot.work / "curated.parquet"
    pq.write_table(table_of(rows), parquet, row_group_size=64)
    where = {"number": ["score>=0.25"], "string": ["language=en|zh"], "bool": ["good=true"],
             "nested": ["meta.quality>=2", "meta.host!=b.org"],
             "four": ["language!=fr", "score<0.9", "tokens>1000000", "good=false"]}
    for name, predicates in where.items():
        options = [part for predicate in predicates for part in ("--where", predicate)]
        counts, shards = ingot.build(jsonl, options=options)
        found = ingot.build(parquet, options=options)
        left_out = counts.get("curation", {})
        check(f"where_{name}", found[1] == shards and comparable(found[0]) == comparable(counts)
              and any(left_out.values()), f"{found[0]} against {counts}")
    options = ["--deduplicate", "paragraphs", "--min-bytes", "10"]
    check("deduplicate", ingot.build(parquet, options=options)[1] == ingot.build(jsonl, options=options)[1])


def check_null_texts(ingot, rows):
    rows = [row | {"text": None} if i % 11 == 3 else row for i, row in enumerate(rows)]
    jsonl, parquet = write_jsonl(ingot.work / "nulls.jsonl", rows), ingot.work / "nulls.parquet"
    pq.write_table(table_of(rows), parquet, row_group_size=70)
    error = ingot.error(parquet)
    check("null_text_is_named", f"{parquet}: row 4: expected text" in error and "--skip-bad-lines" in error, error)
    wanted, found = (ingot.build(path, options=["--skip-bad-lines"]) for path in (jsonl, parquet))
    check("null_texts_skipped", found[1] == wanted[1] and comparable(found[0]) == comparable(wanted[0])
          and found[0].get("bad_lines"), f"{found[0]} against {wanted[0]}")


def check_decontamination(ingot, rows, jsonl):
    """Evaluation texts in lists and structs, as published benchmarks have them."""
    texts = [row["text"] for row in rows if row["text"]]
    questions = [{"question": texts[i], "choices": {"text": [texts[i + 1], "no"], "label": ["A", "B"]}}
                 for i in range(0, 200, 10)]
    plain, parquet = write_jsonl(ingot.work / "eval.jsonl", questions), ingot.work / "eval.parquet"
    pq.write_table(pa.Table.from_pylist(questions), parquet)
    wanted = ingot.build(jsonl, options=["--decontaminate", plain])
    found = ingot.build(jsonl, options=["--decontaminate", parquet])
    check("decontaminate", found[1] == wanted[1] and found[0]["curation"]["contaminated_documents"] > 0,
          found[0])


def check_tokenizer(ingot, rows, jsonl):
    parquet = ingot.work / "train.parquet"
    pq.write_table(table_of(rows), parquet, row_group_size=64)
    done = ingot.run("tokenizer", "train", "--input", parquet, "--vocab-size", "600", "--output", ingot.work / "tok2")
    same = done.returncode == 0 and ((ingot.work / "tok2/tokenizer.json").read_bytes()
                                     == (ingot.work / "tokenizer/tokenizer.json").read_bytes())
    check("tokenizer_train", same, done.stderr)
    lines = [ingot.run("tokenizer", "encode", "--tokenizer", ingot.work / "tokenizer", "--input", path).stdout
             for path in (jsonl, parquet)]
    check("tokenizer_encode", lines[0] == lines[1] and lines[0].count("\n") == sum(bool(row["text"]) for row in rows),
          lines[1][:200])


def check_errors(ingot, rows):
    path = ingot.work / "damaged.parquet"
    pq.write_table(table_of(rows), path, row_group_size=64, write_page_checksum=True, use_dictionary=False,
                   compression="none")
    good = path.read_bytes()
    inside = good.index(rows[100]["text"].encode())
    damages = {"truncated": good[:-10], "cut_in_half": good[:len(good) // 2], "empty": b"", "text": b"{}\n" * 50,
               "flipped": good[:inside] + b"\x01" + good[inside + 1:]}
    for name, contents in damages.items():
        path.write_bytes(contents)
        error = ingot.error(path)
        check(f"damaged_{name}", f"{path}: " in error, error)
    path.write_bytes(good)
    for field, words in {"meta": "is nested", "body": "expected a column", "tokens": "expected texts"}.items():
        error = ingot.error(path, options=["--field", field])
        check(f"column_{field}_is_named", f"{path}: " in error and words in error and f'"{field}"' in error, error)
    (ingot.work / "elsewhere").mkdir()
    alone = Ingot(shutil.copy(ingot.program, ingot.work / "elsewhere"), ingot.work)
    alone.made = ingot.made
    error = alone.error(path)
    check("without_the_library", f"{path}: reading .parquet needs libingot_parquet.so" in error
          and "tools/install_dependencies.sh --parquet" in error, error)
    counts, _ = alone.build(ingot.work / "all.jsonl")
    check("without_the_library_others_are_read", counts.get("documents"), counts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingot", required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        ingot = Ingot(arguments.ingot, pathlib.Path(work))
        rows = rows_of(1)
        jsonl = write_jsonl(ingot.work / "all.jsonl", rows)
        done = ingot.run("tokenizer", "train", "--input", jsonl, "--vocab-size", "600", "--output",
                         ingot.work / "tokenizer")
        if done.returncode:
            sys.exit(done.stderr)
        wanted = ingot.build(jsonl)
        check_variants(ingot, rows, wanted)
        check_files(ingot, rows, wanted)
        check_curation(ingot, rows, jsonl)
        check_null_texts(ingot, rows)
        check_decontamination(ingot, rows, jsonl)
        check_tokenizer(ingot, rows, jsonl)
        check_errors(ingot, rows)
    sys.exit(finish())


if __name__ == "__main__":
    main()
