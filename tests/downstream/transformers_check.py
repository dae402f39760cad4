#!/usr/bin/env python3
"""Opens what Ingot writes with Hugging Face `transformers` and `safetensors`, as a user would, offline.

    transformers_check.py --ingot build/release/ingot [--tools DIRECTORY]

Every variant of the architectures, with random weights (ingot_write_model, beside the ingot binary unless --tools says
otherwise) and trained by the command line: keys, warnings, logits, losses, ids, bytes of the file. Then what must be
refused. Ends with `N passed, N failed`.
"""
import argparse
import contextlib
import json
import logging
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import warnings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import numpy  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

T = 24  # of ingot_write_model
TOLERANCE = 1e-4
TEXTS = ["Once upon a time, there was a little fox.", "  two  blanks\n\n\tand a tab", "naïve café 中文 😀 Ωμέγα",
         "12345 67,890.12", "it's <|endoftext|> they'll", "", " ", "\x00\x7f\u200b"]

passed = failed = 0


def check(name, ok, detail=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(f"ok {name}" if ok else f"FAILED {name}: {detail}", flush=True)


@contextlib.contextmanager
def said():
    """Collects everything that transformers logs and Python warns of."""
    lines = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield lines
        lines.extend(str(w.message) for w in caught)
    finally:
        logger.removeHandler(handler)


def load(name, directory, dtype=torch.float32, attention="eager"):
    """Opens the directory; missing, unexpected and mismatched keys and every warning fail."""
    with said() as lines:
        model, info = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype, output_loading_info=True,
                                                           attn_implementation=attention)
    bad = {key: value for key, value in info.items() if value}
    check(f"{name}: keys", not bad, bad)
    check(f"{name}: silence", not lines, lines)
    return model.eval()


def difference(ours, theirs):
    return float(numpy.abs(ours - theirs).max() / numpy.abs(theirs).max())


def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor(tokens[None], dtype=torch.long)).logits[0].float().numpy()


def check_bytes(name, path, folder):
    """The reference writer, given the tensors of the file, makes the same bytes."""
    again = folder / "again.safetensors"
    save_file(load_file(path), again, {"format": "pt"})
    check(f"{name}: bytes of safetensors", path.read_bytes() == again.read_bytes())


def check_model(directory, folder):
    name = directory.name
    tokens = numpy.fromfile(f"{directory}.tokens.i32", dtype=numpy.int32).reshape(-1, T)
    losses = numpy.fromfile(f"{directory}.losses.f32", dtype=numpy.float32).reshape(-1, T)
    logits = numpy.fromfile(f"{directory}.logits.f32", dtype=numpy.float32).reshape(T, -1)
    for attention in ("eager", "sdpa"):
        model = load(f"{name} {attention}", directory, attention=attention)
        relative = difference(logits, logits_of(model, tokens[0]))
        check(f"{name}: logits by {attention}", relative <= TOLERANCE, relative)
    batch = torch.tensor(tokens, dtype=torch.long)
    with torch.no_grad():
        theirs = model(batch, labels=batch).loss.item()
    ours = float(losses[:, :-1].mean(dtype=numpy.float64))
    check(f"{name}: loss", abs(ours - theirs) <= TOLERANCE * theirs, f"{ours} here, {theirs} there")
    if name.endswith("bf16"):
        half = difference(logits, logits_of(load(f"{name} as stored", directory, dtype="auto"), tokens[0]))
        check(f"{name}: logits computed in bf16", half <= 5e-2, half)
    check_bytes(name, directory / "model.safetensors", folder)


def random_models(tool, folder):
    models = folder / "models"
    models.mkdir()
    subprocess.run([tool, models], check=True)
    directories = sorted(path for path in models.iterdir() if path.is_dir())
    check("every variant was written", len(directories) == 20, [path.name for path in directories])
    for directory in directories:
        check_model(directory, folder)
    return models


