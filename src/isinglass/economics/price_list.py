"""`PriceList`: prices by name, from the project's own dated file, from published lists, or from the user's file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path

from isinglass.core.errors import ConfigError, PriceError, unknown
from isinglass.economics.price import Price
from isinglass.show.table import Table

GENAI_PRICES = "genai-prices"


class PriceList:
    """A frozen value. Names are looked up as they are, then as aliases, then in `more`, which is read only when it comes to that.

    >>> prices().get("gpt-4o").input
    Decimal('2.5')
    """

    def __init__(self, entries: Iterable[Price], more: Callable[[], Mapping[str, Price]] = dict) -> None:
        self._entries, self._more = {price.model: price for price in entries}, more
        self._aliases = {alias: price for price in self._entries.values() for alias in price.aliases}

    def __iter__(self) -> Iterator[Price]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, model: str, on: date | None = None) -> Price:
        """The price of a model on a day (None: today). Raises PriceError for an unknown model and for a day on which it was not sold."""
        price = self._entries.get(model) or self._aliases.get(model) or self._more().get(model)
        if price is None:
            raise unknown("model", model, self._entries, where="the prices", more="isinglass price list", error=PriceError)
        return _sold(price, on or date.today(), self)

    def table(self, on: date | None = None) -> Table:
        """All prices per million tokens."""
        day = on or date.today()
        rows = [
            {
                "model": price.model, "provider": price.provider, "input_usd": price.input, "cached_usd": price.cached_input,
                "output_usd": price.output, "batch_in_usd": price.batch and price.batch.input,
                "batch_out_usd": price.batch and price.batch.output, "counted_by": price.tokenizer or "estimate",
                "as_of": price.as_of, "retired_on": price.retired_on, "source": price.source,
            }
            for price in self
        ]  # fmt: skip
        shown = ["model", "input_usd", "cached_usd", "output_usd", "counted_by", "as_of", "retired_on"]
        notes = ["per million tokens; --json holds batch rates and sources", *filter(None, (price.warning(day) for price in self))]
        return Table(rows, title="Prices", columns=shown, notes=notes)


def _sold(price: Price, day: date, known: Iterable[Price]) -> Price:
    if price.retired_on is not None and price.retired_on <= day:
        others = [one.model for one in known if one.provider == price.provider and (one.retired_on is None or one.retired_on > day)]
        raise PriceError(
            f"{price.model!r} was retired on {price.retired_on}: it has no price on {day}",
            details=[f"{price.provider} has: {', '.join(others)}"] if others else [],
            hint=f"ask for a day on which it was sold (--on, on=), before {price.retired_on}",
        )
    if price.since is not None and day < price.since:
        raise PriceError(f"{price.model!r} has no known price on {day}: this one holds since {price.since}", hint="give a later day")
    return price


def prices(source: str | Path | None = None) -> PriceList:
    """The prices of a source: the project's own file (None), `genai-prices`, or a file: .toml as ours, .json as LiteLLM publishes it.

    Without a source, models that our file does not have are looked up in the package genai-prices, where it is installed.
    Raises PriceError for a file that holds no prices, ExtraMissing when the package is asked for and not there.
    """
    from isinglass.economics.readers import genai_prices, litellm, own

    if source is None:
        return PriceList(own.read(own.FILE).values(), genai_prices.read if genai_prices.is_installed() else dict)
    if str(source) == GENAI_PRICES:
        return PriceList(genai_prices.read().values())
    path = Path(source)
    reader = {".toml": own.read, ".json": litellm.read}.get(path.suffix.lower())
    if reader is None:
        raise unknown("source of prices", str(source), [GENAI_PRICES, "FILE.toml", "FILE.json"])
    if not path.is_file():
        raise ConfigError(f"no file {str(path)!r}", hint=f"give a file of prices, or {GENAI_PRICES}")
    return PriceList(reader(path).values())
