"""What kind of head each head is, measured on the text and on repeated random tokens."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.prompts import typed
from isinglass.web.verb import Verb


class Request(Verb):
    """`by` is the statistic that heads are sorted and coloured by, `window` the reach of local heads in tokens."""

    text: str
    model: str
    by: str = "induction"
    window: int = 4
    seed: int = 0

    @property
    def python(self) -> str:
        return (
            "import isinglass as ig\nfrom isinglass.inspection.heads import heads\n\n"
            f"heads(ig.load({self.model!r}), {self.text!r}, by={self.by!r}, window={self.window}, seed={self.seed})"
        )

    @property
    def command(self) -> str:
        given = f"isinglass inspect heads {shlex.quote(self.model)} {shlex.quote(self.text)}"
        return f"{given} --by {shlex.quote(self.by)} --window {self.window} --seed {self.seed}"

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.inspection.heads import measure, planned

        lm = yield from bench.model(self.model)
        plan = planned(lm, typed(lm, self.text), by=self.by, window=self.window, seed=self.seed)
        doing = f"measuring {lm.config.n_layers * lm.config.attention.n_heads} heads, text by text"
        measured = []
        for given in plan.readings:
            yield Working(doing, len(measured), len(plan.readings))
            measured.append(measure(given, which=plan.which, window=self.window))
        yield Shown.of(plan.result(measured, self.command))
