#!/usr/bin/env python3
"""Writes tests/tokenizer/traps.jsonl: texts on which tokenizers go wrong, with the pieces and ids that are right.

    .venv/bin/python tools/generate_tokenizer_traps.py --gpt2 FOLDER > tests/tokenizer/traps.jsonl
    .venv/bin/python tools/generate_tokenizer_traps.py --gpt2 FOLDER --check tests/tokenizer/traps.jsonl

FOLDER holds GPT-2's encoder.json and vocab.bpe. One JSON object a line: `name`; `hex`, the bytes of the text; `ends`,
for every split pattern the ends of the pieces in bytes; `gpt2`, the ids of GPT-2's vocabulary; `trained`, for every
pattern the ids of a vocabulary that `tokenizers` learns from the traps that are UTF-8, in their order: 256 bytes and 300
merges. Each trap stands alone and between other characters. Pieces are those of Hugging Face `tokenizers`; ids are made of them by the rule (the lowest
rank first, leftmost on ties), and where the text is UTF-8 must be those of `tokenizers` and of `tiktoken` as well. No
oracle takes bytes that are not UTF-8: pieces are asked for with a private-use character in place of each such byte,
which is of the same class.
"""
import argparse
import json
import os
import pathlib
import sys

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tiktoken  # noqa: E402: the environment comes first
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers  # noqa: E402

MERGES = 300

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
PATTERNS = {
    "qwen2": QWEN2,
    "gpt2": GPT2,
    "llama3": QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|"),
    "digits": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+",
}
AROUND = [("alone", "", ""), ("letters", "a", "b"), ("digits", "1", "2"), ("blanks", " ", " "), ("lines", "\n", "\n"),
          ("signs", "!", "?")]
TRAPS = {
    "truncated UTF-8": b"\xe4\xb8", "overlong": b"\xc0\x80", "surrogate as UTF-8": b"\xed\xa0\x80",
    "above U+10FFFF": b"\xf5\x80\x80\x80", "lone continuation": b"\xbf", "byte FF": b"\xff\xfe",
    "replacement character": "\ufffd", "emoji": "\U0001f600", "NUL": "\0", "newlines of two kinds": "a\r\n\r\nb",
    "blanks around a newline": "  \n  x", "blanks before a word": "a   b", "long blanks": "a" + 40 * " " + "b",
    "tabs": "\t\tif\t", "next line": "\x85", "no-break space": "\xa0", "line separator": "\u2028",
    "ideographic space": "\u3000", "vertical tab, form feed": "\v\f", "no space U+180E": "\u180e",
    "zero width space": "\u200b", "word joiner": "\u2060", "byte order mark": "\ufeff", "unit separator": "\x1f",
    "superscript two": "\xb2", "one half": "\xbd", "roman numeral": "\u2167", "Arabic digit": "\u0663",
    "ideographic zero": "\u3007", "circled one": "\u2460", "seven digits": "1234567", "digits after a blank": "12 345",
    "digits after blanks": "a  1", "combining acute": "e\u0301a", "Devanagari with marks": "\u0915\u094d\u0937\u093f",
    "Thai with marks": "\u0e01\u0e33\u0e25\u0e31\u0e07", "joined emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "flag": "\U0001f1e9\U0001f1ea", "variation selector": "\u2764\ufe0f", "joiner before a letter": "\u200da",
    "contraction": "it's", "contraction, capitals": "I'LL", "contraction, mixed": "we'Re", "long s": "'\u017f",
    "long s in a word": "don'\u017fx", "typographic apostrophe": "it\u2019s", "two apostrophes": "a''s",
    "capital after apostrophe": "Ab'Sc", "contraction in a word": "x'there", "apostrophe after a blank": " 's",
    "apostrophe at the end": "x'", "apostrophe and half a contraction": "x'r", "title case digraph": "\u01c5",
    "modifier letter": "\u02b0", "feminine ordinal": "\xaa", "jamo": "\u1112\u1161\u11ab", "new in Unicode 17": "\u088f",
    "new letter of another plane in 17": "\U00016ea0", "private use": "\ue000", "noncharacter": "\ufffe",
    "unassigned": "\u0378", "last code point": "\U0010ffff", "one letter": 33 * "a", "one sign": 33 * "!",
    "one ideograph": 33 * "\u4e2d", "one newline": 33 * "\n", "special token as text": "<|endoftext|>",
    "not to be normalized": "e\u0301 \u212b \uf900 \u0344", "ideographs": "\u4e2d\u6587\u5b57\u7b26\u3002\u5b8c",
    "kana": "\u3042\u30ab\u30fc\u3099", "Hangul": "\ud55c\uad6d\uc5b4", "hexagram between ideographs": "\u4e2d\u4dc0\u4e2d",
    "letters of 16": "abcdefghijklmnop", "letters of 15": "abcdefghijklmno", "URL": "https://a.b/c?d=1&e=%20",
    "code": "for (i = 0; i < 10; ++i) {\n\tx[i] += y;\n}\n",
}


