"""Attention with each step a choice, and the mistakes in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from isinglass.inspection.mistakes.mistake import Mistake


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear layer's weight (out, in) and bias."""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


@dataclass(frozen=True, eq=False)
class AttentionWeights:
    """`out` is None where there is no final projection."""

    q: Projection
    k: Projection
    v: Projection
    out: Projection | None


@dataclass(frozen=True)
class AttentionSteps:
    """The choices of multi-head attention; the defaults are the definition (Vaswani et al. 2017, section 3.2)."""

    n_heads: int = 1
    inputs: str = "q k v"  # which projections stand for queries, keys and values
    split: str = "heads"  # how d_model becomes heads
    scale: str = "sqrt(d_head)"  # what scores are divided by
    masking: str = "-inf before softmax"
    visible: str = "earlier and self"
    axis: int = -1  # of (batch, heads, query, key)
    weights: str = "softmax"
    sum: str = "weights @ v"
    merge: str = "heads"
    projection: str = "applied"
    residual: str = "none"


def attention(x: Tensor, weights: AttentionWeights, steps: AttentionSteps) -> Tensor:
    """(batch, time, d_model) -> the same, by the chosen steps; with the default ones equal to `nn.attention.layer.Attention`."""
    projections: dict[str, Any] = {"q": weights.q, "k": weights.k, "v": weights.v, "x": lambda x: x}
    q, k, v = (_split(projections[name](x), steps) for name in steps.inputs.split())
    scores = q @ k.transpose(-2, -1) / _divisor(steps, q.shape[-1], x.shape[-1])
    weighing = _weights(scores, _visible(x.shape[1], steps.visible), steps, q.shape[-1])
    z = (weighing if steps.sum == "weights @ v" else weighing.transpose(-2, -1)) @ v
    merged = (z.transpose(1, 2) if steps.merge == "heads" else z).reshape(x.shape[0], x.shape[1], -1)
    out = weights.out(merged) if weights.out is not None and steps.projection != "missing" else merged
    if weights.out is not None and steps.projection == "no bias":
        out = linear(merged, weights.out.weight)
    return x + out if steps.residual == "added" else out


