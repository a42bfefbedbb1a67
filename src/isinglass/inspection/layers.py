"""Layers compared: how alike the states of two layers are, and how long the vectors of the residual stream and of what is added to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.inspection.reading import token_text
from isinglass.inspection.stream import Side, Stream, position_number, row_number, states, stream
from isinglass.metrics.similarity import cosine, pairwise_cka, pairwise_unbiased_cka
from isinglass.show import format
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.marks.lines import lines
from isinglass.show.showable import Showable
from isinglass.show.table import Table

if TYPE_CHECKING:
    from isinglass.inspection.trace import Trace

_UNBIASED = 4  # tokens from which on there is an unbiased estimate


@dataclass(frozen=True, eq=False)
class LayerSimilarity(Finding):
    """Of every two of `places` ("embed" is what enters the first layer): `cosines` of each token's two states, `cka` (linear centred kernel
    alignment) of all tokens' states, biased upwards for few tokens, and `unbiased`, which is not; None for fewer than 4 tokens.

    CKA and means leave out the first `skip` tokens. `dominated` are the places where a single token makes up more than half of the variance
    that CKA compares, with that token's position. `position` is the token whose cosines the figure shows; None shows the mean.
    """

    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    places: tuple[str, ...]
    position: int | None
    skip: int
    d_model: int
    dominated: dict[str, int]
    cosines: Float[Tensor, "places places time"]
    cka: Float[Tensor, "places places"]
    unbiased: Float[Tensor, "places places"] | None
    command: str | None = None

    @property
    def parts(self) -> Sequence[Showable]:
        n, d = len(self.tokens) - self.skip, self.d_model
        few = [f"{n} tokens and {d} features: linear CKA is close to 1 for unrelated states too; the unbiased estimate is not"]
        read = f"tokens: {'│'.join(map(format.token, self.tokens))}"
        read += f" (the first {self.skip} left out)" if self.skip else ""
        notes = [read, *(few if n <= d else []), *self._warning]
        shown = [self._map(self.cka, "Linear CKA between layers, over tokens", "linear CKA", (0.0, 1.0), notes)]
        if self.unbiased is not None:
            title = "The same, estimated without bias: 0 for unrelated states"
            lowest = min(0.0, float(self.unbiased.nan_to_num().min()))
            shown.append(self._map(self.unbiased, title, "unbiased CKA", (lowest, 1.0), [read, *self._warning]))
        at = self.position
        of = "mean over tokens" if at is None else f"token {at} ({self.tokens[at]!r})"
        values = self._mean if at is None else self.cosines[..., at]
        shown.append(self._map(values, f"Cosine between a token's states in two layers: {of}", "cosine", (-1.0, 1.0), [read]))
        return [*shown, self.table]

    @property
    def table(self) -> Table:
        """Each place beside the one before it and the last."""
        mean, rows = self._mean, []
        for number, name in enumerate(self.places):
            row: dict[str, Any] = {"after": name}
            for told, other in (("before", number - 1 if number else None), ("last", len(self.places) - 1)):
                row[f"cosine to {told}"] = None if other is None else float(mean[number, other])
                row[f"CKA to {told}"] = None if other is None else float(self.cka[number, other])
                if self.unbiased is not None:
                    row[f"unbiased to {told}"] = None if other is None else float(self.unbiased[number, other])
            rows.append(row)
        return Table(rows, title="Each layer beside the one before it, and beside the last", notes=["cosine: mean over tokens"])

    @property
    def data(self) -> dict[str, Any]:
        return {
            "tokens": [{"id": id, "token": token} for id, token in zip(self.ids, self.tokens, strict=True)],
            "places": list(self.places),
            "d_model": self.d_model,
            "cka": self.cka.tolist(),
            "unbiased_cka": None if self.unbiased is None else self.unbiased.tolist(),
            "skip": self.skip,
            "dominated_by_one_token": self.dominated,
            "mean_cosine": self._mean.tolist(),
            "position": self.position,
            "cosine": None if self.position is None else self.cosines[..., self.position].tolist(),
        }

    @property
    def _mean(self) -> Tensor:
        return self.cosines[..., self.skip :].mean(-1)

    @property
    def _warning(self) -> list[str]:
        if not self.dominated:
            return []
        who = ", ".join(f"{at} ({self.tokens[at]!r})" for at in sorted(set(self.dominated.values())))
        told = f"in {len(self.dominated)} of {len(self.places)} places one token makes up more than half of what CKA compares: {who}"
        return [f"{told}; skip it to see the others"]

    def _map(self, values: Tensor, title: str, value: str, limits: tuple[float, float], notes: list[str]) -> Figure:
        scale = "diverging" if limits[0] == -1.0 else "sequential"
        return heatmap(
            values.numpy(), title=title, rows=self.places, columns=self.places, row_axis="after", column_axis="after", value=value,
            scale=scale, limits=limits, command=self.command, notes=notes,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class StreamNorms(Finding):
    """Euclidean lengths: `stream` after each of `places`, and `added[part]` of what each layer adds, by attention and mlp.

    `position` is the token that the curves show; None shows the median, which a few long ones do not move.
    """

    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    places: tuple[str, ...]
    position: int | None
    post_norm: bool
    stream: Float[Tensor, "places time"]
    added: dict[str, Float[Tensor, "layers time"]]
    command: str | None = None

    @property
    def parts(self) -> Sequence[Showable]:
        return self.curves, self.figure, self.table

    @property
    def curves(self) -> Figure:
        """Layer by layer, on a log axis."""
        passed = list(range(len(self.places)))
        curves = {"residual stream": (passed, self._shown(self.stream).tolist())}
        curves |= {f"added by {name}": (passed[1:], self._shown(values).tolist()) for name, values in self.added.items()}
        return lines(
            curves, title=f"How long the vectors are, layer by layer: {self._of}", x="layers passed", y="Euclidean norm", y_scale="log",
            command=self.command, notes=self._notes,
        )  # fmt: skip

    @property
    def figure(self) -> Figure:
        """Every token on its own. The scale is logarithmic: a few tokens may be a thousand times longer than the rest."""
        return heatmap(
            self.stream.clamp_min(1e-30).log10().numpy(), title="How long the residual stream is, at each layer and token",
            rows=self.places, columns=self.tokens, row_axis="after", column_axis="token", value="log10 of the norm", command=self.command,
            notes=[f"norms from {float(self.stream.min()):.4g} to {float(self.stream.max()):.4g}"],
        )  # fmt: skip

    @property
    def table(self) -> Table:
        rows = []
        for number, name in enumerate(self.places):
            row: dict[str, Any] = {"after": name, "stream": float(self._shown(self.stream)[number])}
            for part, values in self.added.items():
                row[f"{part} adds"] = float(self._shown(values)[number - 1]) if number else None
            rows.append(row)
        return Table(rows, title=f"The same in numbers: {self._of}", notes=self._notes)

    @property
    def data(self) -> dict[str, Any]:
        return {
            "tokens": [{"id": id, "token": token} for id, token in zip(self.ids, self.tokens, strict=True)],
            "places": list(self.places),
            "position": self.position,
            "stream": self.stream.tolist(),
            "added": {name: values.tolist() for name, values in self.added.items()},
            "post_norm": self.post_norm,
        }

    @property
    def _of(self) -> str:
        return "median over tokens" if self.position is None else f"token {self.position} ({self.tokens[self.position]!r})"

    @property
    def _notes(self) -> list[str]:
        normed = ["a norm follows each sum (post-norm): what is added is measured before it, the stream behind it"]
        return [f"tokens: {'│'.join(map(format.token, self.tokens))}", *(normed if self.post_norm else [])]

    def _shown(self, values: Tensor) -> Tensor:
        return values.quantile(0.5, dim=-1) if self.position is None else values[:, self.position]


def similarity(
    trace: Trace, row: int = 0, *, side: Side | None = None, position: int | None = None, skip: int = 0, command: str | None = None
) -> LayerSimilarity:
    """How alike the layers of one row are; `side` is "encoder" or "decoder" (None: the decoder) of an encoder-decoder.

    `skip` leaves out the first tokens: in many decoders the first one's state is a hundred times longer than all others, and alone decides.
    Raises EngineError for a side, row or position that does not exist, or a skip that leaves fewer than 2 tokens.

    >>> import isinglass as ig
    >>> similarity(ig.trace(ig.create("tiny"), "abcde")).cka.shape
    torch.Size([3, 3])
    """
    given = stream(trace.reading, side)
    places = given.places()
    at = _position(trace, given, row, position)
    labels = tuple(place.label for place in places)
    seen = states(trace, [place.tap for place in places], given.rows, row).double().numpy(force=True)
    n_tokens, compared = seen.shape[1], list[Any](seen[:, max(0, skip) :])
    if not 0 <= skip <= n_tokens - 2:
        raise EngineError(f"skip = {skip!r} of {n_tokens} tokens, expected at least 0 and to leave 2 to compare", hint="give a longer text")
    unbiased = torch.from_numpy(pairwise_unbiased_cka(compared)) if n_tokens - skip >= _UNBIASED else None
    cosines = torch.from_numpy(np.stack([cosine(seen, one) for one in seen]))
    return LayerSimilarity(
        *_tokens(trace, given, row), labels, at, skip, seen.shape[-1], _dominated(labels, compared, skip), cosines,
        torch.from_numpy(pairwise_cka(compared)), unbiased, command,
    )  # fmt: skip


def _dominated(places: Sequence[str], sets: Sequence[np.ndarray], skip: int) -> dict[str, int]:
    """Where one token has more than half of the variance, and which; of 2 or 3 tokens one always may."""
    found = {}
    for place, vectors in zip(places, sets, strict=True):
        apart = np.square(vectors - vectors.mean(0)).sum(-1)
        if len(apart) >= _UNBIASED and apart.max() > apart.sum() / 2:
            found[place] = skip + int(apart.argmax())
    return found


def norms(trace: Trace, row: int = 0, *, side: Side | None = None, position: int | None = None, command: str | None = None) -> StreamNorms:
    """How long the vectors of one row are: the stream after each layer, and what attention and mlp add to it; `side` as in `similarity`.

    >>> import isinglass as ig
    >>> norms(ig.trace(ig.create("tiny"), "abcde")).stream.shape
    torch.Size([3, 5])
    """
    given = stream(trace.reading, side)
    places = given.places()
    at = _position(trace, given, row, position)
    what = {"attention": "attention.out"} | ({"cross-attention": "cross_attention.out"} if given.crossing else {}) | {"mlp": "mlp.post"}
    names = {name: [given.tap(layer, tap) for layer in range(len(given.layers))] for name, tap in what.items()}
    trace.several([*(place.tap for place in places), *(tap for taps in names.values() for tap in taps)])  # in one pass
    long = states(trace, [place.tap for place in places], given.rows, row).double().norm(dim=-1).cpu()
    added = {name: states(trace, taps, given.rows, row).double().norm(dim=-1).cpu() for name, taps in names.items()}
    return StreamNorms(
        *_tokens(trace, given, row), tuple(place.label for place in places), at, given.post_norm, long, added, command
    )  # fmt: skip


def _position(trace: Trace, given: Stream, row: int, position: int | None) -> int | None:
    row_number(given.rows, row)
    return None if position is None else position_number(given, trace.lm, row, position)


def _tokens(trace: Trace, given: Stream, row: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    ids = given.rows.ids[row]
    return tuple(token_text(trace.lm, id) for id in ids), tuple(ids)
