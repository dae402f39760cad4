#!/usr/bin/env python3
"""Compares `ingot tokenizer` with Hugging Face `tokenizers` and `tiktoken`, the tools that must read what it writes.

    tokenizer_check.py --ingot build/release/ingot --shared ../shared

Merges are trained by both on three corpora at three sizes; ids are compared on every corpus and on strings made to
fall on the borders of the split patterns, of their own classes' characters, for all four patterns; the corpus of
traps under tests/ is what both say. Ends with `N passed, N failed`.
"""
import argparse
import base64
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

os.environ["TOKENIZERS_PARALLELISM"] = "true"  # read when the package is first used

import tiktoken
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

PATTERNS = ("qwen2", "gpt2", "llama3", "digits")
SPECIALS = 64
REGEX = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
             r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}
REGEX["llama3"] = REGEX["qwen2"].replace(r"|\p{N}|", r"|\p{N}{1,3}|")
# tiktoken has no pattern for digits; this one has the same effect as cutting at digits first.
REGEX["digits"] = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+"

# Characters around every border of the patterns, and their near misses.
ATOMS = (
    list("aZszSTdmrvel019 '\t\r\n\v\f!_-.(<|>\"")
    + ["'s", "'S", "'t", "'re", "'RE", "'vE", "'m", "'ll", "'lL", "'d", "'x", "'\u017f", "\u2019s", "''s", "\r\n"]
    + ["\x00", "\x1c", "\x7f", "\x85", "\xa0", "\xad", "\u1680", "\u180e", "\u2000", "\u200b", "\u2028", "\u202f"]
    + ["\u205f", "\u2060", "\u3000", "\ufeff", "\u200d", "\ufe0f", "\u0301", "\u0344", "\u0903", "\u0e31"]
    + ["\xb2", "\xbd", "\u0663", "\u2167", "\u2460", "\u3007", "\U0001d7ce", "\xaa", "\xba", "\u01c5", "\u02b0"]
    + ["\xe9", "\xdf", "\u0130", "\u0416", "\u05d0", "\u0639", "\u0915", "\u4e2d", "\u3042", "\uac00", "\u1100"]
    + ["\U00020000", "\U00010400", "\U0001f600", "\U0001f1e9", "\U0001f468\u200d\U0001f469", "\ue000", "\ufffe"]
    + ["\u0378", "\U000e0100", "\u088f", "\u0295", "\U0010ffff", "<|endoftext|>", "<think>", " hello", " world"]
)
RUNS = (1, 1, 1, 1, 1, 2, 3, 63, 64, 65, 127, 128, 129)

passed = failed = 0


def check(name, ok, detail=""):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {name}{': ' if detail else ''}{detail}", file=sys.stderr)


def class_members():
    """The characters of every class that the patterns name, as the engine of `tokenizers` sees them."""
    scalars = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    classes = []
    for pattern in (r"\p{L}", r"\p{N}", r"\s", r"[^\s\p{L}\p{N}]"):
        keep = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
        found = set()
        for i in range(0, len(scalars), 4096):
            for piece, _ in keep.pre_tokenize_str("".join(scalars[i:i + 4096])):
                found.update(piece)
        classes.append(sorted(found))
    return classes


def fuzzed_strings(count, seed):
    """Strings of atoms, and of any members of the patterns' own classes."""
    rng = random.Random(seed)
    classes = class_members()
    strings = []
    for i in range(count):
        runs = RUNS + ((4095, 4096, 4097) if i % 500 == 0 else ())
        parts = []
        for _ in range(rng.randint(1, 14)):
            atom = rng.choice(ATOMS)
            if i % 2:
                atom = "".join(rng.choices(rng.choice(classes), k=rng.randint(1, 3)))
            parts.append(atom * rng.choice(runs))
        strings.append("".join(parts))
    return strings