def _split(x: Tensor, steps: AttentionSteps) -> Tensor:
    batch, time, width = x.shape
    if steps.split == "one head":
        return x[:, None]
    if steps.split == "view":
        return x.reshape(batch, steps.n_heads, time, width // steps.n_heads)
    return x.unflatten(-1, (steps.n_heads, -1)).transpose(1, 2)


def _divisor(steps: AttentionSteps, d_head: int, d_model: int) -> float:
    return {
        "sqrt(d_head)": d_head**0.5, "nothing": 1.0, "d_head": float(d_head), "sqrt(d_model)": d_model**0.5,
        "1/sqrt(d_head)": d_head**-0.5, "sqrt(n_heads)": steps.n_heads**0.5, "after softmax": 1.0,
    }[steps.scale]  # fmt: skip


def _visible(time: int, rule: str) -> Tensor:
    square = torch.ones(time, time, dtype=torch.bool)
    rules = {"earlier and self": square.tril(), "all": square, "earlier only": square.tril(-1), "one ahead": square.tril(1)}
    return rules.get(rule, square.triu())


def _weights(scores: Tensor, visible: Tensor, steps: AttentionSteps, d_head: int) -> Tensor:
    if steps.masking == "-inf before softmax":
        scores = scores.masked_fill(~visible, float("-inf"))
    elif steps.masking == "0 before softmax":
        scores = scores.masked_fill(~visible, 0.0)
    elif steps.masking == "1 added":
        scores = scores + visible.float()
    weights = scores.softmax(steps.axis) if steps.weights == "softmax" else scores
    if steps.masking == "0 after softmax":
        weights = weights.masked_fill(~visible, 0.0)
    return weights / d_head**0.5 if steps.scale == "after softmax" else weights


def _mistake(name: str, words: str, hint: str, right: bool = False, **change: Any) -> Mistake[AttentionSteps]:
    return Mistake(name, words, hint, lambda steps: replace(steps, **change), right)


_SCALE = "scores = q @ k.transpose(-2, -1) / d_head**0.5, with d_head = d_model // n_heads"
_MASK = 'scores = scores.masked_fill(later, float("-inf")) before the softmax, later = torch.ones(time, time).triu(1).bool()'
_SPLIT = "x.view(batch, time, n_heads, d_head).transpose(1, 2)"
_MERGE = "z.transpose(1, 2).reshape(batch, time, d_model)"
_NAMES = "scores = q @ k.transpose(-2, -1); z = weights @ v"

MISTAKES: tuple[Mistake[AttentionSteps], ...] = (
    _mistake("no_scale", "without dividing the scores by sqrt(d_head)", _SCALE, scale="nothing"),
    _mistake("scale_d_model", "with scores divided by sqrt(d_model) instead of sqrt(d_head)", _SCALE, scale="sqrt(d_model)"),
    _mistake("scale_d_head", "with scores divided by d_head instead of its root", _SCALE, scale="d_head"),
    _mistake("scale_multiplied", "with scores multiplied by sqrt(d_head) instead of divided", _SCALE, scale="1/sqrt(d_head)"),
    _mistake("scale_n_heads", "with scores divided by sqrt(n_heads) instead of sqrt(d_head)", _SCALE, scale="sqrt(n_heads)"),
    _mistake("scale_after_softmax", "with the weights divided by sqrt(d_head) after the softmax, not the scores before it", _SCALE,
             scale="after softmax"),
    _mistake("softmax_over_queries", "with the softmax over queries (dim=-2) instead of keys", "weights = scores.softmax(dim=-1)", axis=-2),
    _mistake("softmax_over_heads", "with the softmax over heads (dim=1) instead of keys", "weights = scores.softmax(dim=-1)", axis=1),
    _mistake("softmax_over_batch", "with the softmax over the batch (dim=0) instead of keys", "weights = scores.softmax(dim=-1)", axis=0),
    _mistake("no_softmax", "without a softmax: hidden scores are -inf and the others are used as they are",
             "weights = scores.softmax(dim=-1)",
             weights="scores"),
    _mistake("mask_with_zero", "with the mask filled with 0 instead of -inf: exp(0) = 1, so later tokens still count", _MASK,
             masking="0 before softmax"),
    _mistake("mask_after_softmax", "with weights set to 0 after the softmax: the rows no longer sum to 1", _MASK,
             masking="0 after softmax"),
    _mistake("mask_added", "with the mask of ones added to the scores, which hides nothing", _MASK, masking="1 added"),
    _mistake("no_mask", "without a causal mask: every token sees the later ones", _MASK, masking="none"),
    _mistake("mask_turned_round", "with the mask the wrong way round: tokens see themselves and the later ones", _MASK,
             visible="later and self"),
    _mistake("mask_hides_self", "with a mask that hides a token from itself too (diagonal=0): the first row has nothing to see and is NaN",
             _MASK, visible="earlier only"),
    _mistake("mask_one_ahead", "with a mask that is off by one: each token sees the next one", _MASK, visible="one ahead"),
    _mistake("one_head", "with a single head of the whole width instead of n_heads", _SPLIT, split="one head"),
    _mistake("heads_by_view", "with heads made by view(batch, n_heads, time, d_head), which mixes positions into heads", _SPLIT,
             split="view"),
    _mistake("merge_by_view", "with heads put together without transpose(1, 2) before, which mixes heads into positions", _MERGE,
             merge="view"),
    _mistake("both_by_view", "with heads split and put together by view alone, which mixes positions into heads", _SPLIT, split="view",
             merge="view"),
    _mistake("queries_and_keys_exchanged", "with queries and keys exchanged", _NAMES, inputs="k q v"),
    _mistake("keys_from_queries", "with queries used as keys too", _NAMES, inputs="q q v"),
    _mistake("values_from_keys", "with keys used as values too", _NAMES, inputs="q k k"),
    _mistake("values_from_queries", "with queries used as values too", _NAMES, inputs="q k q"),
    _mistake("keys_and_values_exchanged", "with keys and values exchanged", _NAMES, inputs="q v k"),
    _mistake("values_not_projected", "with x itself as the values", "v = v_proj(x)", inputs="q k x"),
    _mistake("weights_transposed", "with the weights transposed before they meet the values", _NAMES, sum="weights.T @ v"),
    _mistake("projection_not_applied", "without the final projection: the layer is there, but not used", "return out_proj(z)",
             projection="missing"),
    _mistake("projection_without_bias", "with the final projection's bias left out", "return out_proj(z)", projection="no bias"),
    _mistake("residual_inside", "with x added inside: the block adds it, not attention", "return out_proj(z)", residual="added"),
)  # fmt: skip
