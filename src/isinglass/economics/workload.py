"""`Workload`: what an application asks of a model in a month, and what may be changed about it; read from a TOML file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from isinglass.core.config import Config, build, line_of, read_toml
from isinglass.core.errors import ConfigError
from isinglass.economics.price import Price, Usd
from isinglass.economics.price_list import PriceList
from isinglass.economics.traffic import Part

Ratio = Annotated[Decimal, Field(ge=0, le=1)]
Reading = Literal["separate requests", "one request"]
SECONDS = 365 * 24 * 3600 // 12  # of a month


class Hardware(Config):
    """A machine of one's own. `tokens_per_second` are output tokens of all its users together, as measured; `utilisation` is the share of
    the month in which it has something to do."""

    name: str = "own machine"
    usd_per_month: Usd
    tokens_per_second: Annotated[Decimal, Field(gt=0)] | None = None
    utilisation: Annotated[Decimal, Field(gt=0, le=1)] = Decimal("0.5")
    watts: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    usd_per_kwh: Usd = Decimal(0)

    @property
    def usd(self) -> Decimal:
        """A month of one machine, with its electricity."""
        return self.usd_per_month + self.watts / 1000 * SECONDS / 3600 * self.usd_per_kwh


class Workload(Config):
    """`savings` are expressions such as `response_cache(hit_rate=0.3)`, whose numbers were measured or are assumed.

    Of the input, `prefix_tokens` are the same in every request. `wait_seconds` is how long an answer may take (None: as long as it
    likes); `personal_share` of the requests have an answer for one user alone; `variations_share` of them need all variations.
    """

    name: str = "workload"
    model: str
    requests: int = Field(ge=0)
    tokens_in: int = Field(ge=0)
    tokens_out: int = Field(ge=0)
    variations: int = Field(default=1, ge=1)
    reading: Reading = "separate requests"
    models: tuple[str, ...] = ()
    prefix_tokens: int = Field(default=0, ge=0)
    wait_seconds: float | None = Field(default=30, gt=0)
    personal_share: Ratio = Decimal(0)
    variations_share: Ratio = Decimal(1)
    growth: Annotated[Decimal, Field(gt=-1)] = Decimal(0)
    months: int = Field(default=12, ge=1, le=120)
    one_off_usd: Usd = Decimal(0)
    on: date | None = None
    savings: tuple[str, ...] = ("one_request", "prefix_cache", "batch")
    hardware: Hardware | None = None


@dataclass(frozen=True)
class Situation:
    """A workload with the prices of a day."""

    workload: Workload
    known: PriceList
    day: date

    def price(self, model: str) -> Price:
        """The price of a model on that day. Raises PriceError."""
        return self.known.get(model, self.day)

    def traffic(self) -> Part:
        """The workload as it is, before anything is changed."""
        asked = self.workload
        prompts = asked.variations if asked.reading == "separate requests" else 1
        price = self.price(asked.model)
        return Part.asked(price, asked.requests, asked.tokens_in, asked.tokens_out, prompts=prompts, answers=asked.variations)


def read_workload(path: str | Path) -> Workload:
    """Read a workload. Raises ConfigError with file and line for a key or a value that is wrong."""
    file = Path(path)
    values = read_toml(file)
    found = build(Workload, values, place=lambda key: f"{file}:{line_of(file, key) or 1}")
    if found.prefix_tokens > found.tokens_in:
        at = line_of(file, ("prefix_tokens",)) or 1
        raise ConfigError(f"{file}:{at}: prefix_tokens = {found.prefix_tokens!r}, expected at most tokens_in = {found.tokens_in!r}")
    return found
