"""Strategies side by side, each token as it is chosen."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from isinglass.core.errors import ConfigError
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown, Working
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.show.table import Table
    from isinglass.web.writing import Column

MOST = 4  # columns
_TELLING_SECONDS = 0.05  # between two messages; a small model is faster than a page is drawn


class Request(Verb):
    """`strategies` are expressions with ; between them."""

    text: str
    model: str
    strategies: str = "greedy;sample(temperature=0.8, top_p=0.9)"
    max_tokens: int = 64
    seed: int = 0

    @property
    def _names(self) -> list[str]:
        return [part.strip() for part in self.strategies.split(";") if part.strip()]

    @property
    def python(self) -> str:
        if len(self._names) == 1:
            return self._alone(self._names[0])["python"]
        return (
            "import isinglass as ig\nfrom isinglass.evaluation.strategies import comparing, tables\n\n"
            f"text = {self.text!r}\nfound = comparing(ig.load({self.model!r}), text, {self._names!r},"
            f" n_samples=1, max_tokens={self.max_tokens}, seed={self.seed})\ntables(list(found), text)"
        )

    @property
    def command(self) -> str:
        if len(self._names) == 1:
            return self._alone(self._names[0])["command"]
        return f"{self._given} --compare {shlex.quote('; '.join(self._names))} --samples 1 {self._length}"

    def _alone(self, strategy: str) -> dict[str, str]:
        """One column by itself."""
        options = f"strategy={strategy!r}, max_tokens={self.max_tokens}, seed={self.seed}"
        return {
            "python": f"import isinglass as ig\n\nig.generate(ig.load({self.model!r}), {self.text!r}, {options})",
            "command": f"{self._given} --strategy {shlex.quote(strategy)} {self._length}",
        }

    @property
    def _given(self) -> str:
        return f"isinglass generate {shlex.quote(self.model)} {shlex.quote(self.text)}"

    @property
    def _length(self) -> str:
        return f"--max-tokens {self.max_tokens} --seed {self.seed}"

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.web.writing import Column

        if not 1 <= len(self._names) <= MOST:
            raise ConfigError(f"{len(self._names)} strategies, expected 1 to {MOST}", hint="greedy; sample(top_p=0.9)")
        columns = [Column.of(name) for name in self._names]  # a wrong one is known before the model is loaded
        lm = yield from bench.model(self.model)
        for column in columns:
            column.begin(lm, self.text, max_tokens=self.max_tokens, seed=self.seed)
        yield Working("reading the text")
        lm.packed()  # made once; it is no strategy's work
        yield Shown(data=[{"strategy": one.expression, "late": one.late, **self._alone(one.expression)} for one in columns], slot="board")
        # searches, whose text is known only at their end, come after the others, which need not wait for them
        yield from self._written([one for one in columns if not one.late], columns)
        for column in columns:
            if column.late:
                yield Working(f"{column.expression} searches")
                yield from self._written([column], columns)
        yield Shown([_table(columns, self.text, self.command)], slot="table")

    def _written(self, going: list[Column], columns: list[Column]) -> Iterator[Event]:
        """A token of each in turn until all have ended."""
        told = 0.0
        while going:
            going = [column for column in going if column.step()]
            if going and time.perf_counter() - told < _TELLING_SECONDS:
                continue
            yield Shown(data=[one.told() for one in columns], slot="tokens")
            yield Working("writing", sum(len(one.ids) for one in columns), self.max_tokens * len(columns))
            told = time.perf_counter()


def _table(columns: list[Column], text: str, command: str) -> Table:
    from isinglass.show.table import Table

    units: dict[str, str] = dict.fromkeys(("distinct_1", "distinct_2", "repetition"), "ratio")
    notes = (
        "distinct-n: different runs of n tokens; repetition: runs of 4 tokens that were there before",
        "perplexity: how surprising the text is to the model itself; tokens per second with the pass over the prompt",
    )
    rows = [column.row() for column in columns]
    return Table(rows, title=f"What they made of “{_short(text)}”", units=units, notes=notes, command=command)


def _short(text: str) -> str:
    """For titles."""
    return text if len(text) <= 80 else f"… {text[-78:]}"
