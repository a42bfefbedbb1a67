"""Logit lens: what each layer would say next, read through the model's own final norm and head.

The norm takes its statistics from the very vector it is given, so each layer's are its own; the last entry is the model's output itself.

Source: nostalgebraist 2020, interpreting GPT: the logit lens; Belrose et al. 2023 (what it misses, and the divergence shown here).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.inspection.question import single_token
from isinglass.inspection.reading import token_text
from isinglass.inspection.stream import After, Stream, position_number, states, stream, vocabulary_head
from isinglass.show import format
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.marks.lines import lines
from isinglass.show.marks.word_map import word_map
from isinglass.show.showable import Showable
from isinglass.show.table import Table

if TYPE_CHECKING:
    from isinglass.inspection.trace import Trace


@dataclass(frozen=True, eq=False)
class Lens(Finding):
    """One row of a trace, read after each of `places`: "embed" is what enters the first layer.

    `final` is the model's own likeliest token at each position; `ranks` and `probabilities` are those of it at each place (rank 1 is the
    likeliest), `divergences` how far a place's distribution is from the model's own: KL(final || place) in nats. `watched` are tokens that
    are followed at `position`. Probabilities are over the whole vocabulary. `logits` are computed when they are asked for.
    """

    trace: Trace = field(repr=False)
    row: int
    after: After
    places: tuple[str, ...]
    position: int
    watched: tuple[int, ...]
    final: Int[Tensor, "time"]
    top_ids: Int[Tensor, "places time top"]
    top_probabilities: Float[Tensor, "places time top"]
    ranks: Int[Tensor, "places time"]
    probabilities: Float[Tensor, "places time"]
    entropies: Float[Tensor, "places time"]
    divergences: Float[Tensor, "places time"]
    watched_ranks: Int[Tensor, "places watched"]
    watched_probabilities: Float[Tensor, "places watched"]
    command: str | None = None

    @property
    def logits(self) -> Float[Tensor, "places time vocab"]:
        """All of them at once: 97 MB for 31 places, 16 tokens and 49,152 words, made anew each time. `logits_at` gives one place."""
        return torch.stack([self.logits_at(place) for place in range(len(self.places))])

    def logits_at(self, place: int) -> Float[Tensor, "time vocab"]:
        """What one place says; below 0 counts from the last. Raises EngineError for a place that does not exist."""
        if not -len(self.places) <= place < len(self.places):
            raise EngineError(f"place {place} does not exist", details=[f"this lens has places 0 to {len(self.places) - 1}"])
        given = stream(self.trace.reading)
        return _read(self.trace, given, states(self.trace, [given.places(self.after)[place].tap], given.rows, self.row)[0])

    @property
    def tokens(self) -> list[str]:
        return self.trace.tokens[self.row]

    @property
    def parts(self) -> Sequence[Showable]:
        return self.figure, self.curves, self.rank_curves, self.table

    @property
    def figure(self) -> Figure:
        """Places and positions, with the likeliest token in each cell."""
        last = self._text(int(self.final[self.position]))
        return word_map(
            self.top_probabilities[..., 0].tolist(), [[self._text(id) for id in row] for row in self.top_ids[..., 0].tolist()],
            title="Logit lens: the token each layer finds likeliest", rows=self.places, columns=self.tokens, row_axis="after",
            column_axis="token read", value="probability", word="likeliest", limits=(0.0, 1.0), data=Table(
                self._cells(), title="Logit lens", units={"probability": "ratio", "P(final)": "ratio", "entropy": "nats", "KL": "nats"}
            ), command=self.command,
            notes=[
                f"after token {self.position} ({self.tokens[self.position]!r}) the model itself says {last!r}",
                "each row goes through the model's own final norm and head; the last row is its output",
            ],
        )  # fmt: skip

    @property
    def curves(self) -> Figure:
        """The probability of the watched tokens, layer by layer."""
        return self._lines(self.watched_probabilities, "probability", "Where the answer appears: its probability", "linear")

    @property
    def rank_curves(self) -> Figure:
        """Their ranks: 1 is the likeliest of all tokens."""
        return self._lines(self.watched_ranks, "rank (1 is the likeliest)", "Where the answer appears: its rank in the vocabulary", "log")

    @property
    def table(self) -> Table:
        """The asked position, place by place."""
        rows = []
        for place, cell in enumerate(cell for cell in self._cells() if cell["position"] == self.position):
            kept = {name: cell[name] for name in ("after", "likeliest", "probability", "entropy", "KL")}
            kept["likeliest"] = format.token(kept["likeliest"])
            told = {}
            for number, name in enumerate(self._names):
                told[f"P({name})"] = float(self.watched_probabilities[place, number])
                told[f"rank {name}"] = int(self.watched_ranks[place, number])
            rows.append(kept | told)
        units = {"probability": "ratio", "entropy": "nats", "KL": "nats"} | {f"P({name})": "ratio" for name in self._names}
        title = f"After token {self.position} ({self.tokens[self.position]!r}), layer by layer"
        return Table(rows, title=title, units=units, notes=["KL: from the model's own distribution to this layer's"], command=self.command)

    @property
    def data(self) -> dict[str, Any]:
        ids = self.trace.ids[self.row]
        return {
            "tokens": [{"id": id, "token": token} for id, token in zip(ids, self.tokens, strict=True)],
            "position": self.position,
            "places": list(self.places),
            "watched": [
                {
                    "id": id,
                    "token": self._text(id),
                    "probability": self.watched_probabilities[:, number].tolist(),
                    "rank": self.watched_ranks[:, number].tolist(),
                }
                for number, id in enumerate(self.watched)
            ],
            "cells": [cell | {"top": self._top(*divmod(number, len(self.tokens)))} for number, cell in enumerate(self._cells())],
        }  # fmt: skip

    @property
    def _names(self) -> list[str]:
        return [format.label(self._text(id)) for id in self.watched]

    def _text(self, id: int) -> str:
        return token_text(self.trace.lm, id)

    def _top(self, place: int, position: int) -> list[dict[str, Any]]:
        pairs = zip(self.top_ids[place, position].tolist(), self.top_probabilities[place, position].tolist(), strict=True)
        return [{"id": id, "token": self._text(id), "probability": share} for id, share in pairs]

    def _cells(self) -> list[dict[str, Any]]:
        columns = [each.tolist() for each in (
            self.top_ids[..., 0], self.top_probabilities[..., 0], self.ranks, self.probabilities, self.entropies, self.divergences
        )]  # fmt: skip
        cells = []
        for place, name in enumerate(self.places):
            for position, token in enumerate(self.tokens):
                id, share, rank, final, entropy, divergence = (column[place][position] for column in columns)
                cells.append({
                    "after": name, "position": position, "token read": token, "likeliest": self._text(id), "id": id, "probability": share,
                    "final": self._text(int(self.final[position])), "rank of final": rank, "P(final)": final, "entropy": entropy,
                    "KL": divergence,
                })  # fmt: skip
        return cells

    def _lines(self, values: Tensor, y: str, title: str, scale: Any) -> Figure:
        places = list(range(len(self.places)))
        curves = {name: (places, values[:, number].tolist()) for number, name in enumerate(self._names)}
        step = "layers passed" if self.after == "layer" else "parts passed (0: embed)"
        read = "│".join(format.token(token) for token in self.tokens[: self.position + 1])
        notes = [f"at position {self.position}, after: {read}", f"tokens followed: {', '.join(self._names)}"]
        return lines(curves, title=title, x=step, y=y, y_scale=scale, command=self.command, notes=notes)


def lens(
    trace: Trace,
    row: int = 0,
    *,
    after: After = "layer",
    position: int | None = None,
    token: str | int | None = None,
    against: str | int | None = None,
    top: int = 5,
    command: str | None = None,
) -> Lens:
    """What every layer of one row would say; of an encoder-decoder those of the decoder.

    `after` "sublayer" also reads the stream after each attention. `token` and `against` are followed at `position` (None: the last, of an
    encoder its mask token); without `token` it is the model's own answer there. Raises EngineError for a model without a head over its
    vocabulary, an answer that is not one token, or a row or position that does not exist.

    >>> import isinglass as ig
    >>> ig.trace(ig.create("tiny"), "abc").lens().logits.shape
    torch.Size([3, 3, 256])
    """
    lm = trace.lm
    vocabulary_head(lm)  # says at once that a model has none
    if top < 1:
        raise EngineError(f"top = {top!r}, expected at least 1")
    given = stream(trace.reading)
    place = position_number(given, lm, row, position)
    places = given.places(after)
    followed = [single_token(lm, each) for each in (token, against) if each is not None]
    seen = states(trace, [each.tap for each in places], given.rows, row)
    own = _read(trace, given, seen[-1])
    if token is None:
        followed.insert(0, int(own[place].argmax()))
    final, shares = own.argmax(-1), own.double().softmax(-1)
    read: list[dict[str, Tensor]] = []
    for number, state in enumerate(seen):
        # one place at a time: logits of all places together are large, and only a few numbers of each are kept
        logits = own if number == len(seen) - 1 else _read(trace, given, state)
        read.append(_measured(logits, shares, final, top) | _followed(logits[place], followed))
    kept = {name: torch.stack([each[name] for each in read]).cpu() for name in read[0]}
    cross = kept.pop("cross_entropies")
    kept["divergences"] = (cross - cross[-1]).clamp_min(0.0)  # KL(p || q) = H(p, q) - H(p)
    labels = tuple(each.label for each in places)
    return Lens(trace, row, after, labels, place, tuple(followed), final.cpu(), **kept, command=command)


def _read(trace: Trace, given: Stream, state: Float[Tensor, "time d_model"]) -> Float[Tensor, "time vocab"]:
    """Final norm and head, on one text as the model sees it: the last place gives the model's logits to the last bit."""
    with torch.inference_mode():
        x = state[None]
        return vocabulary_head(trace.lm)(x if given.norm is None else given.norm(x))[0]


