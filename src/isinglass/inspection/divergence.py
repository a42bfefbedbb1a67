"""How far two tensors of one place are apart, and the first place where two models differ, in words and pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from isinglass.show.finding import Finding
from isinglass.show.format import token
from isinglass.show.marks.lines import lines
from isinglass.show.showable import Showable
from isinglass.show.table import Table

_WORDS = {
    "embed": "the embeddings",
    "resid_pre": "what enters the block",
    "attention.q_raw": "the queries before rotation",
    "attention.k_raw": "the keys before rotation",
    "attention.q": "the queries",
    "attention.k": "the keys",
    "attention.v": "the values",
    "attention.scores": "the scores before the softmax",
    "attention.weights": "the attention weights",
    "attention.z": "the weighted values of the heads",
    "attention.out": "what attention adds",
    "resid_mid": "the residual stream after attention",
    "resid_cross": "the residual stream after cross-attention",
    "mlp.gate": "the gate of the feed-forward layer",
    "mlp.up": "the widened input of the feed-forward layer",
    "mlp.pre": "what enters the last projection of the feed-forward layer",
    "mlp.post": "what the feed-forward layer adds",
    "resid_post": "the residual stream after the block",
    "norm": "the final norm",
    "logits": "the logits",
}


def in_words(tap: str) -> str:
    """A tap's name as one says it.

    >>> in_words("decoder.layers.3.attention.out")
    'what attention adds in layer 3 of the decoder'
    """
    found = re.fullmatch(r"(?:(encoder|decoder)\.)?(?:layers\.(\d+)\.)?(cross_)?(.+)", tap)
    if found is None:
        return tap
    stack, layer, cross, last = found.groups()
    words = _WORDS.get(last, last)
    return " ".join(
        [
            words.replace("attention", "cross-attention") if cross else words,
            *([f"in layer {layer}"] if layer else []),
            *([f"of the {stack}"] if stack else []),
        ]
    )


@dataclass(frozen=True)
class Difference:
    """Of one tap. `relative` is |A - B| / |A| in norms, `cosine` that of the two as vectors, `size` the largest |A|.

    None stands where shapes differ.
    """

    tap: str
    shape: tuple[int, ...]
    other_shape: tuple[int, ...]
    max_difference: float | None
    relative: float | None
    cosine: float | None
    size: float

    def beyond(self, tolerance: float) -> bool:
        """Further apart than rounding makes it: more than `tolerance`, or that share of the largest value."""
        return self.max_difference is None or not self.max_difference <= tolerance * max(1.0, self.size)


def difference(tap: str, a: Tensor, b: Tensor) -> Difference:
    """In float64. Places that are infinite in the same way, as hidden scores are, do not differ."""
    size = a.double().abs()
    largest = float(size[size.isfinite()].max()) if bool(size.isfinite().any()) else 0.0
    if a.shape != b.shape:
        return Difference(tap, tuple(a.shape), tuple(b.shape), None, None, None, largest)
    same = (a == b) | (a.isnan() & b.isnan())
    apart = (a.double() - b.double()).masked_fill(same, 0.0).nan_to_num(float("inf"), float("inf"), float("-inf"))
    x, y = (t.double().nan_to_num(0.0, 0.0, 0.0).flatten() for t in (a, b))
    length, product = float(x.norm()), float(x.norm() * y.norm())
    most, off = float(apart.abs().max()), float(apart.norm())
    relative = 0.0 if off == 0 else off / length if length else float("inf")
    cosine = float(x @ y) / product if product else (1.0 if most == 0 else 0.0)
    return Difference(tap, tuple(a.shape), tuple(b.shape), most, relative, cosine, largest)


@dataclass(frozen=True)
class Divergence(Finding):
    """Two models over one text. `rows` are in the order of the pass, `mapping` says what of a student's class was taken for which tap."""

    a: str
    b: str
    tokens: tuple[str, ...]
    rows: tuple[Difference, ...]
    tolerance: float
    notes: tuple[str, ...] = ()
    mapping: Mapping[str, Sequence[str]] | None = None
    command: str | None = None

    @property
    def first(self) -> Difference | None:
        """The first tap where they differ; None when they agree everywhere."""
        return next((row for row in self.rows if row.beyond(self.tolerance)), None)

    @property
    def verdict(self) -> str:
        """The finding as one sentence."""
        first = self.first
        if first is None:
            return f"{self.a} and {self.b} agree at all {len(self.rows)} places compared, within {self.tolerance:g}"
        before = self.rows[self.rows.index(first) - 1].tap if self.rows[0] is not first else None
        upto = f"agree up to {before} and " if before else ""
        by = f"by {first.max_difference:.2g}" if first.max_difference is not None else "in shape"
        return f"{self.a} and {self.b} {upto}differ first at {first.tap}, {in_words(first.tap)}, {by}"

    @property
    def data(self) -> dict[str, Any]:
        first = self.first
        return {
            "a": self.a, "b": self.b, "tokens": list(self.tokens), "tolerance": self.tolerance, "verdict": self.verdict,
            "first": None if first is None else first.tap, "taps": [vars(row) for row in self.rows], "notes": list(self.notes),
            "mapping": None if self.mapping is None else {name: list(taps) for name, taps in self.mapping.items()},
        }  # fmt: skip

    @property
    def parts(self) -> Sequence[Showable]:
        tokens = f"tokens: {'│'.join(map(token, self.tokens))}"
        rule = f"beyond: more than {self.tolerance:g}, or {self.tolerance:g} of the largest value of the tap in {self.a} (rounding)"
        rows = [
            {
                "tap": row.tap,
                "shape": _shapes(row),
                "largest difference": row.max_difference,
                "relative": row.relative,
                "cosine": row.cosine,
                "largest value": row.size,
                "beyond": row.beyond(self.tolerance),
            }
            for row in self.rows
        ]
        table = Table(rows, title=self.verdict, notes=[tokens, rule, *self.notes], command=self.command)
        return [*self._figure(), table, *self._mapped()]

    def _figure(self) -> list[Showable]:
        places = [(number, row.max_difference) for number, row in enumerate(self.rows) if row.max_difference]
        if not places:
            return []
        xs, ys = zip(*places, strict=True)
        limit = {"tolerance": ([0.0, float(len(self.rows) - 1)], [self.tolerance] * 2)}
        zeros = sum(row.max_difference == 0 for row in self.rows)
        notes = [f"{zeros} of {len(self.rows)} places are equal to the last bit and cannot stand on a log axis"] if zeros else []
        return [
            lines(
                {"largest |difference|": (xs, ys)}, title=self.verdict, x="place in the pass (tap)", y="largest |difference|", theory=limit,
                y_scale="log", notes=notes, command=self.command,
            )
        ]  # fmt: skip

    def _mapped(self) -> list[Showable]:
        if self.mapping is None:
            return []
        rows = [{"module of yours": name or "(its output)", "tap": ", ".join(taps)} for name, taps in self.mapping.items()]
        notes = ["NAME:input is what enters a module. Another map: --map map.toml, lines of a [taps] table"]
        return [Table(rows, title="What was taken for what", notes=notes)]


def _shapes(row: Difference) -> str:
    shape = " × ".join(map(str, row.shape))
    return shape if row.shape == row.other_shape else f"{shape} beside {' × '.join(map(str, row.other_shape))}"
