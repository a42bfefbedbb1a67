"""Our own form: a TOML file with a table `[[price]]` for each model; `isinglass price list --save prices.json` shows every key."""

from __future__ import annotations

from pathlib import Path

from isinglass.core.config import Config, build, line_of, read_toml
from isinglass.core.errors import PriceError
from isinglass.economics.price import Price

FILE = Path(__file__).parent.parent / "prices.toml"


class _File(Config):
    price: tuple[Price, ...]


def read(path: Path) -> dict[str, Price]:
    """Model -> price. Raises ConfigError, with file and line, for a key or value that is wrong; PriceError for a model given twice."""
    values = read_toml(path)
    if not values.get("price"):
        raise PriceError(
            f"{path}: no prices in it, expected a table [[price]] for each model", hint="copy the form of isinglass price list"
        )
    held = build(_File, values, place=lambda key: f"{path}:{line_of(path, key[:1]) or 1}")
    found: dict[str, Price] = {}
    for price in held.price:
        if price.model in found:
            raise PriceError(f"{path}: two prices for {price.model!r}", hint="give the older one another name, such as its dated one")
        found[price.model] = price
    return found
