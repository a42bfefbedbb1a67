"""`Part`: requests of one kind, to one model. A workload begins as one part; what saves money changes parts or splits them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from isinglass.economics.price import PER, Price, Rates, tidy


@dataclass(frozen=True)
class Part:
    """`requests` a month; in each, a prompt of `tokens_in` is billed `prompts` times and an answer of `tokens_out` `answers` times.

    `cached_tokens` of the prompt are billed at the rate of cached input, where the provider has one.

    >>> gpt_4o = Price(model="gpt-4o", provider="openai", input="2.50", output="10", source="the notes")
    >>> Part(gpt_4o, requests=Decimal(100_000), tokens_in=Decimal(150), tokens_out=Decimal(200), prompts=3, answers=3).usd
    Decimal('712.5')
    """

    price: Price
    requests: Decimal
    tokens_in: Decimal
    tokens_out: Decimal
    prompts: int = 1
    answers: int = 1
    cached_tokens: Decimal = Decimal(0)
    batch: bool = False
    label: str = "all requests"

    @classmethod
    def asked(cls, price: Price, requests: int, tokens_in: int, tokens_out: int, *, prompts: int = 1, answers: int = 1) -> Part:
        """From whole numbers."""
        return cls(price, Decimal(requests), Decimal(tokens_in), Decimal(tokens_out), prompts, answers)

    @property
    def rates(self) -> Rates:
        """Dollars per million tokens at this length."""
        return self.price.rates(self.tokens_in, batch=self.batch)

    @property
    def input_usd(self) -> Decimal:
        """The prompts of one request."""
        prompt = self.price.request_usd(self.tokens_in, 0, cached_tokens=self.cached_tokens, batch=self.batch)
        return tidy(self.prompts * prompt)

    @property
    def output_usd(self) -> Decimal:
        """The answers of one request."""
        return tidy(self.answers * self.tokens_out * self.rates.output / PER)

    @property
    def usd_per_request(self) -> Decimal:
        """Prompts and answers of one request."""
        return tidy(self.input_usd + self.output_usd)

    @property
    def usd(self) -> Decimal:
        """All requests of a month."""
        return tidy(self.usd_per_request * self.requests)


def total(parts: Iterable[Part]) -> Decimal:
    """Dollars a month."""
    return tidy(sum((part.usd for part in parts), Decimal(0)))
