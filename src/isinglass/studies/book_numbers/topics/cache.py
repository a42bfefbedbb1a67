"""Cache: the memory of keys and values, with a head for each query and with shared ones."""

from __future__ import annotations

from isinglass.models.presets import family
from isinglass.models.summary import kv_bytes_per_token
from isinglass.studies.book_numbers.number import Number

BYTES = 2  # bf16
CONTEXT = 32_768


def numbers() -> list[Number]:
    """The supplement on grouped-query attention of chapter 4."""
    return [_size("a key-value head for each of 32 query heads", 32, 17.18), _size("8 key-value heads", 8, 4.29), _saved()]


def expression(n_kv_heads: int) -> str:
    return f"llama(d_model=4096, n_layers=32, n_heads=32, n_kv_heads={n_kv_heads}, context_length={CONTEXT})"


def gigabytes(n_kv_heads: int) -> float:
    """Of one text that fills the context, in 10^9 bytes."""
    return kv_bytes_per_token(family.resolve(expression(n_kv_heads)), BYTES) * CONTEXT / 1e9


def _size(what: str, n_kv_heads: int, theirs: float) -> Number:
    return Number(
        chapter="4",
        what=f"KV cache of 32 layers, d_model 4096, 32,768 tokens, bf16, GB: {what}",
        theirs=theirs,
        digits=2,
        measure=lambda: gigabytes(n_kv_heads),
        shown_by=f'isinglass model show "{expression(n_kv_heads)}"',
        note="in bf16; the command counts fp32, which is twice as much",
    )


def _saved() -> Number:
    return Number(
        chapter="4",
        what="share of it that 8 key-value heads save",
        theirs=0.75,
        digits=2,
        measure=lambda: 1 - gigabytes(8) / gigabytes(32),
        shown_by="src/isinglass/models/summary.py",
    )