class Ingot:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder

    def run(self, *arguments, **options):
        return subprocess.run([self.binary, "tokenizer", *map(str, arguments)], check=True, capture_output=True,
                              **options).stdout

    def train(self, name, source, size, *options):
        directory = self.folder / name
        self.run("train", "--input", source, "--vocab-size", size, "--output", directory, *options)
        return directory

    def encode_all(self, directory, texts, *options):
        """Ids of every text, which must not be empty. A file of JSON lines holds them for one call."""
        path = self.folder / "texts.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        lines = self.run("encode", "--tokenizer", directory, "--input", path, *options).decode().splitlines()
        return [list(map(int, line.split())) for line in lines]


def hf_pre_tokenizer(pattern):
    if pattern == "gpt2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pattern == "digits":
        first = pre_tokenizers.Digits(individual_digits=True)
        return pre_tokenizers.Sequence([first, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    split = pre_tokenizers.Split(Regex(REGEX[pattern]), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def hf_train(pattern, size, files=None, texts=None):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = hf_pre_tokenizer(pattern)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    if files:
        tokenizer.train([str(f) for f in files], trainer)
    else:
        tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())["model"]


def model_of(directory):
    return json.loads((directory / "tokenizer.json").read_text())["model"]


def compare_model(name, ours, theirs):
    """Merges, and the ids of the 256 bytes and of what the merges make; special tokens come after these in ours."""
    count = len(ours["merges"])
    check(f"{name}: merges", ours["merges"] == theirs["merges"][:count] and count > 0)
    ids = {token: i for token, i in ours["vocab"].items() if i < 256 + count}
    check(f"{name}: ids", ids == {token: i for token, i in theirs["vocab"].items() if i < 256 + count})


def check_merges(ingot, corpora):
    shakespeare, wiki = corpora / "tinyshakespeare.txt", corpora / "wikitext2_valid.txt"
    songs = corpora / "yuanqu_zh.jsonl"
    song_texts = [json.loads(line)["text"] for line in songs.open(encoding="utf-8")]
    plans = [  # the largest size of HF serves the smaller: its list of merges is a prefix of itself
        (shakespeare, "qwen2", (1000, 5000, 20000)),
        (wiki, "gpt2", (1000, 8000, 16000)),
        (wiki, "llama3", (2000, 4000, 18000)),
        (shakespeare, "digits", (500, 3000, 16000)),
        (songs, "qwen2", (1000, 6000, 20000)),
    ]
    for source, pattern, sizes in plans:
        rules = [("documents", song_texts if source == songs else [source.read_bytes().decode()])]
        if source != songs:
            rules.append(("lines", None))
        for rule, texts in rules:
            theirs = hf_train(pattern, max(sizes) - SPECIALS, files=None if texts else [source], texts=texts)
            for size in sizes:
                name = f"{source.stem}-{pattern}-{rule}-{size}"
                options = ["--pattern", pattern] + (["--lines"] if rule == "lines" else [])
                compare_model(name, model_of(ingot.train(name, source, size, *options)), theirs)
    one = ingot.train("one-thread", shakespeare, 5000, "--threads", 1)
    check("one thread as many", model_of(one) == model_of(ingot.train("many", shakespeare, 5000, "--threads", 8)))


def read_corpora(corpora):
    """All texts, and the contents of the files that are not UTF-8."""
    texts, broken = [], []
    for path in sorted(corpora.rglob("*.txt")):
        data = path.read_bytes()
        try:
            texts.append(data.decode())
        except UnicodeDecodeError:
            broken.append(data)
    for path in sorted(corpora.glob("*.jsonl")):
        texts += [json.loads(line)["text"] for line in path.open(encoding="utf-8")]
    return [text for text in texts if text], broken


def tiktoken_of(directory, pattern):
    model = model_of(directory)
    alphabet = {c: b for b, c in byte_alphabet().items()}
    ordinary = 256 + len(model["merges"])
    ranks = {bytes(alphabet[c] for c in token): i for token, i in model["vocab"].items() if i < ordinary}
    return tiktoken.Encoding(directory.name, pat_str=REGEX[pattern], mergeable_ranks=ranks, special_tokens={})


def byte_alphabet():
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in kept]
    return {b: chr(b) for b in kept} | {b: chr(0x100 + i) for i, b in enumerate(others)}


def first_difference(texts, ours, theirs):
    for text, mine, other in zip(texts, ours, theirs):
        if mine != other:
            return f"{text[:80]!r}: {mine[:20]} where {other[:20]} was expected"
    return f"{len(ours)} answers to {len(texts)} texts" if len(ours) != len(texts) else ""


def compare_ids(name, ingot, directory, pattern, texts):
    ours = ingot.encode_all(directory, texts)
    hf = Tokenizer.from_file(str(directory / "tokenizer.json"))
    hf.encode_special_tokens = True
    theirs = [e.ids for e in hf.encode_batch(texts, add_special_tokens=False)]
    check(f"{name}: ids of tokenizers", ours == theirs, first_difference(texts, ours, theirs))
    encoding = tiktoken_of(directory, pattern)
    theirs = encoding.encode_ordinary_batch(texts, num_threads=2)
    check(f"{name}: ids of tiktoken", ours == theirs, first_difference(texts, ours, theirs))


def check_ids(ingot, corpora, gpt2):
    texts, broken = read_corpora(corpora)
    strings = fuzzed_strings(10000, seed=1)
    source = ingot.folder / "mixed.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[::7] + strings[:1000]))
    for pattern in PATTERNS:
        directory = ingot.train(f"mixed-{pattern}", source, 12000, "--pattern", pattern)
        compare_ids(f"{pattern} corpora", ingot, directory, pattern, texts)
        compare_ids(f"{pattern} fuzzed", ingot, directory, pattern, strings)
        check_files(directory)
        for i, data in enumerate(broken):
            ids = ingot.run("encode", "--tokenizer", directory, input=data)
            check(f"{pattern} broken text {i}", ingot.run("decode", "--tokenizer", directory, input=ids) == data)
    directory = ingot.folder / "gpt2"
    ingot.run("import", "--input", gpt2 / "encoder.json", gpt2 / "vocab.bpe", "--output", directory)
    compare_ids("GPT-2 corpora", ingot, directory, "gpt2", texts)
    compare_ids("GPT-2 fuzzed", ingot, directory, "gpt2", strings)
    check_tiktoken_import(ingot, directory)


def check_files(directory):
    """`tokenizers` gives every token the id that the file states, and saves the file as it was."""
    path = directory / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    stated = json.loads(path.read_text())
    check(f"{directory.name}: vocabulary", tokenizer.get_vocab() == stated["model"]["vocab"])
    check(f"{directory.name}: added tokens",
          all(tokenizer.token_to_id(t["content"]) == t["id"] for t in stated["added_tokens"]))
    saved = directory.parent / "saved.json"
    tokenizer.save(str(saved))
    check(f"{directory.name}: saved again", saved.read_bytes() == path.read_bytes())


def check_tiktoken_import(ingot, gpt2):
    alphabet = {c: b for b, c in byte_alphabet().items()}
    model = model_of(gpt2)
    lines = [f"{base64.b64encode(bytes(alphabet[c] for c in token)).decode()} {i}\n"
             for token, i in model["vocab"].items() if token != "<|endoftext|>"]
    path = ingot.folder / "gpt2.tiktoken"
    path.write_text("".join(lines))
    directory = ingot.folder / "from-tiktoken"
    ingot.run("import", "--input", path, "--pattern", "gpt2", "--output", directory)
    check("tiktoken file: same vocabulary and merges", model_of(directory) == model)


def hf_like(kind, corpora_texts):
    """A tokenizer as the files of that family are, since none of theirs may be here."""
    model = {"qwen3": "qwen2", "llama3": "llama3", "neox": "gpt2"}[kind]
    tokenizer = Tokenizer(models.BPE(ignore_merges=kind == "llama3"))
    tokenizer.pre_tokenizer = hf_pre_tokenizer(model)
    tokenizer.decoder = decoders.ByteLevel()
    if kind != "llama3":
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(vocab_size=6000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(corpora_texts, trainer)
    if kind == "llama3":  # tokens that no merges reach, found as whole pieces only
        state = json.loads(tokenizer.to_str())
        for token in ("\u0120whatsoever", "Hooray", "!?!?!?", "\u0120\u0120\u0120\u0120\u0120\u0120\u0120q"):
            state["model"]["vocab"].setdefault(token, len(state["model"]["vocab"]))
        tokenizer = Tokenizer.from_str(json.dumps(state))
    add_tokens(kind, tokenizer)
    return tokenizer


def add_tokens(kind, tokenizer):
    special = {"qwen3": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>"],
               "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"] + [f"<|reserved_{i}|>" for i in range(9)],
               "neox": ["<|endoftext|>", "<|padding|>"]}[kind]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    if kind == "qwen3":
        tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in
                              ("<tool_call>", "</tool_call>", "<think>", "</think>", "<|fim_prefix|>")])
    if kind == "neox":  # runs of blanks and words with every flag, some of them for normalized text
        tokenizer.add_tokens([AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])
        tokenizer.add_tokens([AddedToken("<mask>", lstrip=True, rstrip=True, special=True, normalized=False),
                              AddedToken("hello", single_word=True, special=False, normalized=True),
                              AddedToken("e\u0301t", special=False, normalized=True, rstrip=True),
                              AddedToken("\u4e2d\u6587", single_word=True, lstrip=True, special=False, normalized=False)])
    if kind == "llama3":
        begin, end = "<|begin_of_text|>", "<|end_of_text|>"
        template = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A {begin}:1 $B:1",
            special_tokens=[(begin, tokenizer.token_to_id(begin)), (end, tokenizer.token_to_id(end))])
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])


