#!/usr/bin/env python3
"""Text to a checkpoint that generates: every stage on a tiny corpus, and what must not change its result."""
import gzip
import json

from harness import check, checkpoints, main, metrics, require, sha256

TRAINING_KEYS = {"step", "tokens", "loss", "lr", "grad_norm", "tokens_per_second", "mfu"}
VALIDATION_KEYS = {"step", "val_loss", "val_bits_per_byte"}


@check
def sample_corpus_is_deterministic(bench):
    for name, seed in (("a.txt", 5), ("b.txt", 5), ("c.txt", 6)):
        bench.run("sample-corpus", "--output", bench.work / name, "--bytes", 20000, "--seed", seed)
    a, b, c = ((bench.work / name).read_bytes() for name in ("a.txt", "b.txt", "c.txt"))
    require(a == b and a != c, "the seed does not decide the corpus")
    require(19000 <= len(a) <= 22000, f"{len(a)} bytes for 20000 asked")


@check
def tokenizer_round_trip(bench):
    text = "Ünïcode, 42 tabs\tand <|endoftext|> as plain text\n"
    (bench.work / "in.txt").write_text(text, encoding="utf-8")
    ids = bench.run("tokenizer", "encode", "--tokenizer", bench.tokenizer(), "--input", bench.work / "in.txt").stdout
    require(all(word.isdigit() for word in ids.split()), f"ids expected: {ids[:100]!r}")
    (bench.work / "ids").write_text(ids, encoding="utf-8")
    back = bench.run("tokenizer", "decode", "--tokenizer", bench.tokenizer(), "--input", bench.work / "ids").stdout
    require(back.rstrip("\n") == text.rstrip("\n"), f"{back!r} is not {text!r}")
    json.loads((bench.tokenizer() / "tokenizer.json").read_text(encoding="utf-8"))


@check
def compressed_input_gives_the_same_shards(bench):
    lines = (bench.dataset().parent / "corpus.jsonl").read_bytes()
    (bench.work / "corpus.jsonl.gz").write_bytes(gzip.compress(lines))
    bench.run("data", "build", "--input", bench.work / "corpus.jsonl.gz", "--tokenizer", bench.tokenizer(), "--output",
              bench.work / "data", "--validation-fraction", 0.1)
    bench.run("data", "verify", bench.work / "data")
    first, second = (bench.json("data", "inspect", path) for path in (bench.dataset(), bench.work / "data"))
    for key in ("fingerprint", "training", "validation"):
        require(first[key] == second[key], f"{key}: {first[key]} differs from {second[key]}")


@check
def training_learns_and_records(bench):
    run = bench.trained()
    records = metrics(run)
    training = [r for r in records if "loss" in r]
    validation = [r for r in records if "val_loss" in r]
    require(all(TRAINING_KEYS <= set(r) for r in training), f"keys: {sorted(training[0])}")
    require(all(VALIDATION_KEYS <= set(r) for r in validation), f"keys: {sorted(validation[0])}")
    require([r["step"] for r in training][-1] == 12, "the last line is not of the last step")
    require(validation[-1]["val_loss"] < training[0]["loss"] - 0.3, "the loss did not fall")
    require(list(run.glob("**/events.out.tfevents.*")), "no TensorBoard events")
    newest = checkpoints(run)[-1]
    require(newest.name == "step-00000012", f"newest checkpoint is {newest.name}")
    for name in ("config.json", "model.safetensors", "tokenizer.json", "training_state"):
        require((newest / name).exists(), f"{newest.name} has no {name}")


@check
def evaluation_agrees_with_training(bench):
    run = bench.trained()
    figures = bench.json("eval", "--checkpoint", checkpoints(run)[-1], "--data", bench.dataset())
    last = [r for r in metrics(run) if "val_loss" in r][-1]
    require(abs(figures["loss"] - last["val_loss"]) < 0.3, f"{figures} against {last}")


@check
def generation_is_deterministic_per_seed(bench):
    ask = ["generate", "--checkpoint", checkpoints(bench.trained())[-1], "--prompt", "The", "--max-tokens", 20,
           "--temperature", 1, "--top-k", 50, "--top-p", 0.95]
    first, second = (bench.run(*ask, "--seed", 3).stdout for _ in range(2))
    require(first == second and first.strip(), "the same seed gave another text")
    require(first != bench.run(*ask, "--seed", 4).stdout, "another seed gave the same text")
    bench.run("generate", "--checkpoint", ask[2], "--prompt", "", "--max-tokens", 3)


@check
def export_writes_a_model_directory(bench):
    for dtype in ("f32", "bf16", "f16"):
        bench.run("export", "--checkpoint", checkpoints(bench.trained())[-1], "--format", "hf", "--dtype", dtype,
                  "--output", bench.work / dtype)
        require((bench.work / dtype / "model.safetensors").is_file(), f"no weights in the {dtype} export")


@check
def threads_do_not_change_the_weights(bench):
    runs = []
    for threads in ("1", "2", "3"):
        runs.append(bench.work / f"threads-{threads}")
        bench.train(runs[-1], environment={"OMP_NUM_THREADS": threads, "OMP_DYNAMIC": "false"})
    sums = {sha256(checkpoints(run)[-1] / "model.safetensors") for run in runs}
    require(len(sums) == 1, "1, 2 and 3 threads give different weights")


@check
def a_longer_run_goes_on(bench):
    run = bench.work / "run"
    bench.train(run, "--set", "schedule.kind=constant", "--set", "training.steps=6")
    bench.train(run, "--set", "schedule.kind=constant", "--set", "training.steps=12")
    whole = bench.work / "whole"
    bench.train(whole, "--set", "schedule.kind=constant", "--set", "training.steps=12")
    require(sha256(checkpoints(run)[-1] / "model.safetensors") == sha256(checkpoints(whole)[-1] / "model.safetensors"),
            "6 + 6 steps differ from 12")


@check
def gpt2_trains_too(bench):
    run = bench.work / "run"
    bench.train(run, "--set", "model.architecture=gpt2")
    config = json.loads((checkpoints(run)[-1] / "config.json").read_text(encoding="utf-8"))
    require(config["model_type"] == "gpt2", config)


if __name__ == "__main__":
    main()
