"""The difference of two prompts added to the residual stream: the next token, and how the text goes on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from isinglass.core.errors import ConfigError
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.prompts import typed
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.generation.lm import LM
    from isinglass.inspection.edits import Edit


class Request(Verb):
    """`toward` less `away`, behind `layer`, times `strength`."""

    text: str
    model: str
    toward: str = "I love this"
    away: str = "I hate this"
    layer: int = 0
    strength: float = 2.0
    top: int = 10

    @property
    def python(self) -> str:
        return (
            "import isinglass as ig\nfrom isinglass.inspection.steering import steer\n\n"
            f"lm = ig.load({self.model!r})\n"
            f"steer(lm, {self.text!r}, toward={self.toward!r}, away={self.away!r}, layer={self.layer}, "
            f"strength={self.strength:g}, top={self.top})"
        )

    @property
    def command(self) -> str:
        asked = {"toward": self.toward, "away": self.away, "layer": str(self.layer), "strength": f"{self.strength:g}", "top": str(self.top)}
        stated = " ".join(f"--{name}={shlex.quote(value)}" for name, value in asked.items())
        return f"isinglass inspect steer {shlex.quote(self.model)} {shlex.quote(self.text)} {stated}"

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.inspection.steering import Steering, direction, next_steered, writes

        for name, value in (("toward", self.toward), ("away", self.away)):
            if not value:
                raise ConfigError(f"the prompt to steer {name} is empty", hint="give a few words, such as I love this")
        lm = yield from bench.model(self.model)
        yield Working("reading both prompts")
        along = direction(lm, typed(lm, self.toward), typed(lm, self.away), self.layer)
        yield Working("reading the text")
        found = next_steered(lm, typed(lm, self.text), along, self.strength, top=self.top, command=self.command)
        yield Shown.of(found, slot="next")
        if not writes(lm):
            yield Shown(data={"note": "An encoder writes no continuation."}, slot="continuation")
            return
        before = yield from self._written(lm, [], "continuing without it")
        after = yield from self._written(lm, [along.edit(self.strength)], "continuing with it")
        yield Shown((Steering(found, before, after, self.strength, self.layer).continuations,), slot="continuation")

    def _written(self, lm: LM, edits: list[Edit], doing: str) -> Iterator[Event]:
        from isinglass.inspection.steering import LENGTH, continued

        ids: list[int] = []
        for id in continued(lm, typed(lm, self.text), edits):
            ids.append(id)
            yield Working(doing, len(ids), LENGTH)
        return lm.tokenizer.decode(ids)