def _measured(
    logits: Float[Tensor, "time vocab"], shares: Float[Tensor, "time vocab"], final: Int[Tensor, "time"], top: int
) -> dict[str, Tensor]:
    """What is kept of one place; `shares` are the model's own probabilities."""
    log_p = logits.double().log_softmax(-1)
    best = logits.topk(min(top, logits.shape[-1])).indices
    return {
        "top_ids": best,
        "top_probabilities": log_p.gather(-1, best).exp(),
        "ranks": (logits > logits.gather(-1, final[:, None])).sum(-1) + 1,
        "probabilities": log_p.gather(-1, final[:, None])[:, 0].exp(),
        "entropies": -_dot(log_p.exp(), log_p),
        "cross_entropies": -_dot(shares, log_p),
    }


def _followed(logits: Float[Tensor, "vocab"], ids: list[int]) -> dict[str, Tensor]:
    return {
        "watched_ranks": (logits > logits[ids, None]).sum(-1) + 1,
        "watched_probabilities": logits.double().softmax(-1)[ids],
    }


def _dot(a: Float[Tensor, "time vocab"], b: Float[Tensor, "time vocab"]) -> Float[Tensor, "time"]:
    """Row by row, without a tensor of the products, which would take as long as the rest."""
    return torch.bmm(a[:, None], b[..., None]).flatten()
