"""A compiled step: the same model, traced once for one batch size and capacity, run for every token after the prompt."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FunctionType, MethodType
from typing import Any, cast

import torch
from torch import Tensor, nn

from isinglass.core.errors import EngineError
from isinglass.models.cache import cache_dims
from isinglass.models.transformer import Decoder
from isinglass.nn.adapter import AttentionAdapter
from isinglass.nn.attention.cache import Cache
from isinglass.nn.attention.caches.static import Static
from isinglass.nn.attention.kernels.reference import Reference
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import Block
from isinglass.nn.feedforward.moe import MoE

SMALLEST = 128  # tokens; capacities are rounded up to powers of two, so that few programs serve all lengths


class Placed(Cache):
    """A static cache seen from inside the compiled step: everything is a tensor that was handed in."""

    def __init__(self, layers: Sequence[Tensor], keys: Slots, places: Tensor) -> None:
        self.layers, self.keys, self.places = layers, keys, places
        self.length = 0  # the context length was checked outside

    def extend(self, slots: Slots) -> Slots:
        return self.keys

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self.layers[layer].index_copy_(3, self.places, torch.stack([k, v]))
        return self.layers[layer][0], self.layers[layer][1]


@torch.compiler.nested_compile_region
def _block_step(block: Block, x: Tensor, slots: Slots, keys: Slots, places: Tensor, kv: Tensor) -> Tensor:
    return block(x, layer=0, slots=slots, k_slots=keys, cache=Placed([kv], keys, places))


class SharedProgram(nn.Module):
    """A block of which the compiler makes one program for all layers alike: 14 s instead of 115 s for 30 layers (LOG.md)."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, *, layer: int, slots: Slots, k_slots: Slots, cache: Placed, tap: None = None) -> Tensor:
        # the tables of positions are made here, once for all layers; inside, the compiler would make them again for each key
        self.block.attention.parts.position.rotate(x.new_zeros(1, 1, 1, self.block.attention.dims.d_head), slots)
        return _block_step(self.block, x, slots, k_slots, cache.places, cache.layers[layer])  # type: ignore[call-arg]


def _no_guards(guards: Sequence[Any]) -> list[bool]:
    return [False] * len(guards)


_OPTIONS = {
    "cpp.threads": 1,  # for the small fused loops, where two only wait for each other (34 -> 31 ms a token); products use all
    "size_asserts": False,  # 1,160 checks a token
    # nothing is compared before a step (1.3 ms): each program serves one model, batch size and capacity, and is chosen by these
    "guard_filter_fn": _no_guards,
}


class CompiledModel:
    """Called like a `Decoder` with a static cache: prompts run as they are, steps through the compiled program.

    Products keep the form that `packed` gives them. Raises EngineError for a mixture of experts or a prefix.
    """

    def __init__(self, packed: Decoder) -> None:
        if any(isinstance(cast(Block, layer).mlp, MoE) for layer in packed.layers):
            raise EngineError(
                f"compile = True with a mixture of experts ({packed.config.feedforward}): which experts run depends on the token, "
                "and a compiled step is one fixed program",
                hint="leave compile=True out",
            )
        prefixed = next((part for part in packed.modules() if isinstance(part, AttentionAdapter)), None)
        if prefixed is not None:
            raise EngineError(
                f"compile = True with {prefixed.source.expression}: a compiled step reads the cache alone", hint="leave compile=True out"
            )
        self.prefill = packed
        shared: dict[int, object] = {id(weight): weight for weight in packed.parameters()}
        self.model = copy.deepcopy(packed, memo=shared)
        for number, layer in enumerate(self.model.layers):
            block = cast(Block, layer)
            # the compiler fuses the written-out attention; torch's own kernel would stay a call between two fused loops
            block.attention.parts = replace(block.attention.parts, kernel=Reference())
            self.model.layers[number] = SharedProgram(block)
        self.programs: dict[tuple[int, ...], Callable[..., Tensor]] = {}

    def program(self, ids: Tensor, cache: Static) -> Callable[..., Tensor]:
        """The compiled step for this batch size and capacity, made when first asked for."""
        key = (*ids.shape, *cache.layers[0].shape)
        if key not in self.programs:
            # the compiler files programs by code object, so each gets a code object of its own
            own = FunctionType(CompiledModel._step.__code__.replace(), globals())
            self.programs[key] = torch.compile(MethodType(own, self), fullgraph=True, dynamic=False, options=_OPTIONS)
        return self.programs[key]

    def _step(self, ids: Tensor, position: Tensor, key_position: Tensor, valid: Tensor, places: Tensor, layers: list[Tensor]) -> Tensor:
        cache = Placed(layers, Slots(key_position, valid), places)
        return self.model(ids, slots=Slots(position), cache=cache, rows="last")

    def __call__(self, ids: Tensor, *, slots: Slots, cache: Static, rows: Any = "last") -> Tensor:
        if ids.shape[1] > 1:
            return self.prefill(ids, slots=slots, cache=cache, rows=rows)
        keys = cache.extend(slots)
        assert keys.valid is not None
        step = self.program(ids, cache)
        return step(ids, slots.position.contiguous(), keys.position, keys.valid, cache.places, cache.layers)


def static_cache(model: Decoder, *, batch: int, capacity: int) -> Static:
    """An empty cache whose capacity is a power of two."""
    rounded = max(SMALLEST, 1 << (capacity - 1).bit_length())
    return Static(cache_dims(model, batch=batch, capacity=rounded))
