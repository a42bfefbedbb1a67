"""What a model expects next before and after a change to what it computes: both distributions over the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.inspection.predict import place_asked
from isinglass.inspection.predictions import at_temperature
from isinglass.inspection.reading import token_text
from isinglass.inspection.trace import Trace
from isinglass.show import format
from isinglass.show.finding import Finding
from isinglass.show.marks.bars import bars
from isinglass.show.showable import Showable
from isinglass.show.table import Table

_EDITS = 6  # that a note lists


@dataclass(frozen=True, eq=False)
class BeforeAfter(Finding):
    """`before` and `after` are probabilities over the whole vocabulary; `ids` are the likeliest of either, which are shown."""

    prompt: str
    tokens: tuple[str, ...]
    edits: tuple[str, ...]
    before: Float[Tensor, "vocab"]
    after: Float[Tensor, "vocab"]
    ids: tuple[int, ...]
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    command: str | None = None

    @property
    def divergence(self) -> float:
        """KL(before || after) in nats: 0 where the change changes nothing."""
        terms = self.before * (self.before.clamp_min(1e-300).log() - self.after.clamp_min(1e-300).log())
        return max(0.0, float(terms.sum()))

    @property
    def rows(self) -> list[dict[str, Any]]:
        pairs = [(float(self.before[id]), float(self.after[id])) for id in self.ids]
        return [
            {"token": label, "id": id, "before": before, "after": after, "difference": after - before}
            for label, id, (before, after) in zip(self.labels, self.ids, pairs, strict=True)
        ]

    @property
    def parts(self) -> Sequence[Showable]:
        more = len(self.edits) - _EDITS
        changes = f"{'; '.join(self.edits[:_EDITS])}{f'; and {more} more' if more > 0 else ''}"
        notes = [
            f"KL(before ‖ after): {self.divergence:.4g} nats over {len(self.before):,} tokens",
            f"changed: {changes or 'nothing'}",
            f"tokens: {'│'.join(map(format.token, self.tokens))}",
            *self.notes,
        ]
        series = {"before": self.before[list(self.ids)].tolist(), "after": self.after[list(self.ids)].tolist()}
        figure = bars(
            self.labels, series, title=f"What follows {self.prompt!r}, before and after", axis="probability", unit="ratio", limit=1.0,
            notes=notes, command=self.command,
        )  # fmt: skip
        units = {"before": "ratio", "after": "ratio"}
        return figure, Table(self.rows, title="The same in numbers", units=units)

    @property
    def data(self) -> dict[str, Any]:
        told = {"prompt": self.prompt, "tokens": list(self.tokens), "edits": list(self.edits), "divergence_nats": self.divergence}
        return {**told, "predictions": self.rows}


def before_after(seen: Trace, changed: Trace, *, top: int = 10, notes: Sequence[str] = (), command: str | None = None) -> BeforeAfter:
    """Next-token probabilities of a trace and of the same text with edits: the `top` likeliest of each.

    An encoder answers at its mask token. Raises EngineError for traces of different texts, and for top < 1.

    >>> import isinglass as ig
    >>> seen = ig.trace(ig.create("tiny"), "abc")
    >>> before_after(seen, seen.edit("layers.0.attention.z", set_to=0)).divergence > 0
    True
    """
    if seen.ids[0] != changed.ids[0]:
        raise EngineError("the two traces are of different texts", hint="make the second from the first: seen.edit(...)")
    if top < 1:
        raise EngineError(f"top = {top!r}, expected at least 1")
    at = place_asked(seen, 0, None) - len(seen.ids[0])
    before, after = (at_temperature(each.logits[0, at], 1.0) for each in (seen, changed))
    likeliest = [each.topk(min(top, len(each))).indices.tolist() for each in (before, after)]
    ids = tuple(dict.fromkeys([*likeliest[0], *likeliest[1]]))
    lm = seen.lm
    source = seen.reading.source.ids[0]
    return BeforeAfter(
        _short(lm.tokenizer.decode(source)), tuple(token_text(lm, id) for id in source),
        tuple(repr(edit) for edit in changed.edits if edit not in seen.edits), before, after, ids,
        tuple(token_text(lm, id) for id in ids), tuple(notes), command,
    )  # fmt: skip


def _short(text: str) -> str:
    """For titles."""
    return text if len(text) <= 80 else f"… {text[-78:]}"
