"""The attention of all layers and heads at once, any length to 512 tokens: thumbnails, and one head enlarged with its tokens."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isinglass.core.errors import ShapeError
from isinglass.show import embed, format, sketch, terminal
from isinglass.show.marks import attention_payload, attention_picture
from isinglass.show.marks.attention_measures import UNITS, measures
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.show.theme import LIGHT, Palette

if TYPE_CHECKING:
    from rich.console import RenderableType

LONGEST = 512  # tokens


class AttentionGrid(Showable):
    """`weights [layers, heads, query, key]`, each row a distribution over keys, with the tokens they stand for.

    `causal` says that a query sees only keys up to itself (what lies above the diagonal is not sent). `kv_head_of` names for each query
    head the key-value head it reads (grouped-query attention). `focus` is the (layer, head) shown first. `scale` "sqrt" colours by the
    square root of a weight: among hundreds of keys even a strong link is a small number, and stays visible; values are printed as they
    are. On a page weights are exact to 1/510.

    Raises ShapeError when shapes do not fit, when there are more than 512 tokens, or when a causal map has weight above the diagonal.

    >>> AttentionGrid(np.eye(2)[None, None], ["a", "b"], title="Each token sees itself", causal=True).data.rows[0]["to_itself"]
    1.0
    """

    needs = ("attention_grid",)

    def __init__(
        self,
        weights: ArrayLike,
        tokens: Sequence[str | bytes],
        *,
        title: str,
        causal: bool,
        kv_head_of: Sequence[int] | None = None,
        focus: tuple[int, int] = (0, 0),
        scale: Literal["linear", "sqrt"] = "sqrt",
        command: str | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.weights = _checked(np.array(weights, dtype=np.float32), len(tokens), title, causal)
        layers, heads = self.weights.shape[:2]
        if kv_head_of is not None and len(kv_head_of) != heads:
            raise ShapeError(f"attention grid {title!r}: kv_head_of has {len(kv_head_of)} entries for {heads} heads")
        if not (0 <= focus[0] < layers and 0 <= focus[1] < heads):
            raise ShapeError(f"attention grid {title!r}: focus {focus!r} is outside of {layers} layers and {heads} heads")
        self.tokens = tuple(format.token(token) for token in tokens)
        self.causal, self.focus = causal, focus
        self.kv_head_of = None if kv_head_of is None else tuple(int(head) for head in kv_head_of)
        self.scale = scale
        drawn = "scale: attention weight from 0 to 1" + (", coloured by its square root" if scale == "sqrt" else "")
        self.title, self.command, self.notes = title, command, (*notes, drawn)

    @property
    def data(self) -> Table:
        """One row per head: how spread its attention is and where it goes (`attention_measures` has the definitions)."""
        return self._measured

    @functools.cached_property
    def _measured(self) -> Table:
        layers, heads = self.weights.shape[:2]
        found = measures(self.weights, causal=self.causal)
        rows = [
            {"layer": layer, "head": head, **self._shared(head), **{name: float(values[layer, head]) for name, values in found.items()}}
            for layer in range(layers)
            for head in range(heads)
        ]
        return Table(rows, title=self.title, units=UNITS, command=self.command)

    def _shared(self, head: int) -> dict[str, int]:
        return {} if self.kv_head_of is None else {"kv_head": self.kv_head_of[head]}

    def body_html(self, key: str) -> str:
        """The element `ig-attention-grid` with its packed weights; `attention_grid.js` draws it on canvases."""
        layers, heads, time, _ = self.weights.shape
        content = {
            "layers": layers,
            "heads": heads,
            "tokens": self.tokens,
            "causal": self.causal,
            "kvHeadOf": self.kv_head_of,
            "focus": self.focus,
            "scale": self.scale,
            "payload": attention_payload.pack(self.weights, causal=self.causal),
        }
        return (
            f'<ig-attention-grid data-pictures="PNG" data-tokens="{time}">'
            f'<script type="application/json">{embed.script_json(content)}</script></ig-attention-grid>'
        )

    def sketch(self, width: int) -> RenderableType:
        """Layers by heads shaded by the share of attention that goes to the first token, then the head in focus."""
        from rich.console import Group
        from rich.text import Text

        layer, head = self.focus
        first = measures(self.weights, causal=self.causal)["to_first"]
        names = [f"layer {number}" for number in range(self.weights.shape[0])]
        return Group(
            Text(sketch.fit("each head: share of attention on the first token", width).rstrip(), style=terminal.QUIET),
            sketch.heatmap(first, names, 0.0, 1.0, width),
            Text(sketch.fit(f"layer {layer}, head {head}: queries down, keys across", width).rstrip(), style=terminal.QUIET),
            sketch.heatmap(self.weights[layer, head], self.tokens, 0.0, 1.0, width),
        )

    def to_svg(self, palette: Palette = LIGHT) -> str:
        """All layers and heads with their numbers; heads of more than 128 tokens are shown in 128 blocks (largest weight of each)."""
        blocks = ("each pixel: the largest weight of a block of tokens",) if len(self.tokens) > 128 else ()
        sheet = attention_picture.raster(self.weights, causal=self.causal, scale=self.scale, palette=palette)
        return attention_picture.picture(
            sheet, self.weights.shape[:2], title=self.title, kv_head_of=self.kv_head_of, scale=self.scale,
            notes=(*self.notes, *blocks), palette=palette,
        )  # fmt: skip

    def to_json(self) -> str:
        """Tokens and packed weights (see `attention_payload`)."""
        payload = attention_payload.pack(self.weights, causal=self.causal)
        content = {
            "title": self.title,
            "shape": self.weights.shape,
            "causal": self.causal,
            "tokens": self.tokens,
            "kv_head_of": self.kv_head_of,
        }
        return embed.to_json({**content, "error": attention_payload.ERROR, "payload": payload}, indent=2) + "\n"

    def formats(self) -> dict[str, Callable[[], str | bytes]]:
        """Suffix -> maker; `.csv` holds one row per head."""
        return {
            ".csv": lambda: self.data.to_csv(), ".html": self.to_html, ".json": self.to_json, ".png": self.to_png, ".svg": self.to_svg,
            ".txt": lambda: self.to_terminal(120, color=False) + "\n",
        }  # fmt: skip


def _checked(weights: NDArray[np.float32], time: int, title: str, causal: bool) -> NDArray[np.float32]:
    where = f"attention grid {title!r}"
    if weights.ndim != 4 or weights.shape[2:] != (time, time) or 0 in weights.shape:
        raise ShapeError(f"{where}: weights have shape {weights.shape}, expected (layers, heads, {time}, {time}) for {time} tokens")
    if time > LONGEST:
        raise ShapeError(f"{where}: {time} tokens, at most {LONGEST} can be shown", hint=f"pass weights[..., -{LONGEST}:, -{LONGEST}:]")
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.max() > 1 + 1e-3:
        raise ShapeError(
            f"{where}: weights must lie in 0..1, found {weights.min():.4g} to {weights.max():.4g}", hint="pass the weights after softmax"
        )
    if causal and np.triu(weights, 1).max() > attention_payload.ERROR:
        raise ShapeError(
            f"{where}: causal, but a query looks at a later key with weight {np.triu(weights, 1).max():.4g}", hint="pass causal=False"
        )
    return weights
