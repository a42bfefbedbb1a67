"""Two models on one text, their vocabularies aligned: tokens, surprisal, predictions, attention and hidden states side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.alignment import Span, aligned
from isinglass.inspection.compare_measures import NextTokens, Side, at_boundaries, cka, cosines, next_tokens, per_span, ranges
from isinglass.inspection.reading import token_text
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.marks.bars import bars
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.marks.lines import lines
from isinglass.show.marks.tokens import Strip, TokenStrips
from isinglass.show.showable import Showable
from isinglass.show.table import Table

_FEW = 4  # boundaries from which on the similarity of layers says anything: among fewer points all layers are alike
_BARS = 24  # spans drawn; the table has all


@dataclass(frozen=True)
class Comparison(Finding):
    """`spans` are the finest pieces of text whose ends are token boundaries of both models; `next` is None where one does not predict.

    `cka` and `cosine` are `[layers of a, layers of b]`: None for a text of few boundaries, or (cosine) models of different widths.
    """

    text: str
    a: Side
    b: Side
    spans: tuple[Span, ...]
    next: NextTokens | None
    cka: np.ndarray | None
    cosine: np.ndarray | None
    top: int = 10
    command: str | None = None

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.a, self.b

    @property
    def surprisal(self) -> list[tuple[float | None, float | None]]:
        """Nats of each span for either model; None where a model has no probability for it."""
        sides = zip(self.sides, ranges(self.spans), strict=True)
        columns = [[None] * len(numbers) if side.nats is None else [per_span(side.nats, one) for one in numbers] for side, numbers in sides]
        return list(zip(*columns, strict=True))

    @property
    def bits_per_byte(self) -> tuple[float | None, float | None]:
        """Over the spans to which both models gave a probability: the same bytes for both."""
        both = [(span, pair) for span, pair in zip(self.spans, self.surprisal, strict=True) if None not in pair]
        n_bytes = sum(len(self.text[span.start : span.end].encode("utf-8", "replace")) for span, _ in both)
        if not n_bytes:
            return None, None
        return tuple(sum(pair[side] or 0.0 for _, pair in both) / math.log(2) / n_bytes for side in (0, 1))  # type: ignore[return-value]

    @property
    def summary(self) -> Table:
        """A row per model."""
        masses = self.next.comparable if self.next else (None, None)
        rows = [
            {
                "model": side.name, "kind": str(side.lm.config.architecture).replace("_", "-"), "layers": len(side.site.layers),
                "d_model": side.lm.config.d_model, "vocabulary": side.lm.config.vocab_size, "tokens": len(side.tokens),
                "bits per byte": bits, "comparable mass": mass,
            }
            for side, bits, mass in zip(self.sides, self.bits_per_byte, masses, strict=True)
        ]  # fmt: skip
        return Table(
            rows, title=f"Two models read {self.text!r}", units={"comparable mass": "ratio"}, notes=self._notes, command=self.command
        )

    @property
    def _notes(self) -> list[str]:
        notes = [f"{len(self.spans)} spans end where both have a token boundary"]
        if self.next:
            n, js = len(self.next.common), self.next.divergence
            notes += [
                f"next token: {n:,} strings are a token of both; comparable mass is the probability on them",
                f"Jensen-Shannon divergence over these: {js:.4f} nats (0: the same, {math.log(2):.4f}: nothing shared)",
            ]
        else:
            notes.append("next token: not both models predict one (an encoder does not), so there is nothing to compare")
        if self.a.nats is None or self.b.nats is None:
            notes.append("surprisal and bits per byte need two decoders, which go through the text from left to right")
        elif None not in self.bits_per_byte:
            first = self.text[self.spans[0].start : self.spans[0].end]
            missing = None in self.surprisal[0]
            notes.append("bits per byte: of all spans" + (f" but the first, {first!r}: nothing stands before it" if missing else ""))
        if self.cka is None:
            notes.append(f"similarity of layers: needs at least {_FEW} spans, this text has {len(self.spans)}")
        return notes

    @property
    def strips(self) -> TokenStrips:
        """The text as both read it, special tokens included; filled by surprisal."""
        made = []
        for side in self.sides:
            bits = () if side.nats is None else tuple((nats or 0.0) / math.log(2) for nats in side.nats)
            made.append(Strip(side.name, side.texts, side.ids, bits))
        return TokenStrips(made, title="The text as tokens of both models", value="surprisal (bits)", command=self.command)

    @property
    def aligned(self) -> Table:
        """A row per span: the tokens of both and their surprisal."""
        rows = []
        for span, nats in zip(self.spans, self.surprisal, strict=True):
            row: dict[str, Any] = {"start": span.start, "end": span.end, "text": self.text[span.start : span.end]}
            for letter, side, numbers in (("A", self.a, span.a), ("B", self.b, span.b)):
                row[f"tokens {letter}"] = " | ".join(side.texts[number] for number in numbers)
            for letter, value in zip("AB", nats, strict=True):
                row[f"bits {letter}"] = None if value is None else value / math.log(2)
            rows.append(row)
        return Table(rows, title="Where the tokens of both meet", notes=["start and end: characters of the text"], command=self.command)

    @property
    def surprises(self) -> Figure | None:
        """Surprisal of the spans, in their order."""
        counted = [(span, pair) for span, pair in zip(self.spans, self.surprisal, strict=True) if None not in pair][:_BARS]
        if not counted:
            return None
        series = {side.name: [(pair[at] or 0.0) / math.log(2) for _, pair in counted] for at, side in enumerate(self.sides)}
        more = len(self.spans) - len(counted)
        notes = [f"the first {_BARS} spans with a probability of both; the table has all"] if more > 1 else []
        labels = [self.text[span.start : span.end] for span, _ in counted]
        title = "How surprising each common piece of text is"
        return bars(labels, series, title=title, axis="surprisal (bits)", notes=notes, command=self.command)

    @property
    def predictions(self) -> Table | None:
        """The likeliest next tokens of both, with what the other gives the same string; None where it has no such token."""
        if self.next is None:
            return None
        places = {text: at for at, text in enumerate(self.next.common)}
        rows: dict[Any, dict[str, Any]] = {}
        for letter, side in (("A", self.a), ("B", self.b)):
            for rank, id in enumerate(side.next.topk(min(self.top, len(side.next))).indices.tolist(), start=1):
                special = id in side.lm.tokenizer.special.values()
                text = b"" if special else side.lm.tokenizer.token_bytes(id)
                at, p = places.get(text), float(side.next[id])
                both = (None, None) if at is None else (float(self.next.p[at]), float(self.next.q[at]))
                row = rows.setdefault(
                    text if at is not None else (letter, id), {"token": token_text(side.lm, id), "rank A": None, "rank B": None}
                )
                values = both if at is not None else ((p, None) if letter == "A" else (None, p))
                row |= {f"rank {letter}": rank, "probability A": values[0], "probability B": values[1], "in both": at is not None}
        made = sorted(rows.values(), key=lambda row: -max(row["probability A"] or 0.0, row["probability B"] or 0.0))
        units = {"probability A": "ratio", "probability B": "ratio"}
        notes = ["probabilities over the whole vocabulary of each; special tokens are no strings and stand alone"]
        return Table(made, title="What comes next, by either model", units=units, notes=notes, command=self.command)

    @property
    def likeliest(self) -> Figure | None:
        """The same as bars, of strings that are a token of both."""
        rows = [row for row in self.predictions.rows if row["in both"]][: self.top] if self.predictions else []
        if not rows:
            return None
        series = {side.name: [row[f"probability {letter}"] for row in rows] for letter, side in zip("AB", self.sides, strict=True)}
        title, tokens = f"What follows {self.text!r}", [row["token"] for row in rows]
        return bars(tokens, series, title=title, axis="probability", unit="ratio", notes=self._notes[1:3], command=self.command)

    @property
    def depth(self) -> Figure:
        """How evenly attention is spread over relative depth."""
        series = {side.name: ([(at + 1) / len(side.entropy) for at in range(len(side.entropy))], side.entropy) for side in self.sides}
        notes = ["1: every visible key gets the same; 0: one key gets all; a mean over heads and queries that see two keys or more"]
        title = "How evenly attention is spread, by depth"
        return lines(
            series, title=title, x="relative depth (layer / layers)", y="entropy / largest possible", notes=notes, command=self.command
        )

    @property
    def similarity(self) -> list[Figure]:
        """Layers of the one against layers of the other."""
        made = []
        places = f"residual stream at the last token of each of {len(self.spans)} spans"
        shapes = [[str(layer) for layer in range(len(side.site.layers))] for side in self.sides]
        axes = {"rows": shapes[0], "columns": shapes[1], "row_axis": f"layer of {self.a.name}", "column_axis": f"layer of {self.b.name}"}
        if self.cka is not None:
            notes = [places, "unbiased linear CKA: 1 the same up to rotation and scale, about 0 unrelated (Kornblith et al. 2019)"]
            title = "Which layers hold alike: CKA"
            made.append(
                heatmap(self.cka, title=title, value="CKA", scale="diverging", limits=(-1, 1), notes=notes, command=self.command, **axes)
            )
        if self.cosine is not None:
            title = "Do layers point the same way: mean cosine"
            made.append(
                heatmap(
                    self.cosine,
                    title=title,
                    value="cosine",
                    scale="diverging",
                    limits=(-1, 1),
                    notes=[places],
                    command=self.command,
                    **axes,
                )
            )
        return made

    @property
    def parts(self) -> Sequence[Showable]:
        found = [self.summary, self.likeliest, self.predictions, self.strips, self.surprises, self.aligned, self.depth, *self.similarity]
        return [part for part in found if part is not None]

    @property
    def data(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "models": self.summary.rows,
            "notes": self._notes,
            "jensen_shannon_nats": self.next.divergence if self.next else None,
            "n_common_strings": len(self.next.common) if self.next else None,
            "predictions": self.predictions.rows if self.predictions else [],
            "spans": self.aligned.rows,
            "attention_entropy": {side.name: side.entropy for side in self.sides},
            "cka": None if self.cka is None else self.cka.tolist(),
            "cosine": None if self.cosine is None else self.cosine.tolist(),
        }


def compare(a: LM, b: LM, text: str, *, names: tuple[str, str] | None = None, top: int = 10, command: str | None = None) -> Comparison:
    """Two models on one text, whatever their vocabularies, widths and kinds.

    Encoders are compared in what they make of the text; predictions need two models that predict, surprisal two decoders.
    Raises EngineError for an empty text, one too long for either, top < 1, or a text of which one reads nothing.

    >>> import isinglass as ig
    >>> found = compare(ig.create("tiny"), ig.create("tiny", seed=1), "abcdef")
    >>> found.next.comparable, len(found.spans)
    ((1.0, 1.0), 6)
    """
    if top < 1:
        raise EngineError(f"top = {top!r}, expected at least 1")
    given = names or (str(a.card.get("source", a.config.family)), str(b.card.get("source", b.config.family)))
    one, other = (Side.of(lm, f"{letter}: {name}", text) for letter, lm, name in zip("AB", (a, b), given, strict=True))
    spans = aligned(text, one.tokens, other.tokens)
    states = [at_boundaries(side, numbers) for side, numbers in zip((one, other), ranges(spans), strict=True)]
    enough, same_width = len(spans) >= _FEW, a.config.d_model == b.config.d_model
    return Comparison(
        text, one, other, tuple(spans), next_tokens(one, other) if one.predicts and other.predicts else None,
        cka(*states) if enough else None,
        cosines(*states) if enough and same_width else None, top, command,
    )  # fmt: skip