class Trained:
    """A tokenizer, a dataset and a run, all by the command line."""

    def __init__(self, ingot, folder):
        self.ingot, self.folder = ingot, folder
        self.run("sample-corpus", "--output", folder / "corpus.txt", "--bytes", 300_000, "--seed", 1)
        self.run("sample-corpus", "--output", folder / "held_out.txt", "--bytes", 20_000, "--seed", 2)
        self.run("tokenizer", "train", "--input", folder / "corpus.txt", "--vocab-size", 512, "--output",
                 folder / "tokenizer")
        self.run("data", "build", "--input", folder / "corpus.txt", "--tokenizer", folder / "tokenizer", "--output",
                 folder / "data")
        (folder / "run.textproto").write_text(
            'model { layers: 2 channels: 64 heads: 4 feed_forward: 128 }\n'
            'data { sequence_length: 64 }\ntraining { steps: 20 micro_batch: 8 }\n'
            'schedule { warmup_steps: 5 }\nvalidation { every: 0 tokens: 1024 }\ncheckpoint { every: 10 }\n')

    def run(self, *arguments, expect=0):
        result = subprocess.run([self.ingot, *map(str, arguments)], capture_output=True, text=True)
        if result.returncode != expect:
            raise RuntimeError(f"ingot {' '.join(map(str, arguments))}: exit {result.returncode}: {result.stderr}")
        return result.stdout if expect == 0 else result.stderr

    def train(self, name, *settings):
        arguments = [item for setting in settings for item in ("--set", setting)]
        self.run("train", "--config", self.folder / "run.textproto", "--output", self.folder / name, "--set",
                 f"data.path={self.folder / 'data'}", *arguments)
        return sorted((self.folder / name / "checkpoints").iterdir())[-1]


def held_out_loss(model, ids):
    """Mean loss over windows of T + 1 tokens that share one token, as `ingot eval` cuts them."""
    context = model.config.max_position_embeddings if hasattr(model.config, "max_position_embeddings") else 64
    total, count = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(ids) - 1, context):
            window = torch.tensor([ids[start:start + context + 1]])
            loss = model(window[:, :-1]).logits.log_softmax(-1).gather(-1, window[:, 1:, None])
            total, count = total - loss.sum(dtype=torch.float64).item(), count + loss.numel()
    return total / count


def check_trained(trained, name, *settings):
    checkpoint = trained.train(name, *settings)
    model = load(name, checkpoint)
    with said() as lines:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    check(f"{name}: silence of the tokenizer", not lines, lines)
    held_out = trained.folder / "held_out.txt"
    for text in TEXTS + [held_out.read_text()]:
        source = trained.folder / "text.jsonl"
        source.write_text(json.dumps({"text": text}) + "\n")
        if not text:
            continue
        ours = list(map(int, trained.run("tokenizer", "encode", "--tokenizer", checkpoint, "--input", source).split()))
        theirs = tokenizer(text, split_special_tokens=True)["input_ids"]
        check(f"{name}: ids of {text[:20]!r}", ours == theirs, f"{ours[:20]} here, {theirs[:20]} there")
        check(f"{name}: text of ids", tokenizer.decode(theirs) == text, text[:20])
    figures = json.loads(trained.run("eval", "--checkpoint", checkpoint, "--data", held_out, "--json"))
    ids = tokenizer(held_out.read_text(), split_special_tokens=True)["input_ids"] + [tokenizer.eos_token_id]
    theirs = held_out_loss(model, ids)
    check(f"{name}: loss on a held-out text", abs(figures["loss"] - theirs) <= TOLERANCE * theirs,
          f"{figures['loss']} here, {theirs} there")
    for field in ("bos_token_id", "eos_token_id", "pad_token_id"):
        check(f"{name}: {field}", getattr(model.config, field) == getattr(tokenizer, field))
    for file in sorted(checkpoint.glob("model*.safetensors")):
        check_bytes(f"{name}: {file.name}", file, trained.folder)
    return checkpoint