NORMAL_ATOMS = (["e\u0301", "\u0301", "\u0323", "\u1112\u1161\u11ab", "\uac00\u11a8", "\u212b", "\uf900", "\u0344",
                 "\u0958", "\u09c7\u09be", "\u0f71\u0f72", "\u304b\u3099", "D\u0307\u0323", "\u0301\u0323\u0328",
                 "\U000110a5\U000110ba", "\U0001d15e", "\u1e9b\u0323", "\u0e33", "\ufb2c"]
                + ["<mask>", " <mask> ", "hello", "_hello", "hello\u0301", "e\u0301t ", "\xe9t\u3000", "\u4e2d\u6587",
                   "\u3000\u4e2d\u6587", "<think>", "</think>", "<|im_start|>", "<|begin_of_text|>", "<|eot_id|>", "  ",
                   "     ", "Hooray", " whatsoever", "!?!?!?"])


def check_imports(ingot, texts):
    """Files of other families come in, give the same ids, and go out again as files that give the same ids."""
    rng = random.Random(3)
    atoms = ATOMS + NORMAL_ATOMS * 3
    strings = ["".join(rng.choice(atoms) for _ in range(rng.randint(1, 12))) for _ in range(6000)]
    for kind in ("qwen3", "llama3", "neox"):
        theirs = hf_like(kind, texts[::5])
        path = ingot.folder / f"{kind}.json"
        theirs.save(str(path))
        directory = ingot.folder / f"imported-{kind}"
        ingot.run("import", "--input", path, "--output", directory)
        written = Tokenizer.from_file(str(directory / "tokenizer.json"))
        check(f"{kind}: same vocabulary", written.get_vocab() == theirs.get_vocab())
        for name, inputs in (("corpora", texts if kind == "qwen3" else texts[::7]), ("fuzzed", strings)):
            compare_import(f"{kind} {name}", ingot, directory, theirs, written, inputs)
        again = ingot.folder / f"again-{kind}"
        ingot.run("import", "--input", directory / "tokenizer.json", "--output", again)
        check(f"{kind}: second import changes nothing", all(
            (again / name).read_bytes() == (directory / name).read_bytes() for name in map(str, os.listdir(directory))))
    check("NFC of every character", nfc_of_all(ingot))


