"""Speed of training beside a plain PyTorch script: both in processes of their own, in turn, on the same text."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isinglass.core.errors import DataError, IsinglassError

PEER = Path(__file__).parents[3] / "benchmarks" / "peer_train.py"
GOAL = 1.88  # nats: the published validation loss of the character-level recipe on a CPU (karpathy/nanoGPT, README)
_MODEL = "gpt2(n_layers={layers}, d_model={width}, n_heads={heads}, context_length={context}, feedforward={feedforward!r})"


@dataclass(frozen=True)
class Size:
    """The shape of a model and of its batches; the names are the peer's options."""

    layers: int
    heads: int
    width: int
    context: int
    batch: int

    @property
    def options(self) -> list[str]:
        return [part for name, value in vars(self).items() for part in (f"--{name}", str(value))]


SIZES = {"char": Size(4, 4, 128, 64, 12), "char-10m": Size(6, 6, 384, 256, 64)}


@dataclass(frozen=True)
class Way:
    """How ours trains: what differs from the peer, and for how long."""

    name: str
    activation: str
    position: str
    config: Mapping[str, Any]


def ways(steps: int) -> dict[str, Way]:
    """`same`: the peer's model, optimizer and schedule. `bf16`, `native`, `compiled`: the same, computed otherwise. `relu`: native
    with ReLU for GELU, which is cheaper. `fast`: what helped.

    What each setting of `fast` brought: LOG.md, 2026-11-22.
    """
    same = {
        "steps": steps,
        "optimizer": "adamw(lr=1e-3, betas=[0.9, 0.99], weight_decay=0.1)",
        "schedule": f"cosine(warmup={min(100, steps // 2)}, floor=0.1)",
        "evaluate_every": 250,
        "evaluation_batches": 20,
    }
    fast = {
        "steps": max(2, steps * 3 // 20),
        "batch_size": 16,
        "optimizer": "muon(lr=1e-2)",
        "schedule": "linear(warmup=10, floor=0.02)",
        "evaluate_every": 60,
    }
    return {
        "same": Way("same", "gelu", "learned", same),
        "bf16": Way("bf16", "gelu", "learned", {**same, "precision": "bfloat16"}),
        "native": Way("native", "gelu", "learned", {**same, "engine": "native"}),
        "compiled": Way("compiled", "gelu", "learned", {**same, "engine": "compiled"}),
        "relu": Way("relu", "relu", "learned", {**same, "engine": "native"}),
        "fast": Way("fast", "relu", "rotary", {**same, **fast}),
    }


@dataclass(frozen=True)
class TrainingTime:
    """One run: its evaluations as (seconds since the first step, validation loss), its speed and its memory."""

    who: str
    seed: int
    curve: Sequence[tuple[float, float]]
    tokens_per_second: float
    peak_rss_bytes: int

    def seconds_to(self, loss: float) -> float | None:
        """Wall seconds, evaluations included, until the validation loss was first at most `loss`; None if it never was."""
        return next((seconds for seconds, value in self.curve if value <= loss), None)

    def row(self) -> dict[str, Any]:
        seconds, loss = self.curve[-1]
        return {
            "who": self.who,
            "seed": self.seed,
            "validation loss": loss,
            "wall_seconds": seconds,
            f"seconds to {GOAL}": self.seconds_to(GOAL),
            "tokens per second": self.tokens_per_second,
            "peak_rss_bytes": self.peak_rss_bytes,
        }


def compare_training(text: Path, size: str, names: Sequence[str], *, steps: int, seeds: int) -> Iterator[TrainingTime]:
    """Run the peer and ours in turn for each seed. Raises DataError for a missing text, IsinglassError without the peer's file."""
    if not text.is_file():
        raise DataError(f"no file {str(text)!r}", hint="the recipe is about Tiny Shakespeare: a plain text file of 1.1 MB")
    if not PEER.is_file():
        raise IsinglassError(f"no file {str(PEER)!r}", hint="the peer is in the repository, not in the package: pip install -e .")
    for seed in range(seeds):
        command = [sys.executable, str(PEER), str(text), "--steps", str(steps), "--seed", str(seed), *SIZES[size].options]
        yield _time("plain torch", seed, _lines(command))
        for name in names:
            given = json.dumps({"text": str(text), "size": size, "way": name, "steps": steps, "seed": seed})
            yield _time(name, seed, _lines([sys.executable, "-m", __name__, given]))


def _lines(command: Sequence[str]) -> list[dict[str, Any]]:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise IsinglassError(f"{command[1]} failed", details=done.stderr.strip().splitlines()[-6:])
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _time(who: str, seed: int, lines: Sequence[Mapping[str, Any]]) -> TrainingTime:
    last = lines[-1]
    curve = [(line["seconds"], line["val_loss"]) for line in lines if line["step"]]
    return TrainingTime(who, seed, curve, last["tokens_per_second"], last["peak_rss_bytes"])


def ratios(runs: Sequence[TrainingTime]) -> list[dict[str, Any]]:
    """Ours beside the peer of the same seed: medians over the seeds."""
    peers = {run.seed: run for run in runs if run.who == "plain torch"}
    rows = []
    for name in dict.fromkeys(run.who for run in runs if run.who != "plain torch"):
        pairs = [(run, peers[run.seed]) for run in runs if run.who == name]
        reached = [(run.seconds_to(GOAL), peer.curve[-1][0]) for run, peer in pairs]
        shares = [ours / theirs for ours, theirs in reached if ours is not None]
        rows.append({
            "way": name,
            "speed": statistics.median(run.tokens_per_second / peer.tokens_per_second for run, peer in pairs),
            "memory": statistics.median(run.peak_rss_bytes / peer.peak_rss_bytes for run, peer in pairs),
            "validation loss": statistics.median(run.curve[-1][1] for run, _ in pairs),
            "of the plain run": statistics.median(run.curve[-1][1] for run in peers.values()),
            f"reached {GOAL}": f"{len(shares)} of {len(pairs)}",
            "in this share of its time": statistics.median(shares) if shares else None,
        })  # fmt: skip
    return rows


def child(given: Mapping[str, Any]) -> None:
    """One run of ours in this process, reported in the peer's form."""
    import isinglass as ig
    from isinglass.training.events import Evaluated, StepDone

    text, size, way = Path(given["text"]), SIZES[given["size"]], ways(given["steps"])[given["way"]]
    tokenizer = ig.train_tokenizer("character", [text.read_text(encoding="utf-8")])
    shape = dict(
        layers=size.layers,
        width=size.width,
        heads=size.heads,
        context=size.context,
        feedforward=f"mlp(activation={way.activation!r}, bias=False)",
    )
    attention = {"bias": "none", "position": way.position}
    lm = ig.create(_MODEL.format(**shape), tokenizer=tokenizer, attention=attention, seed=given["seed"])
    events = ig.training(lm, text, seed=given["seed"], config={"batch_size": size.batch, **way.config})
    began = time.perf_counter()
    n_tokens = training = 0.0
    for event in events:
        if isinstance(event, StepDone):
            n_tokens, training = n_tokens + event.n_tokens, training + event.seconds
        elif isinstance(event, Evaluated):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            print(json.dumps({
                "step": event.step, "val_loss": event.loss, "seconds": time.perf_counter() - began,
                "tokens_per_second": n_tokens / training, "peak_rss_bytes": peak,
            }), flush=True)  # fmt: skip


if __name__ == "__main__":
    child(json.loads(sys.argv[1]))
