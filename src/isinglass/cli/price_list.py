"""`isinglass price list`: the prices that are known."""

from __future__ import annotations

from isinglass.cli.output import Output, Result
from isinglass.cli.price import Prices
from isinglass.cli.verb import verb

EXAMPLES = ("isinglass price list", "isinglass price list --prices genai-prices --save prices.csv")
app = verb("list", EXAMPLES)


@app.default
def price_list(
    *,
    prices: Prices = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The prices that are known, with their day and source."""
    from isinglass.economics.price_list import prices as listed

    table = listed(prices).table()
    output.emit(Result(table.rows, parts=[table]))
