"""Prompt lookup: what followed the same few tokens before, in the prompt or in the answer.

What: finds the latest earlier place where the last `ngram` tokens stood (or fewer, down to 1) and proposes what came after it.
Why: summaries, corrections and code repeat their input; a draft that costs nothing is right there often enough.
Math: propose x[i+n : i+n+k] for the largest i with x[i : i+n] = x[-n:]
Cost: one search through the text per pass
Used by: speculative, by default
Paper: Saxena 2023, Prompt Lookup Decoding; Yang et al. 2023, Inference with Reference
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.generation.decoding import Job
from isinglass.generation.draft import Draft, Drafting, Proposal
from isinglass.generation.sampling import Chooser, Row

EXAMPLE = dict(ngram=3)


@dataclass(frozen=True)
class PromptLookup(Draft):
    ngram: int

    def start(self, job: Job, chooser: Chooser, n_tokens: int) -> Drafting:
        return Looking(self.ngram, job.lm.config.vocab_size)


@dataclass(frozen=True)
class Looking(Drafting):
    ngram: int
    vocab_size: int

    def propose(self, rows: Sequence[Row], limits: Sequence[int]) -> list[Proposal]:
        found = [continuation(row.ids, self.ngram)[:limit] for row, limit in zip(rows, limits, strict=True)]
        return [Proposal(ids, _certain(ids, self.vocab_size)) for ids in found]


def _certain(ids: Sequence[int], vocab_size: int) -> Tensor:
    """The law of tokens that are proposed without a choice."""
    return torch.zeros(len(ids), vocab_size, dtype=torch.float64).scatter_(1, torch.tensor(ids, dtype=torch.long)[:, None], 1.0)


def continuation(ids: Sequence[int], ngram: int) -> list[int]:
    """What followed the latest earlier place of the longest known ending; empty when even the last token is new.

    >>> continuation([5, 6, 7, 8, 5, 6], ngram=3)
    [7, 8, 5, 6]
    """
    for n in range(min(ngram, len(ids) - 1), 0, -1):
        ending = list(ids[-n:])
        for start in range(len(ids) - n - 1, -1, -1):
            if list(ids[start : start + n]) == ending:
                return list(ids[start + n :])
    return []


def build(ngram: int = 3) -> Draft:
    """`ngram` is the longest ending looked for."""
    if ngram < 1:
        raise VariantError(f"prompt_lookup: ngram = {ngram!r}, expected a whole number >= 1", hint="2 or 3 is usual")
    return PromptLookup(ngram)