def check_shards(trained, checkpoint):
    """The same run cut into many files: the same tensors, logits and export, and an index as transformers writes it."""
    shards = check_trained(trained, "trained llama in shards", "checkpoint.shard_bytes=40000")
    files = sorted(shards.glob("model-*.safetensors"))
    check("shards: several files", len(files) > 3 and not (shards / "model.safetensors").exists(), files)
    whole, theirs = load_file(checkpoint / "model.safetensors"), {}
    for file in files:
        theirs.update(load_file(file))
    check("shards: the same tensors", theirs.keys() == whole.keys() and
          all(torch.equal(theirs[k], whole[k]) for k in whole))
    model = load("shards", shards)
    tokens = numpy.arange(64, dtype=numpy.int32)
    check("shards: the same logits",
          numpy.array_equal(logits_of(model, tokens), logits_of(load("one file", checkpoint), tokens)))
    again = trained.folder / "saved-by-transformers"
    model.save_pretrained(again, max_shard_size=40000)
    ours, written = (json.loads((path / "model.safetensors.index.json").read_text()) for path in (shards, again))
    check("shards: total_size", ours["metadata"]["total_size"] == written["metadata"]["total_size"],
          f"{ours['metadata']}, {written['metadata']}")
    check("shards: weight_map", ours["weight_map"].keys() == written["weight_map"].keys())
    output = trained.folder / "export-shards"
    trained.run("export", "--checkpoint", shards, "--format", "hf", "--dtype", "f32", "--output", output)
    check("shards: the same export", (output / "model.safetensors").read_bytes() ==
          (checkpoint / "model.safetensors").read_bytes())


def check_exports(trained, checkpoint):
    for dtype in ("f32", "bf16", "f16"):
        output = trained.folder / f"export-{dtype}"
        trained.run("export", "--checkpoint", checkpoint, "--format", "hf", "--dtype", dtype, "--output", output)
        load(f"export as {dtype}", output)
        with said() as lines:
            AutoTokenizer.from_pretrained(output)
        check(f"export as {dtype}: silence of the tokenizer", not lines, lines)
        check(f"export as {dtype}: no training state", not (output / "training_state").exists())
        check_bytes(f"export as {dtype}", output / "model.safetensors", trained.folder)
        theirs = load_file(checkpoint / "model.safetensors")
        ours = load_file(output / "model.safetensors")
        kind = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[dtype]
        check(f"export as {dtype}: rounded once", all(torch.equal(ours[k], theirs[k].to(kind)) for k in theirs))
    message = trained.run("export", "--checkpoint", checkpoint, "--output", output, expect=1)
    check("export over something", "new or empty directory" in message, message)
    message = trained.run("export", "--checkpoint", checkpoint, "--format", "gguf", "--output",
                          trained.folder / "x.gguf", expect=1)
    check("export to what this build does not write", "hf only" in message, message)
    check("a refused export leaves nothing", not list(trained.folder.glob("x.gguf*")))


def check_masters(trained, checkpoint):
    """A checkpoint of bf16 weights keeps the f32 ones, and the export takes them."""
    output = trained.folder / "export-masters"
    trained.run("export", "--checkpoint", checkpoint, "--dtype", "f32", "--output", output)
    stored, exported = load_file(checkpoint / "model.safetensors"), load_file(output / "model.safetensors")
    check("masters round to the weights", all(torch.equal(exported[k].to(torch.bfloat16), stored[k]) for k in stored))
    check("masters are finer", any(not torch.equal(exported[k], stored[k].float()) for k in stored))


def check_foreign(ingot, folder):
    """Models that transformers itself made and cut into shards: read and written again without a changed bit."""
    sizes = dict(vocab_size=96, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, max_position_embeddings=32)
    configs = {"llama": transformers.LlamaConfig(**sizes), "qwen2": transformers.Qwen2Config(**sizes),
               "qwen3": transformers.Qwen3Config(**sizes, tie_word_embeddings=True),
               "gpt2": transformers.GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=32)}
    for name, config in configs.items():
        for dtype, kind in (("f32", torch.float32), ("bf16", torch.bfloat16)):
            torch.manual_seed(1)
            source, target = folder / f"foreign-{name}-{dtype}", folder / f"again-{name}-{dtype}"
            model = AutoModelForCausalLM.from_config(config).to(kind)
            model.save_pretrained(source, max_shard_size="20KB")
            check(f"foreign {name} {dtype}: is in shards", (source / "model.safetensors.index.json").exists())
            result = subprocess.run([ingot, "export", "--checkpoint", source, "--dtype", dtype, "--output", target],
                                    capture_output=True, text=True)
            check(f"foreign {name} {dtype}: read", result.returncode == 0, result.stderr)
            if result.returncode == 0:
                ours = load(f"foreign {name} {dtype}", target, dtype=kind).state_dict()
                same = all(torch.equal(ours[key], value) for key, value in model.state_dict().items())
                check(f"foreign {name} {dtype}: same weights", same)


