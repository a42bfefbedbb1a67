"""A column of the page Generate: one strategy at work, token by token, with what it says of itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isinglass.core import units
from isinglass.core.errors import ConfigError
from isinglass.core.variants import Call, Expression, parse
from isinglass.generation.loop import choose_strategy, generating
from isinglass.generation.results import Finish, TokenOut
from isinglass.generation.strategies.beam import Beam
from isinglass.inspection.reading import token_text
from isinglass.metrics.diversity import distinct, repetition
from isinglass.metrics.surprise import perplexity
from isinglass.nn.attention.caches.contiguous import Contiguous
from isinglass.nn.attention.caches.rolling import Rolling
from isinglass.show import format

if TYPE_CHECKING:
    from isinglass.generation.lm import LM
    from isinglass.generation.sampling import Strategy
    from isinglass.nn.attention.cache import Cache


@dataclass
class Column:
    """One strategy by its expression, and what it has written: `ids` without an end token, `log_probs` (nats) of the same tokens."""

    expression: str
    strategy: Strategy
    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    text: str = ""
    finish: Finish | None = None
    seconds: float = 0.0  # of its own work, not of the others'
    first_seconds: float = 0.0
    held: tuple[int, int, int] = (0, 0, 0)  # bytes of its cache in use and in all, and rows, when it last wrote a token
    _cache: Cache | None = None
    _new: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, expression: str) -> Column:
        """Raises VariantError for what is no strategy, ConfigError for one that names a file: an address must not run a program."""
        if not _named_only(parse(expression)):
            raise ConfigError(
                f"strategy {expression!r}: the lab takes names alone, no files",
                hint="use it from Python (ig.generate) or from the command line (isinglass generate)",
            )
        return cls(expression, choose_strategy(expression, None))

    @property
    def late(self) -> bool:
        """A search knows its text only at its end."""
        return isinstance(self.strategy, Beam)

    def begin(self, lm: LM, text: str, *, max_tokens: int, seed: int) -> None:
        """Check the arguments, which raises what `generating` does; nothing runs yet."""
        self._lm = lm
        self._events = generating(lm, text, strategy=self.strategy, max_tokens=max_tokens, seed=seed)

    def step(self) -> bool:
        """One more token; False when there is none."""
        began = time.perf_counter()
        with self._watched():
            event = next(self._events, None)
        self.seconds += time.perf_counter() - began
        if event is None:
            return False
        self._take(event)
        return True

    def _take(self, event: TokenOut) -> None:
        self.first_seconds = self.first_seconds or self.seconds
        self.held = filled(self._cache)
        self.text += event.text
        self.finish = event.finish
        if event.finish != "end":
            self.ids.append(event.id)
            self.log_probs.append(event.log_prob)
        self._new.append({"id": event.id, "text": format.token(token_text(self._lm, event.id)), "surprisal": -event.log_prob})

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Every strategy keeps a cache of its own making; what the first layer is handed is that one."""

        def look(_module: Any, _given: Any, named: dict[str, Any]) -> None:
            self._cache = named.get("cache")

        hook = self._lm.packed().layers[0].register_forward_pre_hook(look, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()

    def told(self) -> dict[str, Any]:
        """The tokens since the last time, and how things stand."""
        new, self._new = self._new, []
        used, whole, rows = self.held
        several = f" for {rows} texts at once" if rows > 1 else ""
        return {
            "new": new, "text": self.text, "tokens": len(self.ids), "finish": self.finish,
            "cache": {"used": used, "whole": whole, "text": f"{units.size(used)} of {units.size(whole)}{several}"},
            "speed": f"{self.tokens_per_second:.1f} tokens/s, the first after {units.duration(self.first_seconds)}",
            "measures": [[name, value] for name, value in self._measures()],
        }  # fmt: skip

    def _measures(self) -> Iterator[tuple[str, str]]:
        row = self.row()
        for name in ("distinct_1", "distinct_2", "repetition"):
            yield name.replace("_", "-"), units.share(row[name])
        if self.log_probs:
            yield "mean surprisal", f"{-sum(self.log_probs) / len(self.log_probs):.2f} nats"
            yield "perplexity", f"{row['perplexity']:.2f}"

    @property
    def tokens_per_second(self) -> float:
        """Over all its work, the prompt's pass included."""
        return len(self.ids) / self.seconds if self.seconds else 0.0

    def row(self) -> dict[str, Any]:
        """For the table of all columns; bytes of the cache are those it had room for."""
        return {
            "strategy": self.expression, "tokens": len(self.ids), "finish": self.finish,
            "distinct_1": distinct(self.ids, 1), "distinct_2": distinct(self.ids, 2), "repetition": repetition(self.ids),
            "perplexity": perplexity(self.log_probs) if self.log_probs else None,
            "tokens_per_second": self.tokens_per_second, "cache_bytes": self.held[1],
        }  # fmt: skip


def filled(cache: Cache | None) -> tuple[int, int, int]:
    """Bytes of keys and values that hold a token, bytes there is room for, and rows; of a cache as generation makes it."""
    if isinstance(cache, Contiguous):
        whole = sum(k.nbytes + v.nbytes for k, v in cache.layers)
        return whole * cache.length // cache.capacity, whole, cache.layers[0][0].shape[0]
    if isinstance(cache, Rolling):
        whole = cache.k.nbytes + cache.v.nbytes
        return whole * int(cache.filled.sum()) // cache.filled.numel(), whole, cache.filled.shape[0]
    return 0, 0, 0


def _named_only(value: Expression | Any) -> bool:
    """Whether no part of an expression can be the path of a file; a quoted part may be an expression again, so it is a plain name too."""
    if isinstance(value, Call):
        return value.name.isidentifier() and all(map(_named_only, (*value.args, *(each for _, each in value.kwargs))))
    if isinstance(value, str):
        return value.replace("-", "_").isidentifier()
    if isinstance(value, tuple | list):
        return all(map(_named_only, value))
    return isinstance(value, int | float | None)
