#!/usr/bin/env python3
"""Ingot's CPU training step beside a plain PyTorch one of the same shape, in fp32, with the same number of threads.

usage: .venv/bin/python tools/bench_against_pytorch.py [--ingot BINARY] [--rounds N] [--llmc BINARY] [--shapes A,B]

Each round runs every contestant once, one after the other, so that a machine that slows down slows all of them down;
medians over the rounds are printed as a markdown table. PyTorch is a plain GPT-2: scaled_dot_product_attention, fused
cross-entropy, AdamW(fused=True), eager and, where it works, torch.compile. --llmc takes a train_gpt2 program of llm.c
that you built; it is run in its own folder and only its B=4, T=64 step lines are read, so the table names its shape.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from torch import nn
from torch.nn import functional

SHAPES = {  # name: (layers, channels, heads, vocabulary, B, T)
    "124M B=4 T=256": (12, 768, 12, 50304, 4, 256),
    "124M B=1 T=1024": (12, 768, 12, 50304, 1, 1024),
    "10M B=8 T=256": (6, 320, 5, 4096, 8, 256),
}


class Block(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.up, self.down = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (y.view(B, T, self.heads, -1).transpose(1, 2) for y in self.qkv(self.norm1(x)).split(C, dim=2))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, C))
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, layers, channels, heads, vocabulary, context):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, channels), nn.Embedding(context, channels)
        self.blocks = nn.ModuleList(Block(channels, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions.weight[:ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = functional.linear(self.norm(x), self.tokens.weight)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


class TorchStep:
    """One contestant: a model with its optimizer, stepped on random tokens."""

    def __init__(self, shape, compiled):
        layers, channels, heads, vocabulary, B, T = shape
        torch.manual_seed(1)
        self.model = Gpt2(layers, channels, heads, vocabulary, T)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
        self.loss = torch.compile(self.model) if compiled else self.model
        self.ids = torch.randint(vocabulary, (B, T + 1))
        self.step()  # compilation and first-touch stay out of the measurement

    def step(self):
        loss = self.loss(self.ids[:, :-1], self.ids[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def seconds(self, repeat):
        times = []
        for _ in range(repeat):
            start = time.perf_counter()
            self.step()
            times.append(time.perf_counter() - start)
        return statistics.median(times)


def ingot_config(shape, folder):
    layers, channels, heads, vocabulary, _, T = shape
    path = os.path.join(folder, f"{layers}-{channels}-{T}.textproto")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"model {{ architecture: gpt2 layers: {layers} channels: {channels} heads: {heads} "
                   f"feed_forward: {4 * channels} vocabulary: {vocabulary} }}\n"
                   f'data {{ path: "unused" sequence_length: {T} }}\n')
    return path


def ingot_step(binary, shape, config, repeat, threads):
    """The figures of one `ingot bench step`, with tokens per second under `tokens_per_second`."""
    command = [binary, "bench", "step", "--config", config, "--micro-batch", str(shape[4]), "--sequence-length",
               str(shape[5]), "--repeat", str(repeat), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def llmc_tokens_per_second(binary, threads, steps=8):
    """llm.c prints `step N: train loss L (took X ms)` for its fixed B=4, T=64; it is stopped after some steps."""
    process = subprocess.Popen([os.path.abspath(binary)], cwd=os.path.dirname(os.path.abspath(binary)), text=True,
                               stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    times = []
    for line in process.stdout:
        found = re.match(r"step \d+: train loss [\d.]+ \(took ([\d.]+) ms", line)
        if found:
            times.append(float(found.group(1)) / 1e3)
        if len(times) > steps:
            break
    process.kill()
    process.wait()
    return 4 * 64 / statistics.median(times[1:])


def contestants(shape, options, folder):
    """{name: function that measures once and returns tokens per second}, and the dict of Ingot's own last figures."""
    tokens, figures = shape[4] * shape[5], {}
    config = ingot_config(shape, folder)

    def ingot():
        figures.update(ingot_step(options.ingot, shape, config, options.repeat, options.threads))
        return figures["tokens_per_second"]

    runs = {"ingot": ingot}
    for name, compiled in (("PyTorch eager", False), ("PyTorch compiled", True)):
        try:
            step = TorchStep(shape, compiled)
        except Exception as error:  # torch.compile needs a compiler and may refuse a machine
            print(f"{name}: does not run here: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        runs[name] = lambda step=step: tokens / step.seconds(options.repeat)
    if options.llmc and shape[1] == 768 and shape[4] == 4:
        runs["llm.c (T=64)"] = lambda: llmc_tokens_per_second(options.llmc, options.threads)
    return runs, figures


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingot", default="build/release/ingot")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=3, help="steps a round")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--llmc", help="train_gpt2 of llm.c")
    parser.add_argument("--shapes", default=",".join(SHAPES), help="comma-separated names")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{processor()}, {options.threads} threads, fp32, PyTorch {torch.__version__}; medians of "
          f"{options.rounds} interleaved rounds of {options.repeat} steps\n")
    print("| shape | program | tokens/s | spread | Ingot is |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.shapes.split(","):
            runs, figures = contestants(SHAPES[name], options, folder)
            speeds = {run: [] for run in runs}
            for _ in range(options.rounds):
                for run, measure in runs.items():
                    speeds[run].append(measure())
            own = statistics.median(speeds["ingot"])
            for run, values in speeds.items():
                median = statistics.median(values)
                print(f"| {name} | {run} | {median:.0f} | {min(values):.0f}-{max(values):.0f} | {own / median:.2f}× |")
            print(f"\n{name}: last `ingot bench step --json`: {json.dumps(figures)}\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
