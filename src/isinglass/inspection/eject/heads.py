"""Heads as text: what turns hidden states into answers."""

from __future__ import annotations

from typing import Any

from isinglass.inspection.eject.parts import Pieces, activation, number, refused
from isinglass.inspection.eject.source import Edits, card_line, piece
from isinglass.models.head import Head
from isinglass.models.heads.classification import Classification
from isinglass.models.heads.masked_lm import MaskedLM
from isinglass.models.heads.next_sentence import NextSentence
from isinglass.models.heads.pooler import PoolerHead
from isinglass.models.heads.pooling import Pooling
from isinglass.models.heads.reward import Reward
from isinglass.models.heads.span import Span
from isinglass.models.heads.value import Value
from isinglass.nn.pooling import Pooler

_POOLING = "isinglass.nn.pooling"
_DROPPED = frozenset(
    {"slots", "dims", "labels", "self.labels", "activation", "self.activation", "pooling", "kind", "self.pool", "features"}
)
_POOLED = {"self.pooler(hidden, slots.valid)": "self.pooler(hidden)"}


def head(of: Head, dropout: float) -> tuple[str, Pieces]:
    """How a head is made, and what that needs."""
    if type(of) not in (MaskedLM, Classification, NextSentence, PoolerHead, Pooling, Reward, Span, Value):
        raise refused("head", of)
    pieces, replace, drop = _settings(of, dropout)
    name = type(of).__name__
    unwrap = {"self.dropout": 0} if not dropout else {}
    edits = Edits(replace, _DROPPED | drop, unwrap, doc=card_line(type(of).__module__))
    return f"{name}()", {**pieces, name: piece(type(of).__module__, name, edits)}


def _settings(of: Any, dropout: float) -> tuple[Pieces, dict[str, str], frozenset[str]]:
    """What a head needs, and the edits of its source."""
    if isinstance(of, MaskedLM):
        function = of.activation.__name__
        norm = {"LayerNorm": piece("isinglass.nn.norms", "LayerNorm")}
        dims = {"dims.d_model": "D_MODEL", "dims.norm_eps": "NORM_EPS", "dims.vocab_size": "VOCAB_SIZE"}
        inner = {"self.features(hidden)": f"self.norm({function}(self.dense(hidden)))"}
        return {**activation(function), **norm}, {**dims, **inner}, frozenset()
    if isinstance(of, Classification):
        pooled, pieces, gone = _pooled(of.pooler)
        chosen = 'Pooler(dims.d_model) if pooling == "pooler" else pooling_named(pooling)'
        drop = gone | (frozenset() if dropout else frozenset({"self.dropout"}))
        dropped = {"Dropout(dims.dropout)": "nn.Dropout(DROPOUT)"} if dropout else {}
        made = {chosen: "Pooler()"} if not gone else {}
        sizes = {"dims.d_model": "D_MODEL", "n_labels": number(of.out_proj.out_features)}
        return pieces, {**made, **dropped, **sizes, "self.pooler(hidden, slots.valid)": pooled}, drop
    if isinstance(of, Pooling):
        pieces, pooled = _function(of.pool.__name__)
        return pieces, {"self.pool(hidden, slots.valid)": pooled}, frozenset()
    if isinstance(of, NextSentence):
        return _pooler(), {**_POOLED, "Pooler(dims.d_model)": "Pooler()", "dims.d_model": "D_MODEL"}, frozenset()
    if isinstance(of, PoolerHead):
        return _pooler(), {**_POOLED, "Pooler(d_model)": "Pooler()"}, frozenset({"d_model"})
    if isinstance(of, Reward):
        pieces, pooled = _function("last")
        return pieces, {"d_model": "D_MODEL", "last(hidden, slots.valid)": pooled}, frozenset()
    if isinstance(of, Span):
        return {}, {"dims.d_model": "D_MODEL", "slots.valid": "None"}, frozenset()
    return {}, {"d_model": "D_MODEL"}, frozenset()


def _pooled(pooler: Any) -> tuple[str, Pieces, frozenset[str]]:
    """The pooled vector as an expression, what it needs, and whether the attribute goes."""
    if isinstance(pooler, Pooler):
        return "self.pooler(hidden)", _pooler(), frozenset()
    pieces, pooled = _function(pooler.__name__)
    return pooled, pieces, frozenset({"self.pooler"})


def _function(name: str) -> tuple[Pieces, str]:
    return {name: piece(_POOLING, name, Edits({"valid": "None"}))}, f"{name}(hidden)"


def _pooler() -> Pieces:
    pieces, pooled = _function("first")
    edits = Edits({"d_model": "D_MODEL", "first(hidden, valid)": pooled}, frozenset({"valid"}))
    return {**pieces, "Pooler": piece(_POOLING, "Pooler", edits)}
