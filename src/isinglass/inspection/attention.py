"""Attention of a traced text: every layer and head at once, where each head's weight goes, and what the layers mix together (rollout)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.inspection.reading import AttentionSite, Which, token_text
from isinglass.inspection.trace import Trace
from isinglass.show.finding import Finding
from isinglass.show.marks.attention_grid import LONGEST, AttentionGrid
from isinglass.show.marks.attention_measures import PLACES, SPREAD, UNITS
from isinglass.show.marks.bars import bars
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.showable import Showable
from isinglass.show.table import Table

LONGEST_CROSS = 128  # tokens on each side: a chart of more cells than that is slow in a browser
_KEYS = 3  # strongest keys listed for each query


@dataclass(frozen=True)
class AttentionView(Finding):
    """Attention of all heads, opened at one (`layer`, `head`). `weights` is `[layers, heads, query, key]`.

    `picture` shows it; `heads` has a row per head: entropy, mean distance, where it goes, and the key-value head it reads; `looks` has
    a row per query of the open head with its strongest keys.
    """

    layer: int
    head: int
    weights: Float[Tensor, "layers heads query key"]
    queries: tuple[str, ...]
    keys: tuple[str, ...]
    picture: Showable
    heads: Table
    looks: Table

    @property
    def parts(self) -> tuple[Showable, ...]:
        return self.picture, self.heads, self.looks

    @property
    def of_layer(self) -> Table:
        """The heads of the open layer alone."""
        rows = [row for row in self.heads.rows if row["layer"] == self.layer]
        title = f"Where each head of layer {self.layer} looks"
        return Table(rows, title=title, units=self.heads.units, notes=self.heads.notes, command=self.heads.command)

    @property
    def data(self) -> dict[str, Any]:
        opened = self.weights[self.layer, self.head].tolist()
        return {
            "queries": self.queries,
            "keys": self.keys,
            "heads": self.heads.rows,
            "open": {"layer": self.layer, "head": self.head, "weights": opened},
        }


def attention(
    trace: Trace, *, layer: int = 0, head: int = 0, which: Which | None = None, row: int = 0, command: str | None = None
) -> AttentionView:
    """The attention of one text of a trace. `which` is needed for encoder-decoders: "encoder", "decoder" (the default) or "cross".

    Raises EngineError for a layer, head or row that does not exist, and for a text that is too long for a picture (512 tokens).

    >>> import isinglass as ig
    >>> found = attention(ig.trace(ig.create("tiny"), "abc"), layer=1, head=2)
    >>> found.heads.rows[6]["kv_head"], found.weights.shape
    (1, torch.Size([2, 4, 3, 3]))
    """
    site = trace.reading.attention(which)
    _exists(layer, len(site.layers), "layer")
    _exists(head, site.layers[0].dims.n_heads, "head")
    queries, keys = _tokens(trace, site, row)
    crossed = which == "cross"
    _fits(queries, keys, LONGEST_CROSS if crossed else LONGEST)
    weights = trace.attention_weights(row, which).float().cpu()
    if crossed:
        picture: Showable = _cross_map(weights[layer, head], queries, keys, f"layer {layer}, head {head}", command)
        measured: list[dict[str, Any]] = _cross_measures(weights)
    else:
        grid = trace.attention(layer, head, row=row, which=which, command=command)
        picture, measured = grid, grid.data.rows
    heads = _heads(weights, site, keys, measured, command)
    looks = _looks(weights[layer, head], queries, keys, f"layer {layer}, head {head}", command)
    return AttentionView(layer, head, weights, tuple(queries), tuple(keys), picture, heads, looks)


def _tokens(trace: Trace, site: AttentionSite, row: int) -> tuple[list[str], list[str]]:
    _exists(row, len(site.queries.ids), "row")
    return tuple([token_text(trace.lm, id) for id in rows.ids[row]] for rows in (site.queries, site.keys))  # type: ignore[return-value]


def _exists(number: int, size: int, what: str) -> None:
    if not 0 <= number < size:
        raise EngineError(f"{what} {number} does not exist", details=[f"there are {what}s 0 to {size - 1}"])


def _fits(queries: Sequence[str], keys: Sequence[str], most: int) -> None:
    longest = max(len(queries), len(keys))
    if longest > most:
        raise EngineError(
            f"the text has {longest} tokens; a picture of this attention shows up to {most}",
            hint=f"look at a part of it, such as its last {most} tokens; isinglass inspect heads measures texts of any length",
        )


def _heads(
    weights: Float[Tensor, "layers heads query key"],
    site: AttentionSite,
    keys: Sequence[str],
    measured: Sequence[dict[str, Any]],
    command: str | None,
) -> Table:
    """One row per head: its measures, and the key that gets most of it."""
    mean = weights.mean(dim=2)
    top = mean.argmax(dim=-1)
    rows = [
        {
            "layer": one["layer"], "head": one["head"], "kv_head": site.kv_head_of[one["head"]],
            **{name: one[name] for name in (*SPREAD, *PLACES) if name in one},
            "strongest key": keys[int(top[one["layer"], one["head"]])], "at": int(top[one["layer"], one["head"]]),
            "its share": float(mean[one["layer"], one["head"]].max()),
        }
        for one in measured
    ]  # fmt: skip
    shown = {name: text for name, text in {**SPREAD, **PLACES}.items() if name in measured[0]}
    notes = [*(f"{name}: {text}" for name, text in shown.items()), "strongest key: the one with the largest mean weight over all queries"]
    units = {name: UNITS[name] for name in shown} | {"its share": "ratio"}
    return Table(rows, title="Where each head looks", units=units, notes=notes, command=command)


def _cross_measures(weights: Float[Tensor, "layers heads query key"]) -> list[dict[str, Any]]:
    """Of two texts only the spread has a meaning: a key is neither before nor behind a query."""
    entropy = -torch.special.xlogy(weights, weights).sum(-1).mean(-1)
    layers, heads = entropy.shape
    return [{"layer": l, "head": h, "entropy": float(entropy[l, h])} for l in range(layers) for h in range(heads)]  # noqa: E741


def _cross_map(weights: Float[Tensor, "query key"], queries: list[str], keys: list[str], where: str, command: str | None) -> Showable:
    return heatmap(
        weights.numpy(), title=f"Cross-attention of {where}: from what is written to what was read", rows=queries, columns=keys,
        row_axis="written", column_axis="read", value="attention weight", limits=(0.0, 1.0), command=command,
    )  # fmt: skip


def _looks(weights: Float[Tensor, "query key"], queries: Sequence[str], keys: Sequence[str], where: str, command: str | None) -> Table:
    """The strongest keys of each query; none where the mask leaves fewer."""
    rows, units = [], {}
    for position, token in enumerate(queries):
        row: dict[str, Any] = {"position": position, "token": token}
        values, places = weights[position].topk(min(_KEYS, len(keys)))
        for rank, (value, place) in enumerate(zip(values.tolist(), places.tolist(), strict=True), start=1):
            if value > 0:
                row |= {f"key {rank}": keys[place], f"at {rank}": place, f"weight {rank}": value}
                units[f"weight {rank}"] = "ratio"
        rows.append(row)
    return Table(rows, title=f"What each token looks at most, {where}", units=units, command=command)


@dataclass(frozen=True)
class Rollout(Finding):
    """How much of each token has reached each place after every layer: `weights [layers, query, key]`. `grid` and `reached` show it."""

    position: int
    weights: Float[Tensor, "layers query key"]
    tokens: tuple[str, ...]
    grid: AttentionGrid
    reached: Showable

    @property
    def parts(self) -> tuple[Showable, ...]:
        return self.grid, self.reached

    @property
    def data(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "position": self.position, "after_last_layer": self.weights[-1].tolist()}


def rollout(trace: Trace, *, position: int = -1, which: Which | None = None, row: int = 0, command: str | None = None) -> Rollout:
    """Attention rollout: the layers' attention multiplied up, half of each layer being the residual stream itself.

    Of each layer the mean over heads A becomes 0.5 A + 0.5 I with rows that sum to 1; the product of these down to the embeddings says
    how much of each input token has been mixed into each place. It knows nothing of values or feed-forward layers: a picture of where
    information could flow. Raises EngineError for cross-attention, whose maps are not square.

    Source: Abnar and Zuidema 2020, Quantifying Attention Flow in Transformers, section 3.

    >>> import isinglass as ig
    >>> rollout(ig.trace(ig.create("tiny"), "abc")).weights.sum(-1).sum().item()
    6.0
    """
    site = trace.reading.attention(which)
    if which == "cross":
        raise EngineError(
            "rollout of cross-attention is not defined: its queries and keys are two texts", hint='which="encoder" or which="decoder"'
        )
    tokens, _ = _tokens(trace, site, row)
    _fits(tokens, tokens, LONGEST)
    if not -len(tokens) <= position < len(tokens):
        raise EngineError(f"position {position} does not exist", details=[f"this text has positions 0 to {len(tokens) - 1}"])
    place = position % len(tokens)
    products = rolled(trace.attention_weights(row, which))
    grid = AttentionGrid(
        products[:, None].float().numpy(force=True), tokens, title="Attention rollout: what each place is made of, after each layer",
        causal=site.causal, focus=(len(products) - 1, 0), command=command,
        notes=("one map per layer: its attention (mean over heads) and the residual stream half and half, multiplied down to the tokens",),
    )  # fmt: skip
    final = products[-1, place]
    best = final.topk(min(15, len(tokens))).indices.tolist()
    reached = bars(
        [f"{tokens[at]} ({at})" for at in best], [float(final[at]) for at in best],
        title=f"What has reached {tokens[place]!r} (position {place}) after the last layer", axis="share", unit="ratio", limit=1.0,
        command=command,
    )  # fmt: skip
    return Rollout(place, products, tuple(tokens), grid, reached)


def rolled(weights: Float[Tensor, "layers heads query key"]) -> Float[Tensor, "layers query key"]:
    """The rollout after each layer, in fp64."""
    mixed = weights.double().mean(dim=1)
    mixed = 0.5 * mixed + 0.5 * torch.eye(mixed.shape[-1], dtype=mixed.dtype, device=mixed.device)
    mixed = mixed / mixed.sum(dim=-1, keepdim=True)
    after = [mixed[0]]
    for layer in mixed[1:]:
        after.append(layer @ after[-1])
    return torch.stack(after)
