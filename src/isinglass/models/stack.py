"""A stack: positions, layers and a final norm, between an embedding and a head that lie outside of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from isinglass.models.assembly import add_positions, make_attention, make_block, make_norm, make_positions
from isinglass.models.config import ModelConfig
from isinglass.nn.attention.cache import Cache
from isinglass.nn.attention.config import AttentionConfig
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import Block
from isinglass.nn.dropout import Dropout
from isinglass.nn.tap import Scoped, Tap, tapped


@dataclass(frozen=True, eq=False)
class Memory:
    """What was read: keys and values for the cross-attention of each decoder layer, and the slots of the text. Made once per text."""

    layers: Sequence[tuple[Tensor, Tensor]]
    slots: Slots


class Stack(nn.Module):
    """Vectors in, vectors out. Taps: `embed`, those of each layer, `norm`."""

    def __init__(self, config: ModelConfig, positions: Sequence[Position], layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.positions, self.layers = nn.ModuleList(positions), nn.ModuleList(layers)
        self.norm = make_norm(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "batch time d_model"],
        slots: Slots,
        *,
        k_slots: Slots | None = None,
        memory: Memory | None = None,
        cache: Cache | None = None,
        tap: Tap | None = None,
    ) -> Float[Tensor, "batch time d_model"]:
        """`k_slots` are the slots of all keys when a cache holds some of them; `memory` is what cross-attention reads."""
        x = self.dropout(tapped(tap, "embed", add_positions(x, self.positions, slots)))
        keys = slots if k_slots is None else k_slots
        for number, layer in enumerate(self.layers):
            scoped = None if tap is None else Scoped(tap, f"layers.{number}.")
            read: dict[str, Any] = {} if memory is None else {"memory": memory.layers[number], "memory_slots": memory.slots}
            x = layer(x, layer=number, slots=slots, k_slots=keys, cache=cache, tap=scoped, **read)
        return self.dropout(tapped(tap, "norm", self.norm(x)))


def make_stack(config: ModelConfig, attention: AttentionConfig, dims: Dims, n_layers: int) -> Stack:
    """Pre-norm blocks of self-attention."""
    distinct, of_layer = make_positions(attention, dims, n_layers)
    layers = [make_block(config, each, Block) for each in make_attention(attention, dims, n_layers, of_layer)]
    return Stack(config, distinct, layers)
