"""The training form of a model: the same parameters under the same names, and torch's fused kernels in place of the written-out functions.

The plain model is the definition and stays what one looks inside; this one is for the steps in between. Measured on the character-level
CPU recipe (4 layers, d_model 128): LOG.md, 2026-11-22.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar, cast

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.nn import native
from isinglass.nn.attention.kernels.sdpa import SDPA
from isinglass.nn.attention.layer import Attention
from isinglass.nn.attention.native_kernel import NativeSDPA
from isinglass.nn.block import Block
from isinglass.nn.feedforward.glu import GLU
from isinglass.nn.feedforward.mlp import MLP
from isinglass.nn.fused import Concatenated, Joint, fused_activation
from isinglass.nn.native_block import NativeBlock
from isinglass.nn.native_block import fits as block_fits
from isinglass.nn.native_mlp import NativeMLP, fits
from isinglass.nn.norms import LayerNorm, RMSNorm

M = TypeVar("M", bound=nn.Module)


def fused(model: M) -> M:
    """A form of `model` that trains faster: its parameters are those of `model`, not copies, under the same names in `state_dict`.

    Logits and gradients are those of `model` to 1e-5; `model` itself is untouched, and sees every step that is taken here.
    Parts of the user's own, and linear layers that were replaced (adapters), stay as they are; so put adapters in first.

    >>> import torch
    >>> from isinglass.models.presets import tiny
    >>> from isinglass.models.transformer import fresh
    >>> model = fresh(tiny.build(vocab_size=100), seed=0)
    >>> fast, ids = fused(model), torch.tensor([[1, 2, 3]])
    >>> torch.allclose(fast(ids), model(ids), atol=1e-5), fast.embed_tokens.weight is model.embed_tokens.weight
    (True, True)
    """
    shared: dict[int, object] = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    form = copy.deepcopy(model, memo=shared)
    for owner in list(form.modules()):
        for name, part in owner.named_children():
            if isinstance(part, LayerNorm):
                setattr(owner, name, _LayerNorm(part))
            elif isinstance(part, RMSNorm):
                setattr(owner, name, _RMSNorm(part))
        if isinstance(owner, GLU | MLP):
            owner.activation = fused_activation(owner.activation)
        if isinstance(owner, Attention):
            owner.joint = _side_by_side([owner.q_proj, owner.k_proj, owner.v_proj])
    return form


def use_native(form: nn.Module) -> None:
    """Put our C++ in the place of torch's kernels in what `fused` gave; the same numbers to 1e-5, measured in LOG.md, 2026-11-22.

    Raises EngineError where it cannot be built.
    """
    for name in ("mlp", "short_attention", "block"):
        native.load(name)
    for owner in list(form.modules()):
        for name, part in owner.named_children():
            if fits(part):
                setattr(owner, name, NativeMLP(cast(MLP, part)))
        if isinstance(owner, Attention) and type(owner.parts.kernel) is SDPA:
            owner.parts = replace(owner.parts, kernel=NativeSDPA())
    for owner in list(form.modules()):  # when its parts are native
        for name, part in owner.named_children():
            if block_fits(part, _LayerNorm):
                setattr(owner, name, NativeBlock(cast(Block, part)))


def _side_by_side(linears: Sequence[nn.Module]) -> Joint | None:
    """One product of several linear layers of the same input; None where one of them is something else, such as an adapter."""
    plain = [layer for layer in linears if type(layer) is nn.Linear]
    return Joint(Concatenated(plain), [layer.out_features for layer in plain]) if len(plain) == len(linears) else None


class FusedNorm(nn.Module):
    """A norm by torch's own function, over the parameters of ours; `kept` is what it keeps for their gradients, in widths of a token."""

    kept: ClassVar[int]


class _LayerNorm(FusedNorm):
    """LayerNorm by torch's kernel: it keeps what enters and what leaves."""

    kept = 2

    def __init__(self, norm: LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class _RMSNorm(FusedNorm):
    """RMSNorm by torch's own function, on the CPU a chain of operations: it keeps what is scaled as well."""

    kept = 3

    def __init__(self, norm: RMSNorm) -> None:
        super().__init__()
        self.weight, self.eps = norm.weight, norm.eps

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
