"""LiteLLM's form: one JSON object, model -> flat keys in dollars per token.

Source: model_prices_and_context_window.json of the project LiteLLM, whose newest copy the user gives as a file.
"""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from isinglass.core.errors import PriceError
from isinglass.economics.price import PER, Price, Rates, Tier

_KINDS = ("input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost")
_ABOVE = "input_cost_per_token_above_"  # ...200k_tokens


def read(path: Path) -> dict[str, Price]:
    """Model -> price, of every entry that is billed by input and output tokens. The date is the file's own.

    Raises PriceError for a file that is no such list.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal, parse_int=Decimal)
    except (ValueError, UnicodeDecodeError) as fault:
        raise PriceError(f"{path}: not readable as JSON: {fault}") from None
    if not isinstance(entries, dict):
        raise PriceError(f"{path}: expected an object of models, found a {type(entries).__name__}")
    as_of = date.fromtimestamp(path.stat().st_mtime)
    found = {
        model: _price(model, entry, as_of)
        for model, entry in entries.items()
        if isinstance(entry, dict) and isinstance(entry.get("input_cost_per_token"), Decimal) and "output_cost_per_token" in entry
    }
    if not found:
        raise PriceError(
            f"{path}: no model with input_cost_per_token in it", hint="this reads LiteLLM's model_prices_and_context_window.json"
        )
    return found


def _price(model: str, entry: dict[str, Any], as_of: date) -> Price:
    batch = _rates(entry, "_batches") if "input_cost_per_token_batches" in entry and "output_cost_per_token_batches" in entry else None
    rates = _rates(entry)
    return Price(
        model=model, provider=str(entry.get("litellm_provider", "")), **rates.model_dump(), batch=batch, tiers=_tiers(entry),
        as_of=as_of, source="LiteLLM", retired_on=_day(entry.get("deprecation_date")),
    )  # fmt: skip


def _rates(entry: dict[str, Any], ending: str = "") -> Rates:
    cached = entry.get(f"cache_read_input_token_cost{ending}")
    return Rates(
        input=entry[f"input_cost_per_token{ending}"] * PER,
        output=entry[f"output_cost_per_token{ending}"] * PER,
        cached_input=None if cached is None else cached * PER,
    )


def _tiers(entry: dict[str, Any]) -> tuple[Tier, ...]:
    names = [key.removeprefix(_ABOVE).removesuffix("k_tokens") for key in entry if key.startswith(_ABOVE) and key.endswith("k_tokens")]
    tiers = []
    for name in names:
        ending = f"_above_{name}k_tokens"
        # what has no price of its own beyond the threshold costs what it costs below
        filled = {f"{key}{ending}": value for key, value in entry.items() if key in _KINDS} | entry
        tiers.append(Tier(**_rates(filled, ending).model_dump(), above_tokens=int(name) * 1000))
    return tuple(tiers)


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        return None
