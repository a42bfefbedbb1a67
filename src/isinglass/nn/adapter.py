"""Adapter: a few trained parameters beside the frozen weights of a model; and the switch that leaves them out of a call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.nn.attention.kernel import Bias
from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.slots import Slots

_ON: ContextVar[bool] = ContextVar("adapters_on", default=True)


def adapters_on() -> bool:
    """False inside `adapters_off`."""
    return _ON.get()


@contextmanager
def adapters_off() -> Iterator[None]:
    """Within it every model answers as if it had no adapters, bit for bit; other threads are not affected.

    It serves as the reference policy of DPO and PPO: no second model is kept.

    >>> with adapters_off():
    ...     adapters_on()
    False
    """
    token = _ON.set(False)
    try:
        yield
    finally:
        _ON.reset(token)


@dataclass(frozen=True, eq=False)
class Site:
    """A place where an adapter may go: a linear layer or an attention layer, by its dotted name and the module that owns it."""

    name: str
    part: Literal["attention", "mlp", "head"]
    owner: nn.Module
    module: nn.Module

    @property
    def short_name(self) -> str:
        """The last component: `q_proj` of `layers.0.attention.q_proj`."""
        return self.name.rpartition(".")[2]

    def put(self, module: nn.Module) -> None:
        """Put a module in this place."""
        setattr(self.owner, self.short_name, module)


class Adapter(ABC):
    """A way to adapt a model, and its settings."""

    @property
    @abstractmethod
    def expression(self) -> str:
        """What builds it again: it is saved with the parameters."""

    @abstractmethod
    def attach(self, sites: Sequence[Site], generator: torch.Generator) -> None:
        """Put its parts into the places of its choice. VariantError when it chooses none."""


class AdapterPart(nn.Module):
    """What one place got. All parameters below are the adapter's; those of the model stand outside."""

    def __init__(self, source: Adapter) -> None:
        super().__init__()
        self.source = source


class LinearAdapter(AdapterPart, ABC):
    """Adds to what a linear layer says; linear itself, so that it can be merged into the layer's weight."""

    @abstractmethod
    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """What is added to the layer's output."""

    @abstractmethod
    def change(self) -> Float[Tensor, "d_out d_in"]:
        """The same as a change of the layer's weight, in fp32."""


class AttentionAdapter(AdapterPart, ABC):
    """Changes what an attention layer reads."""

    @abstractmethod
    def forward(
        self,
        k: Float[Tensor, "batch kv_heads key d_head"],
        v: Float[Tensor, "batch kv_heads key d_head"],
        k_slots: Slots,
        mask: Mask,
        position: Position,
    ) -> tuple[Tensor, Tensor, Slots, Mask, Bias]:
        """Keys, values, their slots, the mask and the bias that the kernel gets instead."""


class AdaptedLinear(nn.Module):
    """A linear layer and its adapter; `weight` and `bias` stay the model's, under their own names."""

    def __init__(self, linear: nn.Linear, adapter: LinearAdapter) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.adapter = adapter

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        y = nn.functional.linear(x, self.weight, self.bias)
        return y + self.adapter(x).to(y.dtype) if adapters_on() else y

    def plain(self) -> nn.Linear:
        """The layer without its adapter, over the same weight."""
        return linear_of(self.weight, self.bias)

    def whole(self) -> Float[Tensor, "d_out d_in"]:
        """The weight of both as one, with gradients to the adapter; the sum is made in fp32 and rounded once, to the weight's dtype."""
        return (self.weight.float() + self.adapter.change()).to(self.weight.dtype)

    def merged(self) -> nn.Linear:
        """One layer that computes what both do."""
        return linear_of(self.whole(), self.bias)


def linear_of(weight: Float[Tensor, "d_out d_in"], bias: Tensor | None) -> nn.Linear:
    """A frozen linear layer over given tensors, which are not copied."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    made.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        made.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return made
