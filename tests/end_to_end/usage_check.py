#!/usr/bin/env python3
"""The command line as such: help everywhere, exit statuses, --json."""
from harness import check, main, require

COMMANDS = ["info", "sample-corpus", "tokenizer", "tokenizer train", "tokenizer import", "tokenizer encode",
            "tokenizer decode", "data", "data build", "data inspect", "data verify", "train", "launch", "eval", "generate",
            "export", "bench", "bench kernels", "bench step", "bench ranks"]


@check
def every_command_has_help(bench):
    require("Usage" in bench.run("--help").stdout, "no usage in `ingot --help`")
    for command in COMMANDS:
        text = bench.run(*command.split(), "--help").stdout
        require("Usage" in text and "--help" in text, f"`ingot {command} --help` says: {text[:200]!r}")


@check
def version(bench):
    require(bench.run("--version").stdout.startswith("ingot "), "no version")


@check
def wrong_usage_exits_2(bench):
    wrong = [[], ["no-such-command"], ["info", "--no-such-option"], ["tokenizer"], ["tokenizer", "train"],
             ["sample-corpus", "--bytes", "many", "--output", "x"], ["train"], ["eval", "--data", "x"],
             ["tokenizer", "train", "--input", "x", "--vocab-size", "300", "--pattern", "none", "--output", "y"]]
    for arguments in wrong:
        done = bench.run(*arguments, status=2)
        require(done.stderr.startswith("ingot: error: "), f"{arguments}: {done.stderr[:200]!r}")
        require(not done.stdout, f"{arguments}: standard output is not empty")


@check
def an_unknown_command_is_named(bench):
    require("no-such-command" in bench.run("no-such-command", status=2).stderr, "the unknown command is not named")


@check
def info_names_the_blas(bench):
    require("blas" in bench.run("info").stdout.lower(), "`ingot info` does not name the BLAS")
    bench.json("info")


@check
def figures_as_json(bench):
    bench.json("data", "inspect", bench.dataset())
    checkpoint = bench.trained() / "checkpoints" / "step-00000012"
    figures = bench.json("eval", "--checkpoint", checkpoint, "--data", bench.dataset())
    require({"loss", "perplexity", "bits_per_byte"} <= set(figures), f"eval --json has {sorted(figures)}")


if __name__ == "__main__":
    main()