def compare_import(name, ingot, directory, theirs, written, inputs):
    for special, options in ((False, ()), (True, ("--special-tokens",)), (True, ("--special-tokens", "--template"))):
        theirs.encode_special_tokens = written.encode_special_tokens = not special
        around = "--template" in options
        expected = [e.ids for e in theirs.encode_batch(inputs, add_special_tokens=around)]
        back = [e.ids for e in written.encode_batch(inputs, add_special_tokens=around)]
        ours = ingot.encode_all(directory, inputs, *options)
        label = f"{name} {' '.join(options)}"
        check(f"{label}: ids", ours == expected, first_difference(inputs, ours, expected))
        check(f"{label}: ids of what is written", back == expected, first_difference(inputs, back, expected))


def nfc_of_all(ingot):
    """A vocabulary of bytes with NFC: its ids are the bytes of the normalized text."""
    alphabet = sorted(byte_alphabet().values())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = hf_pre_tokenizer("qwen2")
    tokenizer.decoder = decoders.ByteLevel()
    path = ingot.folder / "bytes.json"
    tokenizer.save(str(path))
    ingot.run("import", "--input", path, "--output", ingot.folder / "bytes")
    scalars = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    texts = ["\n".join(before + c + after for c in scalars[i:i + 4096])
             for before, after in (("", ""), ("a\u0323", "\u0334"), ("\u1100", "\u0301\u0345"), ("\u09c7", "\u1161"))
             for i in range(0, len(scalars), 4096)]
    return ingot.encode_all(ingot.folder / "bytes", texts) == [e.ids for e in tokenizer.encode_batch(texts)]


