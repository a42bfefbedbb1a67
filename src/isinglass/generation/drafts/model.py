"""Model: a smaller model with the same vocabulary writes ahead.

What: draws `n_tokens` tokens one by one from the small model; the large one checks them all in one pass.
Why: most tokens are easy, and a small model guesses them at a fraction of the time.
Math: expected tokens per pass of the large model = (1 - a^(n+1)) / (1 - a) at an acceptance of a per token
Cost: n_tokens steps of the small model per pass of the large one
Used by: speculative(draft='NAME'), speculative(draft=model('NAME'))
Paper: Leviathan et al. 2023, Fast Inference from Transformers via Speculative Decoding
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from isinglass.core.errors import EngineError
from isinglass.generation.decoding import Job, Reader
from isinglass.generation.draft import Draft, Drafting, Proposal
from isinglass.generation.lm import LM, load
from isinglass.generation.sampling import Chooser, Row, draw
from isinglass.text.tokenizer import Tokenizer

EXAMPLE = dict(name="smollm2")


@dataclass(frozen=True)
class ModelDraft(Draft):
    lm: LM

    def start(self, job: Job, chooser: Chooser, n_tokens: int) -> Drafting:
        """Raises EngineError when the two models do not read the same tokens."""
        _check_fits(self.lm, job)
        batch = len(job.prompt_ids)
        capacity = job.longest + sum(map(job.room, range(batch))) + n_tokens
        return Ahead(Reader(self.lm, batch=batch, capacity=capacity), chooser)


class Ahead(Drafting):
    """The small model, a few tokens ahead of the rows."""

    def __init__(self, reader: Reader, chooser: Chooser) -> None:
        self.reader, self.chooser = reader, chooser

    def propose(self, rows: Sequence[Row], limits: Sequence[int]) -> list[Proposal]:
        texts = [list(row.ids) for row in rows]
        laws: list[list[torch.Tensor]] = [[] for _ in rows]
        for step in range(max(limits)):
            asked = [row for row, limit in enumerate(limits) if limit > step]
            logits = self.reader.read(texts, [int(limit > step) for limit in limits])[:, -1]
            for row in asked:
                law = self.chooser.law(logits[row], texts[row])
                texts[row].append(draw(law, rows[row].generator))
                laws[row].append(law.double().softmax(dim=-1))
        empty = torch.empty(0, self.reader.model.config.vocab_size)
        return [
            Proposal(text[len(row.ids) :], torch.stack(law) if law else empty) for text, row, law in zip(texts, rows, laws, strict=True)
        ]


def _check_fits(small: LM, job: Job) -> None:
    large = job.lm
    if small.config.vocab_size != large.config.vocab_size or not _same_tokens(small.tokenizer, large.tokenizer):
        raise EngineError(
            "the draft model does not read the same tokens as the model",
            details=[f"{role}: {lm.tokenizer.name}, {lm.config.vocab_size:,} tokens" for role, lm in (("model", large), ("draft", small))],
            hint="take a smaller model of the same family, or draft=prompt_lookup",
        )
    longest = max(len(ids) + job.room(row) for row, ids in enumerate(job.prompt_ids)) - 1
    if small.config.context_length < longest:
        raise EngineError(
            f"the draft model's context holds {small.config.context_length} tokens, this text may need {longest}",
            hint="lower max_tokens, or take draft=prompt_lookup",
        )


def _same_tokens(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether every id means the same; the files they came from may write the rules of cutting in different ways."""
    return one is other or one.fingerprint == other.fingerprint or _meanings(one) == _meanings(other)


def _meanings(tokenizer: Tokenizer) -> dict[int, str | bytes]:
    ordinary: dict[int, str | bytes] = {id: symbol for symbol, id in tokenizer.algorithm.vocab.items()}
    return ordinary | {token.id: token.content for token in tokenizer.added}


def build(name: str) -> Draft:
    """`name` is anything that can be loaded: an asset, a folder, a .gguf file."""
    return ModelDraft(load(name))
