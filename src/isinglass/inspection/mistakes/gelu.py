"""GELU in its two right forms, and the mistakes in them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from isinglass.inspection.mistakes.mistake import Mistake
from isinglass.nn.activations import gelu, gelu_tanh, relu, silu

Function = Callable[[Tensor], Tensor]


def _tanh(x: Tensor, *, root: float = math.sqrt(2 / math.pi), cubic: float = 0.044715, power: int = 3, half: float = 0.5) -> Tensor:
    return half * x * (1 + torch.tanh(root * (x + cubic * x.pow(power))))


def _is(name: str, words: str, hint: str, function: Function, right: bool = False) -> Mistake[Function]:
    return Mistake(name, words, hint, lambda _: function, right)


_TANH = "0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))"
_EXACT = "0.5 * x * (1 + erf(x / sqrt(2)))"

DEFINITION: Function = gelu_tanh
MISTAKES: tuple[Mistake[Function], ...] = (
    _is("exact", "in the exact form, with erf (BERT's; GPT-2 was trained with the tanh form, which is off by up to 5e-4)", "", gelu, True),
    _is("quick", "written as x * sigmoid(1.702 x), a coarser approximation that is off by up to 0.02", _TANH,
             lambda x: x * torch.sigmoid(1.702 * x)),
    _is("relu", "written as ReLU", _TANH, relu),
    _is("silu", "written as SiLU, x * sigmoid(x)", _TANH, silu),
    _is("sigmoid", "written as a sigmoid", _TANH, torch.sigmoid),
    _is("tanh", "written as tanh", _TANH, torch.tanh),
    _is("erf_without_root", "with erf(x) instead of erf(x / sqrt(2))", _EXACT, lambda x: 0.5 * x * (1 + torch.erf(x))),
    _is("erf_without_half", "with erf, without the factor 0.5", _EXACT, lambda x: 2 * gelu(x)),
    _is("phi_alone", "written as Phi(x), without multiplying by x", _EXACT, lambda x: 0.5 * (1 + torch.erf(x / math.sqrt(2)))),
    _is("tanh_without_half", "in the tanh form without the factor 0.5", _TANH, lambda x: _tanh(x, half=1.0)),
    _is("tanh_without_x", "in the tanh form without multiplying by x", _TANH,
             lambda x: 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    _is("tanh_without_root", "in the tanh form without sqrt(2 / pi)", _TANH, lambda x: _tanh(x, root=1.0)),
    _is("tanh_root_of_two", "in the tanh form with sqrt(2) / pi instead of sqrt(2 / pi)", _TANH, lambda x: _tanh(x,
             root=math.sqrt(2) / math.pi)),
    _is("tanh_two_over_pi", "in the tanh form with 2 / pi, its root not taken", _TANH, lambda x: _tanh(x, root=2 / math.pi)),
    _is("tanh_root_of_pi", "in the tanh form with sqrt(pi / 2) instead of sqrt(2 / pi)", _TANH, lambda x: _tanh(x,
             root=math.sqrt(math.pi / 2))),
    _is("tanh_without_cube", "in the tanh form without the term 0.044715 * x**3", _TANH, lambda x: _tanh(x, cubic=0.0)),
    _is("tanh_square", "in the tanh form with x**2 instead of x**3", _TANH, lambda x: _tanh(x, power=2)),
    _is("tanh_misplaced_point", "in the tanh form with 0.44715 instead of 0.044715", _TANH, lambda x: _tanh(x, cubic=0.44715)),
    _is("tanh_one_minus", "in the tanh form with 1 - tanh instead of 1 + tanh", _TANH,
             lambda x: 0.5 * x * (1 - torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
)  # fmt: skip
ACTIVATIONS: tuple[Mistake[Function], ...] = (
    MISTAKES[0],
    _is("relu", "with ReLU (the first transformer's; GPT-2 has GELU)", "", relu, True),
    _is("silu", "with SiLU (GPT-2 has GELU)", "", silu, True),
    *(mistake for mistake in MISTAKES[1:] if mistake.name not in ("relu", "silu")),
    _is("no_activation", "without an activation between the two linear layers", "down(gelu(up(x)))", lambda x: x),
)
