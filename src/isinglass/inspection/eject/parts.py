"""Norms and feed-forward layers as text: our own source with the settings of this model filled in."""

from __future__ import annotations

from typing import Any

from torch import nn

from isinglass.core.errors import EngineError
from isinglass.inspection.eject.source import Edits, card_line, piece
from isinglass.nn.feedforward.glu import GLU
from isinglass.nn.feedforward.mlp import MLP
from isinglass.nn.feedforward.moe import MoE

Pieces = dict[str, str]  # name -> text, in the order in which they must stand
_TAPPED = {"tapped": 2}


def number(value: Any) -> str:
    """A setting as one would write it."""
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:_}" if type(value) in (int, float) and 10_000 <= value < 1e15 else repr(value)


def refused(what: str, thing: object) -> EngineError:
    """The error for a part that is no part of ours."""
    return EngineError(
        f"cannot eject the {what} {type(thing).__module__}.{type(thing).__qualname__}: only parts that come with isinglass can be",
        hint="isinglass explain lists them",
    )


# feed-forward


def feedforward(layer: nn.Module) -> tuple[str, Pieces]:
    """How the layer is made, and what that needs."""
    dims = {"dims.d_model": "D_MODEL", "dims.d_ff": "D_FF"}
    drop = frozenset({"tap", "self.joint", "self.activation", "activation_name", "dims", "idle_weights"})
    if type(layer) is MoE:
        _, pieces = feedforward(layer.experts[0])
        made = {"n_experts": number(len(layer.experts)), "self.top_k": number(layer.top_k), "dims.d_model": "D_MODEL"}
        expert = {"GLU(dims, activation_name, bias=False)": "GLU()"}
        edits = Edits({**made, **expert}, drop | {"top_k", "self.top_k"}, _TAPPED, doc=card_line(MoE.__module__))
        return "MoE()", {**pieces, "MoE": piece(MoE.__module__, "MoE", edits)}
    if not isinstance(layer, MLP | GLU) or type(layer) not in (MLP, GLU):
        raise refused("feed-forward layer", layer)
    name, function = type(layer).__name__, layer.activation.__name__
    replace = {**dims, "bias": repr(layer.down_proj.bias is not None), "self.activation": function}
    joint = {"self.joint": "None"} if isinstance(layer, GLU) else {}
    text = piece(type(layer).__module__, name, Edits({**replace, **joint}, drop, _TAPPED, doc=card_line(type(layer).__module__)))
    return f"{name}()", {**activation(function), name: text}


def activation(name: str) -> Pieces:
    return {name: piece("isinglass.nn.activations", name)}


# norms


def norm(layer: nn.Module) -> tuple[str, Pieces]:
    """How the norm is made, and its class."""
    name = type(layer).__name__
    return f"{name}(D_MODEL, NORM_EPS)", {name: piece("isinglass.nn.norms", name)}
