"""What the heads of a model do on different kinds of text: narrative, code and poetry, or texts of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.heads import measure, surrounded
from isinglass.inspection.reading import reading
from isinglass.metrics.attention import WINDOW, definitions, means
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.show.finding import Finding
from isinglass.show.marks.bars import bars
from isinglass.show.showable import Showable
from isinglass.show.table import Table

SAMPLES = ("narrative", "code", "poetry")
KINDS = ("to_first", "to_previous", "to_itself", "local", "duplicate", "induction")
THRESHOLD = 0.5  # from so much of its weight on, a head counts as of a kind


@dataclass(frozen=True)
class HeadComparison(Finding):
    """A row per text: means over all heads of entropy and distance, and for each kind the share of heads that are of it."""

    rows: tuple[dict[str, Any], ...]
    window: int
    notes: tuple[str, ...]
    command: str | None = None

    @property
    def table(self) -> Table:
        units = {"entropy": "nats", "distance": "tokens", **dict.fromkeys(KINDS, "ratio")}
        return Table(self.rows, title="What the heads do on each text", units=units, notes=self.notes, command=self.command)

    @property
    def figure(self) -> Showable:
        series = {row["text"]: [row[kind] if row[kind] is not None else float("nan") for kind in KINDS] for row in self.rows}
        return bars(
            KINDS, series, title="Share of heads of each kind, on each text", axis="share of heads", unit="ratio", limit=1.0,
            notes=self.notes[-1:], command=self.command,
        )  # fmt: skip

    @property
    def defined(self) -> Table:
        """What makes a head of each kind."""
        texts = definitions(self.window)
        rows = [{"kind": kind, "of a head's weight, at least half": texts[kind]} for kind in KINDS]
        return Table(rows, title="What the kinds mean")

    @property
    def parts(self) -> tuple[Showable, ...]:
        return self.table, self.figure, self.defined

    @property
    def data(self) -> dict[str, Any]:
        return {"threshold": THRESHOLD, "window_tokens": self.window, "notes": self.notes, "texts": self.rows}


def compare_heads(
    lm: LM,
    texts: Mapping[str, str] | None = None,
    *,
    window: int = WINDOW,
    progress: Callable[[int], object] = lambda count: None,
    command: str | None = None,
) -> HeadComparison:
    """Head statistics of each text (name -> text), all cut to as many tokens as the shortest has: entropy and distance grow with length.

    None takes three samples that come with the package: narrative, code and poetry. An encoder-decoder is measured in its encoder.
    Raises EngineError for an empty text.

    >>> import isinglass as ig
    >>> found = compare_heads(ig.create("tiny"))
    >>> [row["text"] for row in found.rows], len({row["tokens"] for row in found.rows})
    (['narrative', 'code', 'poetry'], 1)
    """
    given = samples() if texts is None else dict(texts)
    plain = {name: lm.tokenizer.encode(text) for name, text in given.items()}
    if not plain or not all(plain.values()):
        empty = [name for name, ids in plain.items() if not ids]
        raise EngineError(f"text {empty[0]!r} is empty" if empty else "no texts were given to compare")
    length = min(lm.config.context_length - len(surrounded(lm, [])), *map(len, plain.values()))
    which = "encoder" if isinstance(lm.model, EncoderDecoder) else None
    rows = []
    for name, ids in plain.items():
        source = surrounded(lm, ids[:length])
        found = means(measure(reading(lm, source), which=which, window=window))
        rows.append({"text": name, "tokens": len(source), **_summary(found)})
        progress(len(rows))
    notes = (
        f"every text is cut to {rows[0]['tokens']} tokens; entropy in nats and distance in tokens: means over all heads",
        f"a head is of a kind when at least {THRESHOLD:.0%} of its weight goes there (it may be of several); local: {window} tokens",
    )
    return HeadComparison(tuple(rows), window, notes, command)


def samples() -> dict[str, str]:
    """Three short texts written for this package."""
    folder = resources.files("isinglass.inspection").joinpath("samples")
    return {name: folder.joinpath(f"{name}.txt").read_text("utf-8") for name in SAMPLES}


def _summary(found: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """None for a kind that no query of the text could tell."""
    kinds = {kind: None if np.isnan(found[kind]).all() else float((found[kind] >= THRESHOLD).mean()) for kind in KINDS}
    return {"entropy": float(found["entropy"].mean()), "distance": float(found["distance"].mean()), **kinds}
