"""Training passes compiled by torch: one program for all blocks, forward and backward, made at the first step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from isinglass.core.errors import ConfigError, EngineError
from isinglass.models.encoder import Encoder
from isinglass.models.transformer import Decoder
from isinglass.nn.attention.slots import Slots
from isinglass.nn.native import compiler
from isinglass.training.config import TrainConfig

_HINT = "leave engine out: the eager one trains everything"


def compile_passes(model: nn.Module, config: TrainConfig, *, one_shape: bool) -> None:
    """Let `model.hidden` run a compiled program wherever gradients are wanted; without them, and with a tap or a cache, it is what it was.

    Only this object's `hidden` is replaced: names of weights stay what they are, and evaluation costs no second program. EngineError
    without a C++ compiler, ConfigError for settings and models that a compiled program does not go with.
    """
    if compiler() is None:
        raise EngineError("engine = 'compiled' needs a C++ compiler, and neither g++ nor clang++ was found", hint="install g++, or set CXX")
    for setting, value in (("activations", "recomputed"), ("parallel", "fsdp")):
        if getattr(config, setting) == value:
            raise ConfigError(f"engine = 'compiled' beside {setting} = {value!r}: each takes the blocks apart in its own way", hint=_HINT)
    if not isinstance(model, Decoder | Encoder):
        raise ConfigError(f"engine = 'compiled' with {type(model).__name__}: expected a decoder or an encoder", hint=_HINT)
    model.__dict__["hidden"] = _compiled(model, one_shape)


def _compiled(model: Decoder | Encoder, one_shape: bool) -> Callable[..., Tensor]:
    from torch._dynamo.exc import TorchDynamoException  # 2 s

    eager: Callable[..., Tensor] = model.hidden

    # tensors in, tensors out: objects that are made anew for each batch would be compared by identity, and compiled for again
    def passed(ids: Tensor, position: Tensor, known: dict[str, Tensor], more: dict[str, Tensor]) -> Tensor:
        return eager(ids, slots=Slots(position, **known), **more)

    # where batches differ in shape, sizes are symbols and one program serves all: with programs made for shapes as they come, a resumed run
    # would meet them in another order, and would not be the same to the last bit
    program = torch.compile(passed, fullgraph=True, dynamic=not one_shape)

    def hidden(
        ids: Int[Tensor, "batch time"], *, slots: Slots | None = None, segments: Tensor | None = None, **looking: Any
    ) -> Float[Tensor, "batch time d_model"]:
        more = {} if segments is None else {"segments": segments}
        if slots is None or not torch.is_grad_enabled() or any(value is not None for value in looking.values()):
            return eager(ids, slots=slots, **more, **looking)
        known = {name: value for name in ("valid", "document", "prefix_length") if (value := getattr(slots, name)) is not None}
        try:
            return program(ids, slots.position, known, more)
        except TorchDynamoException as fault:
            reason = str(fault).strip().splitlines()[0]
            raise EngineError("engine = 'compiled': this model is no single program", details=[reason], hint=_HINT) from None

    return hidden
