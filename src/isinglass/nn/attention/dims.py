"""The widths every part of attention is built from."""

from __future__ import annotations

from dataclasses import dataclass

from isinglass.core.errors import ShapeError


@dataclass(frozen=True)
class Dims:
    """`n_heads` query heads share `n_kv_heads` key and value heads, each `d_head` wide."""

    d_model: int
    n_heads: int
    n_kv_heads: int
    d_head: int
    context_length: int

    def __post_init__(self) -> None:
        if self.n_heads % self.n_kv_heads:
            raise ShapeError(
                f"attention.n_kv_heads = {self.n_kv_heads} does not divide n_heads = {self.n_heads}",
                hint=f"choose one of {[n for n in range(1, self.n_heads + 1) if self.n_heads % n == 0]}",
            )

    @property
    def group(self) -> int:
        """Query heads per key and value head: 1 is multi-head, n_heads multi-query, between them grouped-query attention."""
        return self.n_heads // self.n_kv_heads
