"""Prefix cache: the provider bills the beginning of a prompt that it has seen lately at a lower rate.

What: puts what is the same in every request (instructions, examples, documents) at the beginning of the prompt.
Why: the provider keeps the keys and values of that prefix and does not compute them again.
Math: prefix_tokens at the rate of cached input, in the provider's steps, from its least length on
Cost: nothing; a prefix shorter than the provider's least length gains nothing
Used by: long instructions, examples and documents that come first in each prompt
Source: prices.toml has each provider's rate and rule (OpenAI: from 1,024 tokens on, in steps of 128)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from isinglass.economics.saving import Branch, Risk, Saving, Share, Verdict
from isinglass.economics.traffic import Part
from isinglass.economics.workload import Situation


@dataclass(frozen=True)
class PrefixCaching(Saving):
    @property
    def risk(self) -> Risk:
        return Risk.NONE

    @property
    def loss(self) -> str:
        return "nothing: the answers are the same"

    @property
    def steps(self) -> Sequence[str]:
        return ("Put what never changes first, and what the user typed last.", "Read the count of cached tokens in the provider's answers.")

    @property
    def shares(self) -> Sequence[Share]:
        return ()

    def verdict(self, part: Part, situation: Situation) -> Verdict:
        prefix, rule = situation.workload.prefix_tokens, part.price.prefix_cache
        if part.rates.cached_input is None:
            return Verdict(False, f"no price of cached input is known for {part.price.model}")
        if rule is not None and part.tokens_in < rule.minimum_tokens:
            whole = f"the whole prompt has {part.tokens_in:,.0f} tokens"
            return Verdict(False, f"{whole}, and {part.price.model} caches prefixes from {rule.minimum_tokens:,} on")
        if not prefix:
            return Verdict(False, "no part of the prompt is the same in every request (prefix_tokens = 0)")
        if rule is not None and not rule.tokens(prefix):
            return Verdict(False, f"the shared prefix has {prefix:,} tokens, and {part.price.model} caches from {rule.minimum_tokens:,} on")
        return Verdict(True, f"{self._cached(part, prefix):,} of {part.tokens_in:,.0f} tokens of input are the same in every request")

    def branches(self, part: Part, situation: Situation) -> Sequence[Branch]:
        return (Branch(cached_tokens=self._cached(part, situation.workload.prefix_tokens)),)

    def _cached(self, part: Part, prefix: int) -> int:
        return prefix if part.price.prefix_cache is None else part.price.prefix_cache.tokens(prefix)


def build() -> Saving:
    """Nothing to set: the workload's prefix and the provider's rule decide."""
    return PrefixCaching()
