#!/usr/bin/env python3
"""A plain PyTorch training step of a shape that `ingot bench step` runs: bf16 autocast over f32 weights, compiled,
scaled_dot_product_attention, loss in chunks of rows, fused AdamW, clipping. Prints one JSON object.

usage: tools/bench_pytorch_step.py --shape gpt2_124m|qwen2_5_0_5b|qwen2_5_1_5b|tiny [--device cuda|cpu] [--repeat N]
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

# layers, channels, heads, kv heads, head width, feed-forward, vocabulary, micro-batch, micro-batches
SHAPES = {"gpt2_124m": (12, 768, 12, 12, 64, 3072, 50304, 64, 8),
          "qwen2_5_0_5b": (24, 896, 14, 2, 64, 4864, 151936, 16, 32),
          "qwen2_5_1_5b": (28, 1536, 12, 2, 128, 8960, 151936, 16, 32),
          "tiny": (2, 64, 2, 1, 32, 128, 256, 2, 2)}
HEAD_ROWS = 4096  # of a chunk of the loss


class Block(nn.Module):
    def __init__(self, shape, is_gpt2):
        super().__init__()
        _, C, self.H, self.K, self.D, F, *_ = shape
        self.is_gpt2 = is_gpt2
        norm = nn.LayerNorm if is_gpt2 else nn.RMSNorm
        self.norm1, self.norm2 = norm(C), norm(C)
        self.qkv = nn.Linear(C, (self.H + 2 * self.K) * self.D)
        self.out = nn.Linear(self.H * self.D, C, bias=is_gpt2)
        self.up = nn.Linear(C, F if is_gpt2 else 2 * F, bias=is_gpt2)
        self.down = nn.Linear(F, C, bias=is_gpt2)

    def attend(self, x, cos, sin):
        B, T, _ = x.shape
        heads = self.qkv(x).view(B, T, -1, self.D).transpose(1, 2)
        q, k, v = heads.split((self.H, self.K, self.K), dim=1)
        if not self.is_gpt2:
            q, k = (y * cos + torch.cat((-y[..., self.D // 2:], y[..., :self.D // 2]), -1) * sin for y in (q, k))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.H != self.K)
        return self.out(y.transpose(1, 2).reshape(B, T, -1))

    def forward(self, x, cos, sin):
        x = x + self.attend(self.norm1(x), cos, sin)
        up = self.up(self.norm2(x))
        if self.is_gpt2:
            return x + self.down(functional.gelu(up, approximate="tanh"))
        gate, value = up.chunk(2, dim=-1)
        return x + self.down(functional.silu(gate) * value)


class Model(nn.Module):
    def __init__(self, shape, is_gpt2, T):
        super().__init__()
        L, C, _, _, D, _, V, *_ = shape
        self.tokens = nn.Embedding(V, C)
        self.positions = nn.Embedding(T, C) if is_gpt2 else None
        self.blocks = nn.ModuleList(Block(shape, is_gpt2) for _ in range(L))
        self.norm = nn.LayerNorm(C) if is_gpt2 else nn.RMSNorm(C)
        angles = torch.outer(torch.arange(T), 1e6 ** (-torch.arange(0, D, 2) / D)).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def head(self, x, targets):
        return functional.cross_entropy(functional.linear(x, self.tokens.weight).float(), targets, reduction="sum")

    def forward(self, ids, targets):
        x = self.tokens(ids)
        if self.positions is not None:
            x = x + self.positions.weight
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        for block in self.blocks:
            x = block(x, cos, sin)
        x = self.norm(x)
        chunks = zip(x.flatten(0, 1).split(HEAD_ROWS), targets.flatten().split(HEAD_ROWS))
        return sum(checkpoint(self.head, *chunk, use_reentrant=False) for chunk in chunks)


class Step:
    def __init__(self, name, device, T):
        self.shape, self.device = SHAPES[name], device
        torch.manual_seed(1)
        model = Model(self.shape, name == "gpt2_124m", T).to(device)
        self.parameters = list(model.parameters())
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
        self.loss = torch.compile(model)
        self.ids = torch.randint(self.shape[6], (self.shape[7], T + 1), device=device)
        self.tokens = self.shape[7] * self.shape[8] * T

    def run(self):
        for _ in range(self.shape[8]):
            with torch.autocast(self.device, torch.bfloat16):
                loss = self.loss(self.ids[:, :-1], self.ids[:, 1:])
            (loss / self.tokens).backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)

    def seconds(self):
        start = time.perf_counter()
        self.run()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--repeat", type=int, default=10)
    options = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    T = 1024 if options.shape != "tiny" else 32
    step = Step(options.shape, options.device, T)
    for _ in range(2):  # compilation and first-touch stay out
        step.seconds()
    median = statistics.median(step.seconds() for _ in range(options.repeat))
    print(json.dumps({"parameters": sum(parameter.numel() for parameter in step.parameters),
                      "micro_batch": step.shape[7], "sequence_length": T, "tokens_per_step": step.tokens,
                      "median_seconds": median, "tokens_per_second": step.tokens / median,
                      "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
                      "products": f"PyTorch {torch.__version__}"}))


if __name__ == "__main__":
    main()
