"""What a number of requests costs with each model: per request, per day, per month, and what is saved beside the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from isinglass.core.errors import ConfigError
from isinglass.economics.price import PrefixCache, Price, tidy
from isinglass.economics.price_list import PriceList, prices
from isinglass.economics.traffic import Part
from isinglass.show.figure import Figure
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table

Reading = Literal["one request", "one request with n variations", "separate requests"]
DAYS = 30  # of a month


@dataclass(frozen=True)
class Asked:
    """What every model is asked for, `requests` times a month. `cached_tokens` of the input are a prefix that the provider has cached."""

    requests: int
    tokens_in: int
    tokens_out: int
    variations: int = 1
    cached_tokens: int = 0
    batch: bool = False

    def __post_init__(self) -> None:
        least = {"requests": 0, "tokens_in": 0, "tokens_out": 0, "variations": 1, "cached_tokens": 0}
        for name, low in least.items():
            if (value := getattr(self, name)) < low:
                raise ConfigError(f"{name} = {value!r}, expected at least {low}")
        if self.cached_tokens > self.tokens_in:
            raise ConfigError(f"cached_tokens = {self.cached_tokens!r}, expected at most tokens_in = {self.tokens_in!r}")

    def readings(self) -> dict[Reading, tuple[int, int]]:
        """How n variations can be had: reading -> how often the prompt, and how often an answer, is billed."""
        if self.variations == 1:
            return {"one request": (1, 1)}
        n = self.variations
        return {"one request with n variations": (1, n), "separate requests": (n, n)}


@dataclass(frozen=True)
class Line:
    """One model in one reading; `usd` is of a month."""

    price: Price
    reading: Reading
    usd_per_request: Decimal
    usd: Decimal

    def row(self, first: Line) -> dict[str, Any]:
        """The line beside the first line of the same reading."""
        return {
            "model": self.price.model,
            "reading": self.reading,
            "usd_per_request": self.usd_per_request,
            "usd_per_day": tidy(self.usd / DAYS),
            "usd": self.usd,
            "saving": 1 - self.usd / first.usd if first.usd else None,
            "as_of": self.price.as_of,
            "source": self.price.source,
        }


@dataclass(frozen=True)
class Quote(Finding):
    """All lines, model by model. `warnings` tell what is not as one may think: old prices, rates that a provider does not have."""

    asked: Asked
    priced: tuple[Line, ...]
    warnings: tuple[str, ...] = ()
    command: str | None = None

    def total(self, model: str, *, reading: Reading | None = None) -> Decimal:
        """US dollars a month. Several variations are separate requests unless `reading` says otherwise.

        Raises ConfigError for a model or reading that is not in the quote.
        """
        wanted = reading or list(self.asked.readings())[-1]
        for line in self.priced:
            if model in (line.price.model, *line.price.aliases) and line.reading == wanted:
                return line.usd
        known = ", ".join(sorted({line.price.model for line in self.priced}))
        raise ConfigError(
            f"no line for {model!r} as {wanted!r}", details=[f"models: {known}", f"readings: {', '.join(self.asked.readings())}"]
        )

    @property
    def lines(self) -> Table:
        """One row for each model and reading; savings are beside the first model."""
        firsts = {reading: next(line for line in self.priced if line.reading == reading) for reading in self.asked.readings()}
        rows = [line.row(firsts[line.reading]) for line in self.priced]
        one = self.asked.variations == 1
        shown = ["model", *([] if one else ["reading"]), "usd_per_request", "usd_per_day", "usd_per_month", "saving"]
        asked = f"{self.asked.requests:,} requests a month, {self.asked.tokens_in:,} tokens in, {self.asked.tokens_out:,} out"
        notes = [asked + ("" if one else f", {self.asked.variations} variations"), *self.warnings]
        return Table(
            [{**row, "usd_per_month": row["usd"]} for row in rows],
            title="What it costs", columns=shown, units={"saving": "ratio", **dict.fromkeys(shown[-4:-1], "usd")}, notes=notes,
            command=self.command,
        )  # fmt: skip

    @property
    def figure(self) -> Figure:
        """Dollars a month, a bar for each model and reading."""
        from isinglass.show.marks.bars import bars

        models = list(dict.fromkeys(line.price.model for line in self.priced))
        series = {reading: [float(self.total(model, reading=reading)) for model in models] for reading in self.asked.readings()}
        values = series if len(series) > 1 else next(iter(series.values()))
        return bars(models, values, title="What it costs a month", axis="US dollars a month", unit="usd", command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.lines, self.figure]

    @property
    def data(self) -> Any:
        return {"asked": vars(self.asked), "lines": self.lines.rows, "warnings": list(self.warnings)}


def price(
    *,
    requests: int,
    tokens_in: int,
    tokens_out: int,
    models: Sequence[str],
    variations: int = 1,
    cached_share: float | Decimal = 0,
    batch: bool = False,
    on: date | str | None = None,
    known: PriceList | None = None,
    command: str | None = None,
) -> Quote:
    """What `requests` a month cost with each model on a day (None: today), with `cached_share` (0..1) of the input billed as cached.

    `known` are the prices (None: the project's own, and those of genai-prices where it is installed). Raises PriceError for an unknown
    or retired model, ConfigError for amounts that cannot be.

    >>> quote = price(requests=50_000, tokens_in=2000, tokens_out=500, models=["gpt-4o", "gpt-4o-mini"])
    >>> quote.total("gpt-4o"), quote.total("gpt-4o-mini")
    (Decimal('500'), Decimal('30'))
    """
    if not models:
        raise ConfigError("no model to price", hint="isinglass price list")
    share = Decimal(str(cached_share))
    if not 0 <= share <= 1:
        raise ConfigError(f"cached_share = {cached_share!r}, expected 0 to 1")
    asked = Asked(requests, tokens_in, tokens_out, variations, int(tokens_in * share), batch)
    when, listed = day(on), known or prices()
    found = list({price.model: price for price in (listed.get(model, when) for model in models)}.values())
    lines = tuple(line for one in found for line in _lines(one, asked))
    warnings = tuple(dict.fromkeys(text for one in found for text in _warnings(one, asked, when)))
    return Quote(asked, lines, warnings, command)


def _lines(price: Price, asked: Asked) -> Iterator[Line]:
    cached = Decimal(_cached(price, asked))
    for reading, (prompts, answers) in asked.readings().items():
        plain = Part.asked(price, asked.requests, asked.tokens_in, asked.tokens_out, prompts=prompts, answers=answers)
        part = replace(plain, cached_tokens=cached, batch=asked.batch)
        yield Line(price, reading, part.usd_per_request, part.usd)


def _cached(price: Price, asked: Asked) -> int:
    """What the provider's own rule lets through of the prefix."""
    return asked.cached_tokens if price.prefix_cache is None else price.prefix_cache.tokens(asked.cached_tokens)


def _warnings(price: Price, asked: Asked, day: date) -> Iterator[str]:
    if text := price.warning(day):
        yield text
    if price.most_answers is not None and price.most_answers < asked.variations:
        yield f"{price.model}: {price.provider} gives {price.most_answers} answer to a request: only separate requests can be had"
    if asked.batch and price.batch is None:
        yield f"{price.model}: no batch price is known, the usual one is taken"
    if not asked.cached_tokens:
        return
    if price.rates(asked.tokens_in, batch=asked.batch).cached_input is None:
        yield f"{price.model}: no price of cached input is known, the usual one is taken"
    elif (cached := _cached(price, asked)) < asked.cached_tokens:
        rule = price.prefix_cache or PrefixCache()
        told = f"prefixes are cached from {rule.minimum_tokens:,} tokens on in steps of {rule.step_tokens}"
        yield f"{price.model}: {told}: {cached:,} of {asked.cached_tokens:,} tokens are"


def day(on: date | str | None) -> date:
    """A day as it is given: a date, a text such as 2025-03-01, or None for today. Raises ConfigError for a text that is no day."""
    try:
        return date.fromisoformat(on) if isinstance(on, str) else on or date.today()
    except ValueError:
        raise ConfigError(f"on = {on!r}, expected a day such as 2025-03-01") from None
