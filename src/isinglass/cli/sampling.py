"""The options of verbs that generate text, and the strategy they spell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from isinglass.cli.verb import at_least, option
from isinglass.core.errors import ConfigError
from isinglass.core.variants import Call, Expression

if TYPE_CHECKING:
    from isinglass.generation.sampling import Strategy

_GROUP = Group("Choosing tokens", sort_key=5)


@Parameter(name="*")
@dataclass(frozen=True)
class Sampling:
    """Without any of these, greedy; with one of them, sample(...); or a whole strategy as an expression."""

    strategy: Annotated[str | None, option('An expression: greedy, "sample(temperature=0.8, top_p=0.9)".', group=_GROUP)] = None
    temperature: Annotated[float | None, option("Below 1 sharper, above 1 flatter; 0 is greedy.", group=_GROUP)] = None
    top_p: Annotated[float | None, option("Keep the fewest tokens whose probabilities reach this.", group=_GROUP)] = None
    top_k: Annotated[int | None, option("Keep this many tokens.", group=_GROUP)] = None
    min_p: Annotated[float | None, option("Keep tokens of at least this share of the best one's probability.", group=_GROUP)] = None
    repetition: Annotated[float | None, option("Penalty of tokens that were there before; 1 is none.", group=_GROUP)] = None
    seed: Annotated[int, option("Same seed, same text.", group=_GROUP)] = 0

    def expression(self) -> str | Expression:
        """The strategy as an expression. Raises ConfigError for --strategy beside a filter of its own."""
        names = ("temperature", "top_p", "top_k", "min_p", "repetition")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.strategy is None:
            return Call("sample", (), tuple(given.items())) if given else "greedy"
        filters = [f"--{name.replace('_', '-')}" for name in given if name != "temperature"]
        if filters:
            raise ConfigError(
                f"{filters[0]} beside --strategy {self.strategy!r}", hint=f'write it inside: --strategy "sample({_inside(given)})"'
            )
        return self.strategy

    def chosen(self) -> Strategy:
        """The strategy, so that a wrong value is known before the model is loaded."""
        from isinglass.generation.loop import choose_strategy

        # without --strategy the temperature is inside the expression already
        return choose_strategy(self.expression(), None if self.strategy is None else self.temperature)  # type: ignore[arg-type]


def _inside(given: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in given.items())


@Parameter(name="*")
@dataclass(frozen=True)
class Length:
    """When generation ends, and how it is computed."""

    max_tokens: Annotated[int, option("At most this many tokens.", validator=at_least(1))] = 128
    stop: Annotated[tuple[str, ...], option("End before this text; may be given several times.", consume_multiple=False)] = ()
    dtype: Annotated[str, option("float32 or bfloat16.")] = "float32"
    compile: Annotated[bool, option("Compile the model first: slow to begin, faster for long texts.")] = False
