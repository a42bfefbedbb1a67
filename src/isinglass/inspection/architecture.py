"""The architecture of a model: its parts with their sizes and shares, which tap is what, and what the vocabulary costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isinglass.generation.lm import LM
from isinglass.inspection.anatomy import TOKENS, Column, anatomy, inside_layer
from isinglass.inspection.architecture_picture import picture
from isinglass.inspection.vocabulary_width import compared, grid
from isinglass.models.config import ModelConfig
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table

# what is at a tap, by the end of its name; with how the axes of its shape are called
TAPS: dict[str, tuple[str, str]] = {
    "embed": ("token embeddings, with what positions add to them", "batch, time, d_model"),
    "resid_pre": ("the residual stream before the block", "batch, time, d_model"),
    "attention.q_raw": ("queries before positions turn them", "batch, heads, time, d_head"),
    "attention.k_raw": ("keys before positions turn them", "batch, kv_heads, time, d_head"),
    "attention.q": ("queries", "batch, heads, time, d_head"),
    "attention.k": ("keys", "batch, kv_heads, time, d_head"),
    "attention.v": ("values", "batch, kv_heads, time, d_head"),
    "attention.scores": ("q k, scaled, before softmax; -inf where a key is hidden", "batch, heads, query, key"),
    "attention.weights": ("attention weights: softmax of the scores over the keys", "batch, heads, query, key"),
    "attention.z": ("what each head reads: values in the mixture of its weights", "batch, heads, time, d_head"),
    "attention.out": ("what attention adds to the residual stream", "batch, time, d_model"),
    "resid_mid": ("the residual stream after attention", "batch, time, d_model"),
    "resid_cross": ("the residual stream after cross-attention", "batch, time, d_model"),
    "mlp.gate": ("the gate of each neuron, before its activation", "batch, time, d_ff"),
    "mlp.up": ("what the gate lets through", "batch, time, d_ff"),
    "mlp.router": ("scores of the experts for each token", "batch, time, experts"),
    "mlp.pre": ("the neurons: what enters the last projection", "batch, time, d_ff"),
    "mlp.post": ("what the feed-forward layer adds to the residual stream", "batch, time, d_model"),
    "resid_post": ("the residual stream after the block", "batch, time, d_model"),
    "norm": ("after the final norm: what the output head reads", "batch, time, d_model"),
    "logits": ("a number for each token of the vocabulary; softmax makes probabilities of them", "batch, time, vocab"),
}


@dataclass(frozen=True)
class Architecture(Finding):
    """`picture` is the way of a text through the parts; `taps` says what is where; `grid` and `models` are vocabulary against width."""

    name: str
    columns: tuple[Column, ...]
    picture: Figure
    taps: Table
    grid: Figure
    models: Figure
    config: ModelConfig

    @property
    def n_parameters(self) -> int:
        """Weights in all, shared ones once."""
        return sum(part.parameters for column in self.columns for part in column.parts)

    @property
    def parts(self) -> tuple[Showable, ...]:
        return self.picture, self.taps, self.grid, self.models

    @property
    def data(self) -> dict[str, Any]:
        return {
            "model": self.name,
            "config": self.config.to_dict(),
            "n_parameters": self.n_parameters,
            "parts": _rows(self.picture),
            "taps": self.taps.rows,
            "embedding_shares": _rows(self.models),
        }


def architecture(model: LM | ModelConfig, *, name: str = "", command: str | None = None) -> Architecture:
    """The picture of a model, or of one that a config describes: its weights are then neither made nor read.

    >>> import isinglass as ig
    >>> found = architecture(ig.create("tiny"))
    >>> found.n_parameters, found.taps.rows[1]["tap"], found.taps.rows[1]["shape"]
    (108864, 'layers.N.resid_pre', '1 x 5 x 64')
    """
    config = model.config if isinstance(model, LM) else model
    name = name or (str(model.card.get("source", config.family)) if isinstance(model, LM) else config.family)
    columns = anatomy(model)
    total = sum(part.parameters for column in columns for part in column.parts)
    notes = [f"filled: a part's share of the weights; dots: taps, the shapes of which are those of a text of {TOKENS} tokens"]
    if any(per_layer_settings(config)):
        notes.append(f"layers differ in {', '.join(per_layer_settings(config))}; the first one is drawn")
    title = f"{name}: {total:,} weights, and where they are"
    return Architecture(
        name, columns, picture(columns, title=title, notes=notes, command=command), _taps(columns, command),
        grid(config, name, command=command), compared(config, name, command=command), config,
    )  # fmt: skip


def _rows(figure: Figure) -> list[dict[str, Any]]:
    return [] if figure.data is None else figure.data.rows


def per_layer_settings(config: ModelConfig) -> list[str]:
    """Settings of attention that are given layer by layer."""
    return [part for part in ("position", "mask", "kernel") if isinstance(getattr(config.attention, part), list)]


def _taps(columns: tuple[Column, ...], command: str | None) -> Table:
    """One row for each kind of tap."""
    rows = []
    for column in columns:
        for tap in column.taps:
            what, axes = described(tap.name)
            times = column.times if inside_layer(tap.name) else 1
            rows.append({"tap": tap.name, "times": times, "shape": " x ".join(map(str, tap.shape)), "axes": axes, "what it is": what})
    notes = [f"shapes for one text of {TOKENS} tokens; N is the layer, from 0", 'read one: ig.trace(lm, text)["layers.0.resid_post"]']
    return Table(rows, title="Which tap is what", notes=notes, command=command)


def described(name: str) -> tuple[str, str]:
    """What is at a tap and how its axes are called; nothing for a place that a user's own part named."""
    last = name.rpartition("layers.N.")[2].replace("cross_attention.", "attention.")
    if name.startswith("heads."):
        return f"the answer of the head {name.removeprefix('heads.')}", ""
    found = TAPS.get(last) or TAPS.get(last.rpartition(".")[2]) or ("", "")
    crossing = "cross-attention: " if ".cross_attention." in name else ""
    return crossing + found[0], found[1]
