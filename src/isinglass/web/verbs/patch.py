"""A patch map that fills in: an estimate of every cell from one backward pass, then the exact cells as they are done."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.prompts import typed
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.inspection.patching import Plan

STEP = 256  # runs times positions at once: fewer than the command's, so that the map fills in by smaller parts


class Request(Verb):
    """`text` is the clean prompt. `answer` empty: the likeliest after it. `what` "heads" is attention.z; `side` is for encoder-decoders."""

    text: str
    model: str
    corrupted: str = ""
    answer: str = ""
    other: str = ""
    what: str = "resid_pre"
    direction: str = "denoise"
    side: str = ""

    @property
    def _tap(self) -> str:
        return "attention.z" if self.what == "heads" else self.what

    @property
    def python(self) -> str:
        asked = {"answer": self.answer, "other": self.other, "side": self.side}
        stated = "".join(f", {name}={value!r}" for name, value in asked.items() if value)
        return (
            "import isinglass as ig\nfrom isinglass.inspection.patching import patch\n\n"
            f"lm = ig.load({self.model!r})\n"
            f"patch(lm, {self.text!r}, {self.corrupted!r}{stated}, what={self._tap!r}, direction={self.direction!r}, method='both')"
        )

    @property
    def command(self) -> str:
        asked = {"answer": self.answer, "other": self.other, "what": self.what, "side": self.side, "method": "both"}
        stated = "".join(f" --{name} {shlex.quote(value)}" for name, value in asked.items() if value)
        texts = " ".join(shlex.quote(each) for each in (self.model, self.text, self.corrupted))
        return f"isinglass inspect patch {texts}{stated}{' --reverse' if self.direction == 'noise' else ''}"

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.inspection.contrast import contrast
        from isinglass.inspection.patch_maps import BothMaps
        from isinglass.inspection.patching import CellsDone, collected, estimated, patching, plan

        lm = yield from bench.model(self.model)
        clean, corrupted = typed(lm, self.text), typed(lm, self.corrupted)
        if not self.corrupted:
            ids = clean if isinstance(clean, list) else lm.encode(clean)
            yield Shown(data={"tokens": len(ids)}, slot="begin")
            return
        yield Working("reading both prompts")
        pair = contrast(lm, clean, corrupted, answer=self.answer or None, other=self.other or None)
        given = plan(pair, self._tap, self.direction, self.side or None)  # type: ignore[arg-type]
        yield Shown(data=_outline(given), slot="map")
        yield Working("estimating every cell from one backward pass")
        guess = given.result(estimated(given), "attribution", self.command)
        yield Shown(data={"effects": guess.effects.tolist()}, slot="estimate")
        events: list[CellsDone] = []
        for event in patching(given, tokens=STEP):
            events.append(event)
            cells = [(cell.layer, cell.column, cell.effect, cell.value) for cell in event.cells]
            yield Shown(data={"cells": cells, "done": event.done, "total": event.total}, slot="cells")
            yield Working("patching cells", event.done, event.total)
        yield Shown.of(BothMaps(collected(given, events, self.command), guess))


def _outline(given: Plan) -> dict[str, object]:
    """The map before anything is in it."""
    from isinglass.inspection.patch_runs import is_by_head

    pair, by_head = given.contrast, is_by_head(given.what)
    labels = pair.labels(given.direction, decoder_side=given.decoder_side)
    layers, columns = given.shape
    return {
        "layers": layers, "columns": list(map(str, range(columns))) if by_head else labels, "kind": "head" if by_head else "position",
        "base": 0 if given.direction == "denoise" else 1, "what": given.way.prefix.removesuffix("layers.") + given.what,
        "question": pair.question.text, "clean": pair.clean_value, "corrupted": pair.corrupted_value,
    }  # fmt: skip
