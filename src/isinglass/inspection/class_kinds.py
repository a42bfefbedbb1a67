"""The kinds of part that `verify class` knows: what each is given, its definition with its known mistakes, and how a kind is guessed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from isinglass.core.errors import ConfigError, unknown
from isinglass.inspection import roles
from isinglass.inspection.mistakes import attention, block, gelu, gpt, layer_norm
from isinglass.inspection.mistakes.attention import AttentionSteps
from isinglass.inspection.mistakes.block import BlockSteps
from isinglass.inspection.mistakes.gpt import GPTSteps
from isinglass.inspection.mistakes.layer_norm import NormSteps
from isinglass.inspection.mistakes.mistake import Mistake
from isinglass.inspection.student import ALIASES, Sizes

_BATCH, _TIME = 3, 7  # fewer tokens than the context holds, so that a mask must be cut to size


@dataclass(frozen=True)
class Kind:
    """One kind of part. `make(x, weights, steps)` is its definition; `weights(module, sizes, layout, mapping)` reads a student's."""

    name: str
    noun: str
    example: Callable[[Sizes], Tensor]
    definition: Callable[[Sizes], Any]
    mistakes: Sequence[Mistake[Any]]
    make: Callable[[Tensor, Any, Any], Tensor]
    weights: Callable[[nn.Module, Sizes, roles.Layout, roles.Mapping], Any]
    sees_others: bool = True  # tokens of one text see one another

    def out_shape(self, x: Tensor, sizes: Sizes) -> list[int]:
        return [*x.shape, sizes.vocab_size] if self.name == "gpt" else list(x.shape)


def _random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _vectors(sizes: Sizes) -> Tensor:
    return torch.randn(_BATCH, _TIME, sizes.d_model, generator=_random(1))


def _scales(sizes: Sizes) -> Tensor:
    """Rows far from 0, rows so small that eps counts, and a token whose features are all equal."""
    x = torch.stack([_vectors(sizes)[0] * 2 + 1, _vectors(sizes)[1] * 1e-3, _vectors(sizes)[2]])
    x[2, -1] = 0.5
    return x


def _ids(sizes: Sizes) -> Tensor:
    return torch.randint(0, sizes.vocab_size, (_BATCH, _TIME), generator=_random(1))


def _attention_steps(sizes: Sizes) -> AttentionSteps:
    return AttentionSteps(n_heads=sizes.n_heads, masking="-inf before softmax" if sizes.causal else "none")


def _block_steps(sizes: Sizes) -> BlockSteps:
    return BlockSteps(_attention_steps(sizes), NormSteps(sizes.eps))


def _norm_weights(module: nn.Module, sizes: Sizes, layout: roles.Layout, mapping: roles.Mapping) -> layer_norm.NormWeights:
    mapping.note("weight and bias", [name for name, _ in module.named_parameters()] or ["none"])
    return roles.norm_weights(module)


def _attention_weights(module: nn.Module, sizes: Sizes, layout: roles.Layout, mapping: roles.Mapping) -> attention.AttentionWeights:
    return roles.attention_weights(roles.matrices(module), sizes, layout, mapping)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("attention", "attention", _vectors, _attention_steps, attention.MISTAKES, attention.attention, _attention_weights),
        Kind(
            "layer_norm", "LayerNorm", _scales, lambda sizes: NormSteps(sizes.eps), layer_norm.MISTAKES, layer_norm.layer_norm,
            _norm_weights, sees_others=False,
        ),
        Kind(
            "gelu", "GELU", lambda sizes: 2 * _vectors(sizes), lambda sizes: gelu.DEFINITION, gelu.MISTAKES,
            lambda x, weights, function: function(x), lambda *_: None, sees_others=False,
        ),
        Kind("block", "a GPT-2 block", _vectors, _block_steps, block.MISTAKES, block.block, roles.block_weights),
        Kind("gpt", "a GPT", _ids, lambda sizes: GPTSteps(_block_steps(sizes)), gpt.MISTAKES, gpt.gpt, roles.gpt_weights),
    )
}  # fmt: skip
# In this order: a TransformerBlock is no transformer, a LayerNorm no layer, a GPTAttention no GPT.
_NAMES = {
    "layer_norm": "norm",
    "attention": "attention|attn|mha",
    "gelu": "gelu",
    "block": "block|layer",
    "gpt": "gpt|transformer|lm$|model|decoder",
}


def kind_of(cls: Callable[..., Any], name: str, asked: str | None) -> Kind:
    """The kind that was asked for, or that the name or the signature tells. ConfigError when neither does."""
    if asked is not None:
        if asked not in KINDS:
            raise unknown("kind of part", asked, KINDS, where="--as")
        return KINDS[asked]
    by_name = next((kind for kind, pattern in _NAMES.items() if re.search(pattern, name.lower())), None)
    guessed = by_name or _by_signature(cls)
    if guessed is None:
        raise ConfigError(
            f"cannot tell from its name and its arguments what {name} is",
            details=[f"known kinds: {', '.join(KINDS)}"],
            hint="say it: --as attention",
        )
    return KINDS[guessed]


def _by_signature(cls: Callable[..., Any]) -> str | None:
    if not inspect.isclass(cls):
        return None
    names = set(inspect.signature(cls).parameters)

    def has(role: str) -> bool:
        return not names.isdisjoint(ALIASES[role])

    if has("vocab_size"):
        return "gpt"
    if has("d_ff") and has("n_heads"):
        return "block"
    if has("n_heads") or (has("d_model") and has("context_length")):
        return "attention"
    return "layer_norm" if has("eps") or len(names) == 1 else None


def with_heads(kind: Kind, sizes: Sizes, told_heads: bool) -> Sizes:
    """A class of attention that is told no number of heads has one."""
    return sizes if told_heads or kind.name != "attention" else replace(sizes, n_heads=1)
