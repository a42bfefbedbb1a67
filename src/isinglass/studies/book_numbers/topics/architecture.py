"""Architecture: parameters of the four sizes, of a block's halves, and the gradients of the shortcut demonstration."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from isinglass.nn.activations import gelu_tanh
from isinglass.studies.book_numbers.drawn import on_meta_as_in_the_book
from isinglass.studies.book_numbers.number import Number

SIZES = {
    "124m": (163_009_536, 124_412_160, 621.83),
    "355m": (406_212_608, 354_749_440, 1549.58),
    "774m": (838_220_800, 773_891_840, 3197.56),
    "1558m": (1_637_792_000, 1_557_380_800, 6247.68),
}
NO_BIAS = "without the biases of q, k and v, which GPT-2 has and the book leaves out"


def numbers() -> list[Number]:
    """Chapter 4."""
    return [
        *(number for size in SIZES for number in _of_size(size)),
        _part("feed-forward layer of the 124M model, parameters", "mlp", 4_722_432),
        _part("attention of the 124M model, parameters", "attention", 2_360_064, note=NO_BIAS),
        _gradient("without shortcuts", 0.000202, 6, lambda x, y: y),
        _gradient("with shortcuts", 0.2217, 4, lambda x, y: x + y if x.shape == y.shape else y),
    ]


def parameters(expression: str, part: str = "") -> int:
    """Parameters of the book's form of a preset, or of one part of it, counted without memory for them."""
    return sum(weight.numel() for weight in on_meta_as_in_the_book(expression).get_submodule(part).parameters())


def _of_size(size: str) -> Iterator[Number]:
    untied, tied, mebibytes = SIZES[size]
    for embeddings, theirs in (("untied", untied), ("tied", tied)):
        expression = f"gpt2(size='{size}', embeddings='{embeddings}')"
        yield Number(
            chapter="4",
            what=f"GPT-2 {size.upper()}, {embeddings} head, parameters",
            theirs=theirs,
            measure=lambda expression=expression: parameters(expression),
            shown_by=f'isinglass model show "{expression}"',
            note=NO_BIAS,
        )
    expression = f"gpt2(size='{size}', embeddings='untied')"
    yield Number(
        chapter="4",
        what=f"GPT-2 {size.upper()}, untied head, in fp32, MB of 2^20 bytes",
        theirs=mebibytes,
        digits=2,
        measure=lambda: parameters(expression) * torch.float32.itemsize / 2**20,
        shown_by=f'isinglass model show "{expression}"',
        note=NO_BIAS,
    )


def _part(what: str, part: str, theirs: int, note: str = "") -> Number:
    return Number(
        chapter="4",
        what=what,
        theirs=theirs,
        measure=lambda: parameters("gpt2", f"layers.0.{part}"),
        shown_by="isinglass model show gpt2",
        note=note,
    )


def _gradient(how: str, theirs: float, digits: int, join: Callable[[Tensor, Tensor], Tensor]) -> Number:
    return Number(
        chapter="4",
        what=f"mean gradient of the first of five layers, {how}",
        theirs=theirs,
        digits=digits,
        measure=lambda: first_gradient(join),
        shown_by="src/isinglass/nn/block.py",
        note="torch's linear layers drawn with seed 123, our GELU between them",
    )


def first_gradient(join: Callable[[Tensor, Tensor], Tensor]) -> float:
    """Five layers of 3, 3, 3, 3 and 1 outputs; `join` makes the next state of the state before and of what the layer says."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        layers = [nn.Linear(3, width) for width in (3, 3, 3, 3, 1)]
    x = torch.tensor([[1.0, 0.0, -1.0]])
    for layer in layers:
        x = join(x, gelu_tanh(layer(x)))
    x.square().mean().backward()  # the mean squared error against 0
    gradient = layers[0].weight.grad
    return 0.0 if gradient is None else float(gradient.abs().mean())