def check_traps(gpt2):
    root = pathlib.Path(__file__).parents[2]
    made = subprocess.run([sys.executable, root / "tools" / "generate_tokenizer_traps.py", "--gpt2", gpt2, "--check",
                           root / "tests" / "tokenizer" / "traps.jsonl"], capture_output=True, text=True)
    check("traps", made.returncode == 0, made.stderr)


def check_transformers(directory):
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(directory)
    chat = [{"role": "user", "content": "Hi  {{ you }}"}, {"role": "assistant", "content": " Yes.\n"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    check("transformers: chat template", text == "<|im_start|>user\nHi  {{ you }}<|im_end|>\n<|im_start|>assistant\n"
          " Yes.\n<|im_end|>\n<|im_start|>assistant\n", repr(text))
    end = model_of(directory)["vocab"]["<|endoftext|>"]
    check("transformers: roles", (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token)
          == (end, end, "<|pad|>"))
    ids = tokenizer("He said: \u00e9t\u00e9, 12  apples.\n", add_special_tokens=True)["input_ids"]
    own = Tokenizer.from_file(str(directory / "tokenizer.json")).encode("He said: \u00e9t\u00e9, 12  apples.\n").ids
    check("transformers: ids", ids == own)
    check("transformers: length", len(tokenizer) == len(model_of(directory)["vocab"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ingot", required=True, help="the ingot binary")
    parser.add_argument("--shared", required=True, type=pathlib.Path, help="folder with data/corpora, data/tokenizers")
    arguments = parser.parse_args()
    corpora = arguments.shared / "data" / "corpora"
    if not corpora.is_dir():
        sys.exit(f"{corpora} is not there: give --shared the folder of test data")
    with tempfile.TemporaryDirectory() as folder:
        ingot = Ingot(arguments.ingot, pathlib.Path(folder))
        check_merges(ingot, corpora)
        check_ids(ingot, corpora, arguments.shared / "data" / "tokenizers" / "gpt2")
        check_traps(arguments.shared / "data" / "tokenizers" / "gpt2")
        check_imports(ingot, read_corpora(corpora)[0])
        check_transformers(ingot.folder / "mixed-qwen2")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
