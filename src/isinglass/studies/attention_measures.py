"""What the study `attention` measures: how positions carry over to longer texts, and what kinds of attention cost as a text grows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

import isinglass as ig
from isinglass.core.runtime import derive_seed
from isinglass.data.sources import read
from isinglass.evaluation.attention_costs import Cost, measuring, power
from isinglass.generation.lm import LM
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.positions.rotary import Rotary
from isinglass.nn.attention.slots import Slots
from isinglass.show.figure import Figure
from isinglass.show.marks.lines import lines
from isinglass.show.table import Table
from isinglass.training.log_probs import token_log_probs

LEARNED = 64  # tokens of the texts that the small models learn from
LONGEST = 512
COMMAND = "isinglass study attention --out FOLDER --set mechanism={}"


@dataclass(frozen=True)
class Extrapolation:
    """For each kind of position the loss (nats per token) at each length of text, and the seconds of a pass at the longest."""

    lengths: tuple[int, ...]
    losses: Mapping[str, Sequence[float]]
    seconds: Mapping[str, float]
    command: str

    def growth(self, name: str) -> float:
        """How much the loss rises from the length that was learned from to the longest, in nats."""
        return self.losses[name][-1] - self.losses[name][0]

    @property
    def table(self) -> Table:
        """A row for each kind."""
        rows = [
            {"position": name, **{f"{n} tokens": loss for n, loss in zip(self.lengths, losses, strict=True)}, "pass": self.seconds[name]}
            for name, losses in self.losses.items()
        ]
        notes = [
            f"loss in nats per token of models that learned from texts of {LEARNED} tokens; pass: {self.lengths[-1]} tokens, median of five"
        ]
        return Table(rows, title="Learned short, read long", units={"pass": "seconds"}, notes=notes, command=self.command)

    @property
    def figure(self) -> Figure:
        """Loss over length."""
        curves = {name: (self.lengths, losses) for name, losses in self.losses.items()}
        return lines(
            curves,
            title="Loss on texts longer than those learned from",
            x="tokens",
            y="loss (nats per token)",
            x_scale="log",
            command=self.command,
        )


def extrapolation(mechanism: str, *, quick: bool, seed: int) -> Extrapolation:
    """Small models that differ in their positions alone learn from the same short texts and read longer ones."""
    lengths = (LEARNED, 128, 256, LONGEST)
    verses = [record.text for record in read("kjv")]
    tokenizer = ig.train_tokenizer("bpe", verses[:4000], vocab_size=1000)
    learned, held = " ".join(verses[: len(verses) * 9 // 10]), " ".join(verses[len(verses) * 9 // 10 :])
    losses, seconds = {}, {}
    for position in ("learned", "rotary", "alibi"):
        lm = ig.create(
            f"gpt2(n_layers=2, d_model=64, n_heads=4, context_length={LONGEST}, position='{position}')", tokenizer=tokenizer, seed=seed
        )
        config = {"batch_size": 16, "context_length": LEARNED, "optimizer": "adamw(lr=0.003)", "validation": 0}
        run = ig.train(
            lm, [learned], objective="causal_lm", steps=100 if quick else 300, seed=derive_seed(seed, "attention"), config=config
        )
        ids = torch.tensor(tokenizer.encode(held[:60_000]))[: 8 * LONGEST + 1]
        losses[position] = [_loss(run.lm, ids, n) for n in lengths]
        seconds[position] = _seconds(run.lm, ids[:LONGEST])
    return Extrapolation(lengths, losses, seconds, COMMAND.format(mechanism))


@torch.inference_mode()
def _loss(lm: LM, ids: torch.Tensor, length: int) -> float:
    """Nats per token over windows of `length` tokens that do not overlap."""
    rows = (len(ids) - 1) // length
    read_, said = ids[: rows * length].view(rows, length), ids[1 : rows * length + 1].view(rows, length)
    return -float(token_log_probs(lm.decoder, lm.decoder.hidden(read_), said).mean())


@torch.inference_mode()
def _seconds(lm: LM, ids: torch.Tensor, rounds: int = 5) -> float:
    found = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        lm.decoder.hidden(ids[None])
        found.append(time.perf_counter() - begun)
    return statistics.median(found[1:])


def relative_error(d_head: int = 64, shift: int = 1000) -> float:
    """The largest change of q . k, relative to |q| |k|, when both places of a pair are moved on by `shift`."""
    rotary = Rotary(d_head, 10_000.0, None)
    q, k = torch.randn(1, 1, 64, d_head), torch.randn(1, 1, 64, d_head)
    ids = torch.zeros(1, 64, dtype=torch.long)
    found = [rotary.rotate(q, slots) @ rotary.rotate(k, slots).mT for slots in (Slots.first(ids), Slots.first(ids, shift))]
    return float((found[0] - found[1]).abs().max() / (q.norm(dim=-1).max() * k.norm(dim=-1).max()))


@dataclass(frozen=True)
class Costs:
    """Full attention, and another kind, at each length."""

    kind: str
    lengths: tuple[int, ...]
    costs: tuple[Cost, ...]
    command: str

    def of(self, kind: str) -> list[Cost]:
        """The costs of one kind by length."""
        return [one for one in self.costs if one.kind == kind]

    def powers(self, kind: str) -> tuple[float, float]:
        """With which power of the length time and extra memory grow."""
        some = self.of(kind)
        return power(self.lengths, [one.time_seconds for one in some]), power(self.lengths, [one.extra_bytes for one in some])

    @property
    def table(self) -> Table:
        """A row for each length and kind."""
        rows = [
            {"kind": one.kind, "tokens": one.length, "seconds": one.time_seconds, "extra_memory": one.extra_bytes, "kv_cache": one.kv_bytes}
            for one in self.costs
        ]
        units = {"seconds": "seconds", "extra_memory": "bytes", "kv_cache": "bytes"}
        return Table(
            rows, title="What attention costs as a text grows", units=units, notes=["4 heads of 64, batch 1, fp32"], command=self.command
        )

    @property
    def figure(self) -> Figure:
        """Memory over length."""
        curves = {kind: (self.lengths, [one.extra_bytes / 1e6 for one in self.of(kind)]) for kind in ("full", self.kind)}
        return lines(curves, title="Memory beside the inputs", x="tokens", y="MB", x_scale="log", y_scale="log", command=self.command)


def costs(mechanism: str, kind: str, *, quick: bool) -> Costs:
    """Time and memory of full attention and of `kind`, from short to long."""
    lengths = (256, 512, 1024) if quick else (256, 512, 1024, 2048, 4096)
    dims = Dims(d_model=256, n_heads=4, n_kv_heads=4, d_head=64, context_length=lengths[-1])
    return Costs(kind, lengths, tuple(measuring(["full", kind], lengths, dims=dims, rounds=1 if quick else 3)), COMMAND.format(mechanism))
