"""Every variant of attention, read from the folders: a new file takes part in the contract without an edit here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from isinglass.core.variants import Family
from isinglass.nn.attention import caches, kernels, masks, positions, scalings
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.kernel import Kernel
from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.position import Position

LAYOUTS = {"mha": (4, 4), "gqa": (4, 2), "mqa": (4, 1)}  # n_heads, n_kv_heads
D_HEAD, CONTEXT = 8, 64


def dims(layout: str = "gqa") -> Dims:
    n_heads, n_kv_heads = LAYOUTS[layout]
    return Dims(n_heads * D_HEAD, n_heads, n_kv_heads, D_HEAD, CONTEXT)


def expression(name: str, arguments: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})" if arguments else name


def examples(family: Family[Any]) -> list[str]:
    """One expression per variant, with the arguments its own EXAMPLE gives."""
    return [expression(name, family.module(name).EXAMPLE) for name in family.names()]


@cache
def mask(text: str) -> Mask:
    return masks.family.resolve(text, dims())


@cache
def kernel(text: str) -> Kernel:
    return kernels.family.resolve(text, dims())


def position(text: str, layout: str = "gqa") -> Position:
    return positions.family.resolve(text, dims(layout))


@cache
def unsupported(kernel_text: str, mask_text: str, position_text: str) -> str | None:
    """Why this kernel cannot do this; None when it can."""
    return kernel(kernel_text).supports(mask(mask_text), position(position_text))


def kernel_expressions() -> list[str]:
    return examples(kernels.family)


def exact_kernels() -> list[str]:
    """Those that must equal the reference; the reference itself is checked against torch in tests/nn."""
    return [text for text in kernel_expressions() if kernel(text).exact]


def position_expressions() -> list[str]:
    """Every position, and rotary with every scaling."""
    return examples(positions.family) + [f"rotary(scaling={text})" for text in examples(scalings.family)]


LONGFORMER = "sliding_window(3) | global_tokens(2)"
BIGBIRD = "sliding_window(3) | global_tokens(2) | random_blocks(2, 1)"


def mask_expressions() -> list[str]:
    """Every mask alone, those that are not causal joined with causal, as they stand and turned round, and the published combinations."""
    alone = examples(masks.family)
    joined = [text for text in alone if not mask(text).causal]
    combined = [LONGFORMER, BIGBIRD, f"causal & ({LONGFORMER})"]
    return alone + [f"causal & {text}" for text in joined] + [f"causal & ~{text}" for text in joined] + combined


def causal_masks() -> list[str]:
    return [text for text in mask_expressions() if mask(text).causal]


def cache_expressions() -> list[str]:
    return examples(caches.family)