def copy_of(source, target, **changes):
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text())
    config.update(changes)
    (target / "config.json").write_text(json.dumps(config))
    return target


def check_the_checks(models, folder):
    """Wrong directories: what passes above must fail here, or the checks would see nothing."""
    source = models / "llama-untied-f32"
    tokens = numpy.fromfile(f"{source}.tokens.i32", dtype=numpy.int32).reshape(-1, T)[0]
    logits = numpy.fromfile(f"{source}.logits.f32", dtype=numpy.float32).reshape(T, -1)
    rope = {"rope_type": "default", "rope_theta": 500.0}
    other = AutoModelForCausalLM.from_pretrained(copy_of(source, folder / "theta", rope_theta=500.0, rope_parameters=rope))
    check("another rope base shows", difference(logits, logits_of(other.eval(), tokens)) > 100 * TOLERANCE)
    bare = copy_of(source, folder / "bare")
    tensors = load_file(bare / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, bare / "model.safetensors", {"format": "pt"})
    with said():
        _, info = AutoModelForCausalLM.from_pretrained(bare, output_loading_info=True)
    check("a missing head shows", set(info["missing_keys"]) == {"lm_head.weight"}, info)


def check_bad_files(ingot, models, folder):
    """Damaged files: refused by the reference reader and, by name, by us."""
    source = models / "llama-tied-f32"
    good = (source / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", good[:8])[0]
    header = json.loads(good[8:8 + length])
    name = next(key for key in header if key != "__metadata__")

    def with_header(change):
        changed = json.loads(json.dumps(header))
        change(changed)
        text = json.dumps(changed, separators=(",", ":")).encode()
        return struct.pack("<Q", len(text)) + text + good[8 + length:]

    def shift(changed):
        changed[name]["data_offsets"] = [offset + 4 for offset in changed[name]["data_offsets"]]

    def widen(changed):
        changed[name]["shape"][0] += 1

    bad = {"cut by a byte": good[:-1], "a byte more": good + b"\0", "header of 2^60": struct.pack("<Q", 1 << 60) + good[8:],
           "a hole": with_header(shift), "a wrong shape": with_header(widen), "empty": b"", "only a length": good[:8]}
    for case, contents in bad.items():
        directory = folder / "bad"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(source, directory)
        (directory / "model.safetensors").write_bytes(contents)
        try:
            safe_open(directory / "model.safetensors", "pt")
            check(f"{case}: refused by safetensors", False)
        except Exception:  # its error class has changed its name between versions
            check(f"{case}: refused by safetensors", True)
        result = subprocess.run([ingot, "export", "--checkpoint", directory, "--output", folder / "out"],
                                capture_output=True, text=True)
        refused = result.returncode == 1 and "model.safetensors" in result.stderr and result.stderr.count("\n") == 1
        check(f"{case}: refused by name", refused, f"exit {result.returncode}: {result.stderr}")
        check(f"{case}: nothing written", not list(folder.glob("out*")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingot", type=pathlib.Path, required=True)
    parser.add_argument("--tools", type=pathlib.Path)
    options = parser.parse_args()
    ingot = options.ingot.resolve()
    transformers.logging.disable_default_handler()  # said() hears it all
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        models = random_models((options.tools or ingot.parent).resolve() / "ingot_write_model", folder)
        check_the_checks(models, folder)
        check_bad_files(ingot, models, folder)
        check_foreign(ingot, folder)
        trained = Trained(ingot, folder)
        checkpoint = check_trained(trained, "trained llama")
        half = check_trained(trained, "trained gpt2 as bf16", "model.architecture=gpt2", "checkpoint.weights_dtype=bf16")
        check_shards(trained, checkpoint)
        check_exports(trained, checkpoint)
        check_masters(trained, half)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