def substitute(data):
    """A text with a private-use character for each byte that is not UTF-8, and the bytes of each of its characters."""
    text, sizes, at = [], [], 0
    while at < len(data):
        for size in (1, 2, 3, 4):
            try:
                c = data[at:at + size].decode()
            except UnicodeDecodeError:
                continue
            if len(c) == 1:
                break
        else:
            c, size = "\ue000", 1
        text.append(c)
        sizes.append(size)
        at += size
    return "".join(text), sizes


def ends_of(pattern, data):
    text, sizes = substitute(data)
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return [sum(sizes[:end]) for _, (_, end) in split.pre_tokenize_str(text)]


class Vocabulary:
    """The ids of a vocabulary by three ways: `tokenizers`, `tiktoken`, and the rule."""

    def __init__(self, hf, pattern):
        kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [b for b in range(256) if b not in kept]
        spelling = {b: chr(b) for b in kept} | {b: chr(0x100 + i) for i, b in enumerate(others)}
        byte_of = {c: b for b, c in spelling.items()}
        self.ranks = {bytes(byte_of[c] for c in token): id for token, id in hf.get_vocab().items()
                      if token != "<|endoftext|>"}
        self.tiktoken = tiktoken.Encoding("traps", pat_str=pattern, mergeable_ranks=self.ranks, special_tokens={})
        self.hf = hf

    def by_the_rule(self, piece):
        parts = [bytes([b]) for b in piece]
        while len(parts) > 1:
            rank, i = min((self.ranks.get(a + b, len(self.ranks)), i) for i, (a, b) in enumerate(zip(parts, parts[1:])))
            if rank == len(self.ranks):
                break
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        return [self.ranks[part] for part in parts]

    def ids(self, data, ends):
        ids = [id for begin, end in zip([0] + ends, ends) for id in self.by_the_rule(data[begin:end])]
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return ids
        if not ids == self.hf.encode(text).ids == self.tiktoken.encode_ordinary(text):
            sys.exit(f"{text!r}: the oracles disagree")
        return ids


def gpt2_vocabulary(folder):
    hf = Tokenizer(models.BPE.from_file(str(folder / "encoder.json"), str(folder / "vocab.bpe")))
    hf.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return Vocabulary(hf, GPT2)


def trained_vocabulary(pattern, texts):
    hf = Tokenizer(models.BPE())
    hf.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERNS[pattern]), "isolated"),
                                                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    hf.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=256 + MERGES, show_progress=False,
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return Vocabulary(hf, PATTERNS[pattern])


def traps():
    for name, trap in TRAPS.items():
        for place, before, after in AROUND:
            yield f"{name}, {place}", before.encode() + (trap.encode() if isinstance(trap, str) else trap) + after.encode()


def is_utf8(data):
    return substitute(data)[0].encode() == data


def lines(gpt2):
    texts = [data.decode() for _, data in traps() if is_utf8(data)]
    trained = {pattern: trained_vocabulary(pattern, texts) for pattern in PATTERNS}
    for name, data in traps():
        ends = {pattern: ends_of(regex, data) for pattern, regex in PATTERNS.items()}
        entry = {"name": name, "hex": data.hex(), "ends": ends, "gpt2": gpt2.ids(data, ends["gpt2"]),
                 "trained": {pattern: vocabulary.ids(data, ends[pattern]) for pattern, vocabulary in trained.items()}}
        yield json.dumps(entry, separators=(",", ":"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpt2", type=pathlib.Path, required=True)
    parser.add_argument("--check", type=pathlib.Path, help="compare with this file instead of writing")
    arguments = parser.parse_args()
    text = "".join(line + "\n" for line in lines(gpt2_vocabulary(arguments.gpt2)))
    if not arguments.check:
        sys.stdout.write(text)
    elif arguments.check.read_text() != text:
        sys.exit(f"{arguments.check} is not what the oracles say")


if __name__ == "__main__":
    main()
