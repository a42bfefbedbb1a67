"""The exact weights of one query of one head; the picture has them to a byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from isinglass.core.errors import EngineError
from isinglass.show.format import token
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.inspection.attention import AttentionView

_STRONGEST = 8


class Request(Verb):
    """A row of what the attention page last showed for this text."""

    text: str
    model: str
    which: str = ""
    target: str = ""
    layer: int
    head: int
    query: int
    key: int

    @property
    def python(self) -> str:
        taps = f"layers.{self.layer}.attention.weights"
        return f"import isinglass as ig\n\nig.trace(ig.load({self.model!r}), {self.text!r})[{taps!r}][0, {self.head}, {self.query}]"

    @property
    def command(self) -> str:
        return ""

    def run(self, bench: Bench) -> Iterator[Event]:
        asked = ("attention", self.model, self.text, self.which, self.target)
        if asked not in bench.results:
            raise EngineError("this picture is no longer kept", hint="run once more")
        found = cast("AttentionView", bench.results.get(asked, dict))
        row = found.weights[self.layer, self.head, self.query].float()
        top = row.topk(min(_STRONGEST, len(row)))
        yield Shown(
            data={
                "query": token(found.queries[self.query]), "key": token(found.keys[self.key]), "weight": float(row[self.key]),
                "sum": float(row.sum()),
                "strongest": [
                    {"position": at, "token": token(found.keys[at]), "weight": weight}
                    for at, weight in zip(top.indices.tolist(), top.values.tolist(), strict=True)
                    if weight > 0  # what the mask hides is nowhere looked at
                ],
            }
        )  # fmt: skip
