"""Slots, weights and taps for tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isinglass.models.config import DecoderConfig
from isinglass.models.presets import tiny
from isinglass.models.transformer import Decoder
from isinglass.nn.attention.slots import Slots

ROWS = ("plain", "padded_left", "padded_right", "packed", "prefixed")


def slots_of(kind: str, time: int) -> Slots:
    """Two rows: without padding, with unequal padding, each of several packed documents that count from 0, or with a prefix."""
    count = torch.arange(time)
    if kind == "plain":
        return Slots(count.expand(2, -1))
    if kind == "packed":
        starts = torch.stack([(count >= 5).long() + (count >= 9).long(), (count >= 2).long() + (count >= 11).long()])
        begun = torch.stack([torch.tensor([0, 5, 9])[starts[0]], torch.tensor([0, 2, 11])[starts[1]]])
        return Slots(count - begun, document=starts)
    if kind == "prefixed":
        return Slots(count.expand(2, -1), prefix_length=torch.tensor([4, 9]))
    padding = torch.tensor([[3], [0]])
    if kind == "padded_left":
        return Slots((count - padding).clamp(min=0), valid=count >= padding)
    return Slots(count.expand(2, -1), valid=count < time - padding)


def cut(slots: Slots, start: int, end: int) -> Slots:
    """The slots of a stretch of time."""
    valid = None if slots.valid is None else slots.valid[:, start:end]
    document = None if slots.document is None else slots.document[:, start:end]
    return Slots(slots.position[:, start:end], valid=valid, document=document)


def real(slots: Slots) -> Tensor:
    """True where a token is not padding."""
    return torch.ones_like(slots.position, dtype=torch.bool) if slots.valid is None else slots.valid


@torch.no_grad()
def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that keep activations near 1, so that a tolerance of 1e-5 means something; every part gets some."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in sorted(module.named_parameters()):
        noise = torch.randn(weight.shape, generator=generator)
        if "embed" in name or "positions" in name:
            weight.copy_(noise)
        elif weight.dim() == 2:
            weight.copy_(noise / weight.shape[1] ** 0.5)
        else:
            weight.copy_(0.2 * noise + (0 if name.endswith("bias") else 1))
    return module


def decoder(seed: int = 0, config: DecoderConfig | None = None, **settings: object) -> Decoder:
    """A tiny decoder with random weights of useful size."""
    small = dict(d_model=32, d_ff=48, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=50, context_length=64)
    model = Decoder(config or tiny.build(**{**small, **settings}))
    return randomised(model, seed).requires_grad_(False).eval()


def random_ids(*shape: int, vocab: int = 50, seed: int = 0) -> Tensor:
    return torch.randint(0, vocab, shape, generator=torch.Generator().manual_seed(seed))


class Watch:
    """A tap that keeps what it is asked to keep."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.seen: list[str] = []
        self.kept: dict[str, Tensor] = {}

    def wants(self, name: str) -> bool:
        self.seen.append(name)
        return name in self.names or not self.names

    def __call__(self, name: str, x: Tensor) -> Tensor:
        self.kept[name] = x.clone()
        return x


class Scores(Watch):
    """Watches scores and weights of every layer."""

    def wants(self, name: str) -> bool:
        return name.endswith(("attention.scores", "attention.weights"))


class AllButScores(Watch):
    """Watches everything that does not change the kernel."""

    def wants(self, name: str) -> bool:
        self.seen.append(name)
        return not name.endswith(("attention.scores", "attention.weights"))
