"""`Price`: what one model costs per million tokens, from when to when, and who says so."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from isinglass.core.config import Config

PER = Decimal(1_000_000)  # prices are per million tokens
STALE_DAYS = 180  # providers change prices a few times a year
Usd = Annotated[Decimal, Field(ge=0)]


class Rates(Config):
    """US dollars per million tokens. `cached_input` is what a provider takes for a prefix that it has seen lately (None: no such rate)."""

    input: Usd
    output: Usd
    cached_input: Usd | None = None


class Tier(Rates):
    """Rates of requests whose input is longer than `above_tokens`: all of their tokens, not only those beyond."""

    above_tokens: int = Field(ge=0)


class PrefixCache(Config):
    """When a provider reuses a prefix by itself: from so many tokens on, in whole steps."""

    minimum_tokens: int = Field(default=1024, ge=0)
    step_tokens: int = Field(default=128, ge=1)

    def tokens(self, prefix_tokens: int) -> int:
        """How many tokens of a shared prefix are billed as cached.

        >>> [PrefixCache().tokens(n) for n in (150, 1024, 1200)]
        [0, 1024, 1152]
        """
        if prefix_tokens < self.minimum_tokens:
            return 0
        return prefix_tokens // self.step_tokens * self.step_tokens


class Price(Rates):
    """One model of one provider. `tokenizer` is the vocabulary that it counts with (None: not public, so counts are estimates),
    `most_answers` the largest n of one request (None: none is known), `as_of` the day on which the price was read (None: the source
    does not say)."""

    model: str = Field(min_length=1)
    provider: str
    batch: Rates | None = None
    tiers: tuple[Tier, ...] = ()
    prefix_cache: PrefixCache | None = None
    tokenizer: str | None = None
    most_answers: int | None = Field(default=None, ge=1)
    aliases: tuple[str, ...] = ()
    source: str
    as_of: date | None = None
    since: date | None = None
    retired_on: date | None = None

    def rates(self, tokens_in: int | Decimal = 0, *, batch: bool = False) -> Rates:
        """The rates of a request with so many input tokens; a batch price holds at every length. `batch` without a batch price gives
        the usual rates."""
        if batch and self.batch is not None:
            return self.batch
        passed = [tier for tier in self.tiers if tokens_in > tier.above_tokens]
        return max(passed, key=lambda tier: tier.above_tokens, default=self)

    def request_usd(
        self, tokens_in: int | Decimal, tokens_out: int | Decimal, *, cached_tokens: int | Decimal = 0, batch: bool = False
    ) -> Decimal:
        """One request, exactly. `cached_tokens` of the input are billed as cached where the provider has such a rate.

        >>> gpt_4o = Price(model="gpt-4o", provider="openai", input="2.50", output="10", as_of="2026-10-14", source="the notes")
        >>> gpt_4o.request_usd(1500, 1000)
        Decimal('0.01375')
        """
        rates = self.rates(tokens_in, batch=batch)
        cached_rate = rates.input if rates.cached_input is None else rates.cached_input
        usd = (tokens_in - cached_tokens) * rates.input + cached_tokens * cached_rate + tokens_out * rates.output
        return tidy(usd / PER)

    def warning(self, today: date) -> str:
        """What to say of a price that was read long ago; an empty text for a fresh one."""
        if self.as_of is None or (self.retired_on is not None and self.as_of >= self.retired_on):
            return ""  # what is no longer sold does not change
        age = (today - self.as_of).days
        if age <= STALE_DAYS:
            return ""
        return f"{self.model}: the price was read on {self.as_of}, {age:,} days ago; check {self.source}"


def tidy(amount: Decimal) -> Decimal:
    """The same amount without zeros at its end, and never in powers of ten.

    >>> tidy(Decimal("500.00")), tidy(Decimal("0.01375"))
    (Decimal('500'), Decimal('0.01375'))
    """
    return amount.quantize(Decimal(1)) if amount == amount.to_integral() else amount.normalize()
