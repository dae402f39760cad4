"""Ingot's gradients and first AdamW steps against PyTorch autograd on transformers' own classes, in float64.

For every variant (Llama plain, untied, wide heads; Qwen2; Qwen3; GPT-2 tied and untied), each with one document a
sequence and with document masks and z-loss: the gradient of each parameter, and the losses of 20 AdamW steps.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers

LIMIT = 1e-4


def make_reference(case):
    rope = {"rope_type": "default", "rope_theta": case["rope_theta"]}
    shared = dict(vocab_size=case["V"], tie_word_embeddings=case["tied_embeddings"], attn_implementation="eager",
                  bos_token_id=0, eos_token_id=0)
    if case["architecture"] == "gpt2":
        config = transformers.GPT2Config(
            n_positions=case["T"], n_embd=case["C"], n_layer=case["L"], n_head=case["H"], n_inner=case["F"],
            layer_norm_epsilon=case["norm_eps"], resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, **shared)
        return transformers.GPT2LMHeadModel(config)
    shared.update(
        hidden_size=case["C"], intermediate_size=case["F"], num_hidden_layers=case["L"],
        num_attention_heads=case["H"], num_key_value_heads=case["K"], head_dim=case["D"],
        max_position_embeddings=case["T"], rms_norm_eps=case["norm_eps"], rope_parameters=rope)
    if case["qkv_bias"]:
        return transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**shared))
    if case["qk_norm"]:
        return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**shared))
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**shared))


def views(case, flat):
    """Name -> array as the Hugging Face class holds it."""
    result = {}
    for spec in case["parameters"]:
        count = int(np.prod(spec["shape"]))
        value = flat[spec["offset"]:spec["offset"] + count].reshape(spec["shape"])
        result[spec["name"]] = value.T if spec["transposed"] else value
    return result


class Reference:
    def __init__(self, folder):
        self.case = json.loads((folder / "case.json").read_text())
        self.folder = folder
        torch.set_default_dtype(torch.float64)
        self.model = make_reference(self.case).double()
        self.weights = dict(self.model.named_parameters())
        ours = views(self.case, np.fromfile(folder / "parameters.f32", np.float32))
        assert set(ours) == set(self.weights), set(ours) ^ set(self.weights)
        with torch.no_grad():
            for name, value in ours.items():
                self.weights[name].copy_(torch.from_numpy(value.astype(np.float64)))
        self.batches = {name: self.ids(name) for name in ("tokens", "targets", "positions", "starts")}

    def ids(self, name):
        return torch.from_numpy(np.fromfile(self.folder / f"{name}.i32", np.int32).astype(np.int64)).reshape(
            self.case["batch"])

    def objective(self, step):
        """(mean loss, what is differentiated)"""
        tokens, targets, positions, starts = (self.batches[n][step] for n in
                                              ("tokens", "targets", "positions", "starts"))
        t = torch.arange(tokens.shape[1])
        seen = (t[None, None, :] <= t[None, :, None]) & (t[None, None, :] >= starts[:, :, None])
        mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float64).min)[:, None]
        logits = self.model(input_ids=tokens, position_ids=positions, attention_mask=mask, use_cache=False).logits
        lse = torch.logsumexp(logits, -1)
        counts = targets >= 0
        losses = lse - logits.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
        mean = losses[counts].mean()
        return mean, mean + self.case["z_loss"] * (lse[counts] ** 2).mean()

    def gradients(self):
        self.model.zero_grad()
        self.objective(0)[1].backward()
        return {name: weight.grad.numpy() for name, weight in self.weights.items()}

    def losses(self):
        decays = {spec["name"]: spec["decays"] for spec in self.case["parameters"]}
        groups = [{"params": [w for n, w in self.weights.items() if decays[n] == kind],
                   "weight_decay": self.case["weight_decay"] if kind else 0.0} for kind in (True, False)]
        optimizer = torch.optim.AdamW(groups, lr=self.case["learning_rate"], betas=tuple(self.case["betas"]),
                                      eps=self.case["eps"])
        result = []
        for step in range(self.case["batch"][0]):
            optimizer.zero_grad()
            mean, objective = self.objective(step)
            objective.backward()
            torch.nn.utils.clip_grad_norm_(list(self.weights.values()), self.case["clip"])
            optimizer.step()
            result.append(mean.item())
        return result


def worst_gradient(reference):
    """(largest relative error, its parameter): by norm and by element against the tensor's largest."""
    ours = views(reference.case, np.fromfile(reference.folder / "gradients.f32", np.float32))
    worst = (0.0, "")
    for name, theirs in reference.gradients().items():
        difference = ours[name] - theirs
        by_norm = np.linalg.norm(difference) / np.linalg.norm(theirs)
        by_element = np.abs(difference).max() / np.abs(theirs).max()
        worst = max(worst, (by_norm, name), (by_element, name))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ingot", help="the ingot binary, beside which ingot_dump_gradients lies")
    parser.add_argument("--ingot-dump", help="ingot_dump_gradients itself")
    arguments = parser.parse_args()
    if not (arguments.ingot or arguments.ingot_dump):
        parser.error("--ingot or --ingot-dump is needed")
    dump = arguments.ingot_dump or pathlib.Path(arguments.ingot).parent / "ingot_dump_gradients"
    passed = failed = 0

    def check(name, error, where):
        nonlocal passed, failed
        if error <= LIMIT:
            passed += 1
            print(f"ok {name}: {error:.1e}")
        else:
            failed += 1
            print(f"FAILED {name}: {error:.1e} at {where}, at most {LIMIT} expected")

    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([dump, directory], check=True)
        for folder in sorted(pathlib.Path(directory).iterdir()):
            reference = Reference(folder)
            check(f"{folder.name} gradients", *worst_gradient(reference))
            errors = [abs(a - b) / abs(b) for a, b in zip(reference.case["losses"], reference.losses(), strict=True)]
            check(f"{folder.name} losses of {len(errors)} steps", max(errors), f"step {np.argmax(errors) + 1}")
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
