"""The package genai-prices: prices of some fifty providers, kept by its authors; read where it is installed, without a network."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any

from isinglass.core.errors import ExtraMissing
from isinglass.economics.price import Price, Rates, Tier

_PACKAGE = "genai-prices"
_KINDS = {"input": "input_mtok", "output": "output_mtok", "cached_input": "cache_read_mtok"}


def is_installed() -> bool:
    """Whether the package is there."""
    return importlib.util.find_spec("genai_prices") is not None


@cache
def read() -> dict[str, Price]:
    """`provider/model` -> price as it stands at this moment. Models that are not billed by text tokens are left out.

    Raises ExtraMissing when the package is not installed.
    """
    if not is_installed():
        raise ExtraMissing(_PACKAGE, "prices")
    from genai_prices.data import providers

    found = [_price(provider.id, model) for provider in providers for model in provider.models]
    return {price.model: price for price in found if price is not None}


def _price(provider: str, model: Any) -> Price | None:
    now = datetime.now(UTC)
    usual, batch = model.get_prices(now), model.get_prices(now, {"processing": "batch"})
    if usual.input_mtok is None or usual.output_mtok is None:
        return None
    starts = sorted({tier.start for kind in _KINDS.values() for tier in getattr(getattr(usual, kind), "tiers", ())})
    return Price(
        model=f"{provider}/{model.id}", provider=provider, **_at(usual, 0), batch=None if batch == usual else Rates(**_at(batch, 0)),
        tiers=tuple(Tier(above_tokens=start, **_at(usual, start)) for start in starts),
        source=f"{_PACKAGE} {metadata.version(_PACKAGE)}",
    )  # fmt: skip


def _at(rates: Any, tokens_in: int) -> dict[str, Any]:
    """The rates from so many input tokens on; a kind of token without tiers costs the same at every length."""

    def one(kind: Any) -> Any:
        passed = [tier.price for tier in getattr(kind, "tiers", ()) if tier.start <= tokens_in]
        return passed[-1] if passed else getattr(kind, "base", kind)

    return {name: one(getattr(rates, attribute)) for name, attribute in _KINDS.items()}
