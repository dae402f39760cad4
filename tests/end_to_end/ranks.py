"""What the checks of several ranks share: a small run whose gradients take several blocks, so that the ranks' shards are
unlike, with eight micro-batches in eight lanes."""
import pathlib
import socket
import subprocess
import time

from harness import checkpoints, metrics, require, sha256

RANKS_CONFIG = """
model { architecture: llama layers: 2 channels: 64 heads: 2 feed_forward: 160 }
data { path: "%s" sequence_length: 16 }
training { steps: 30 micro_batch: 2 tokens_per_step: 256 seed: 7 }
optimizer { learning_rate: 1e-2 }
schedule { kind: cosine warmup_steps: 2 }
validation { every: 15 tokens: 128 }
checkpoint { every: 10 keep_last: 4 }
parallel { compare_every: 7 }
"""


def command(bench, run, *settings, ranks=1, steps=30, device="cpu", more=()):
    config = bench.config(RANKS_CONFIG)
    train = ["train", "--config", config, "--output", run, "--device", device, "--set", f"training.steps={steps}",
             *more]
    for setting in settings:
        train += ["--set", setting]
    return [str(a) for a in (train if ranks == 1 else ["launch", "--nproc", ranks, "--", *train])]


def train(bench, run, *settings, status=0, **options):
    return bench.run(*command(bench, run, *settings, **options), status=status)


def state(run):
    """What must be equal: weights and moments of the newest checkpoint, and the metrics without their times."""
    newest = checkpoints(run)[-1]
    files = sorted(newest.glob("**/*.safetensors"))
    figures = [{k: r.get(k) for k in ("step", "loss", "grad_norm", "lr", "val_loss", "val_bits_per_byte")}
               for r in metrics(run)]
    return newest.name, {str(file.relative_to(newest)): sha256(file) for file in files}, figures


def whole(bench):
    """The undisturbed run of one rank."""
    return bench.shared("whole", lambda path: train(bench, path))


def start(bench, run, *settings, **options):
    return subprocess.Popen([bench.ingot, *command(bench, run, *settings, **options)], cwd=bench.work, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ranks_of(launcher):
    """Process ids by rank, once all of them have been started anew by themselves."""
    found = {}
    for path in pathlib.Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split():
        try:
            words = pathlib.Path(f"/proc/{path}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for word in words:
            if word.startswith(b"INGOT_RANK="):
                found[int(word.split(b"=")[1])] = int(path)
    return found


def steps_done(run):
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b'"loss"') if path.exists() else 0


def wait_for_steps(process, run, steps):
    deadline = time.monotonic() + 60
    while steps_done(run) < steps and process.poll() is None:
        require(time.monotonic() < deadline, "the run makes no steps")
        time.sleep(0.002)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
