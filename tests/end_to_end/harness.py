"""What the end-to-end checks share: running the real `ingot`, tiny inputs, and counting results.

A check script registers functions with @check and calls main(). Each function gets a Bench: the binary, a folder of
its own, and the shared tiny corpus, tokenizer and dataset, made once per script. Standard library only.
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

_CHECKS = []
TINY_CONFIG = """
model { architecture: llama layers: 2 channels: 32 heads: 2 feed_forward: 64 }
data { path: "%s" sequence_length: 32 }
training { steps: 12 micro_batch: 4 seed: 7 }
optimizer { learning_rate: 1e-2 }
schedule { kind: cosine warmup_steps: 2 }
validation { every: 6 tokens: 512 }
checkpoint { every: 4 keep_last: 2 }
"""


class Skipped(Exception):
    """Raised by a check that cannot run here; says why in one line."""


def need_strace():
    if shutil.which("strace") is None:
        raise Skipped("no strace")
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise Skipped(f"strace may not trace here: {probe.stderr.strip()[:80]}")


def check(function):
    _CHECKS.append(function)
    return function


def require(condition, message):
    if not condition:
        raise AssertionError(message)


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def checkpoints(run):
    """Committed checkpoints of a run, oldest first."""
    return sorted(pathlib.Path(run).glob("checkpoints/step-????????"))


def metrics(run):
    lines = (pathlib.Path(run) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


class Bench:
    def __init__(self, ingot, root):
        self.ingot = ingot
        self.root = root
        self.work = root

    def run(self, *arguments, status=0, timeout=300, environment=None, preexec=None):
        """Runs ingot, demands the exit status, returns the finished process with text output."""
        command = [self.ingot, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout,
                              cwd=self.work, env={**os.environ, **(environment or {})}, preexec_fn=preexec)
        require(done.returncode == status, f"`ingot {' '.join(command[1:])}` exited {done.returncode}, not {status}: "
                                           f"{done.stderr.strip()[-600:]}")
        return done

    def refuses(self, *arguments, words=(), preexec=None):
        """A user's mistake: exit 1, one line `ingot: error: ...` that holds each of `words`. Returns the line."""
        done = self.run(*arguments, status=1, preexec=preexec)
        errors = [line for line in done.stderr.splitlines() if line.startswith("ingot: error: ")]
        require(len(errors) == 1, f"one error line expected, found: {done.stderr.strip()[-600:]!r}")
        for word in words:
            require(str(word).lower() in done.stderr.lower(), f"{word!r} is not in {errors[0]!r}")
        return errors[0]

    def json(self, *arguments, **options):
        """Runs ingot with --json; the output must be one JSON value."""
        output = self.run(*arguments, "--json", **options).stdout
        try:
            return json.loads(output)
        except json.JSONDecodeError:
            raise AssertionError(f"`ingot {' '.join(map(str, arguments))} --json` is not JSON: {output[:300]!r}")

    def shared(self, name, make):
        """A path under the script's root, made by make(path) on first use."""
        path = self.root / "shared" / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            make(path)
        return path

    def corpus(self):
        return self.shared("corpus.txt", lambda p: self.run("sample-corpus", "--output", p, "--bytes", 60000, "--seed",
                                                            1))

    def tokenizer(self):
        return self.shared("tokenizer", lambda p: self.run("tokenizer", "train", "--input", self.corpus(),
                                                           "--vocab-size", 512, "--output", p))

    def dataset(self):
        # One document a line makes the split by document meaningful on a tiny corpus.
        lines = self.shared("corpus.jsonl", self._write_jsonl)
        return self.shared("data", lambda p: self.run("data", "build", "--input", lines, "--tokenizer",
                                                      self.tokenizer(), "--output", p, "--validation-fraction", 0.1))

    def _write_jsonl(self, path):
        text = self.corpus().read_text(encoding="utf-8")
        pieces = [text[i:i + 600] for i in range(0, len(text), 600)]
        path.write_text("".join(json.dumps({"text": piece}) + "\n" for piece in pieces), encoding="utf-8")

    def config(self, text=TINY_CONFIG, **names):
        path = self.work / "config.textproto"
        path.write_text(text % str(names.get("data", self.dataset())), encoding="utf-8")
        return path

    def train(self, run, *arguments, **options):
        return self.run("train", "--config", self.config(), "--output", run, *arguments, **options)

    def trained(self):
        """One finished tiny run."""
        return self.shared("run", lambda p: self.train(p))


def _run_one(function, bench):
    start = time.monotonic()
    bench.work = bench.root / function.__name__
    bench.work.mkdir()
    try:
        function(bench)
        verdict, why = "ok", ""
    except Skipped as reason:
        verdict, why = "skipped", f": {reason}"
    except AssertionError as error:
        verdict, why = "FAILED", f": {error}"
    except Exception:  # pylint: disable=broad-except
        verdict, why = "FAILED", ": " + traceback.format_exc()
    print(f"{verdict} {function.__name__} ({time.monotonic() - start:.1f} s){why}", flush=True)
    return verdict


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True, help="the binary under test")
    parser.add_argument("--only", default="", help="run checks whose name holds this")
    parser.add_argument("--keep", action="store_true", help="leave the working folder and print its name")
    options = parser.parse_args()
    root = pathlib.Path(tempfile.mkdtemp(prefix="ingot-check-"))
    bench = Bench(os.path.abspath(options.ingot), root)
    try:
        verdicts = [_run_one(c, bench) for c in _CHECKS if options.only in c.__name__]
    finally:
        if options.keep:
            print(f"kept {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)
    failed = verdicts.count("FAILED")
    print(f"{verdicts.count('ok')} passed, {failed} failed")
    sys.exit(1 if failed else 0)
