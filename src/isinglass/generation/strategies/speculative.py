"""Speculative: a cheap draft writes ahead, the model checks several tokens in one pass.

What: the draft proposes up to `n_tokens` tokens; the model reads them in one pass, keeps those that pass, and adds one of its own.
Why: a pass over five tokens takes about as long as over one, because reading the weights takes the time. The result is the model's own:
     with `greedy` the same tokens, with `sample` the same law.
Math: keep x with probability min(1, p(x) / q(x)), p the model's law and q the draft's; else draw from max(0, p - q) / sum
Cost: one pass of the model and up to n_tokens of the draft, for 1 to n_tokens + 1 tokens
Used by: most inference engines
Paper: Leviathan et al. 2023, Fast Inference from Transformers via Speculative Decoding; Chen et al. 2023, Speculative Sampling
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.core.variants import Expression
from isinglass.generation import drafts, strategies
from isinglass.generation.decoding import Job, Procedure, Reader
from isinglass.generation.draft import Draft, Proposal
from isinglass.generation.drafts.model import ModelDraft
from isinglass.generation.drafts.model import build as load_draft
from isinglass.generation.lm import LM
from isinglass.generation.results import Speculated, TokenOut
from isinglass.generation.sampling import Chooser, Row, Strategy, draw

EXAMPLE = dict(n_tokens=4)


@dataclass(frozen=True)
class Speculative(Procedure):
    draft: Draft
    chooser: Chooser
    n_tokens: int

    def with_temperature(self, temperature: float) -> Strategy | None:
        heated = self.chooser.with_temperature(temperature)
        return replace(self, chooser=heated) if isinstance(heated, Chooser) else None

    def decode(self, job: Job) -> Iterator[TokenOut]:
        """Draft, read, check, until every row is done; a row that is done proposes nothing more."""
        rows, batch = job.rows(), len(job.prompt_ids)
        rooms = [job.room(row) for row in range(batch)]
        reader = Reader(job.lm, batch=batch, capacity=job.longest + sum(rooms) + self.n_tokens)
        drafting = self.draft.start(job, self.chooser, self.n_tokens)
        while open := [row for row in range(batch) if job.writers[row].finish is None]:
            # the last token of a text is always the model's own, so the draft may write up to the one before
            left = [rooms[row] - job.writers[row].n_tokens - 1 if row in open else 0 for row in range(batch)]
            proposals = drafting.propose(rows, [min(self.n_tokens, n) for n in left])
            needed = [len(proposals[row].ids) + 1 if row in open else 0 for row in range(batch)]
            logits = reader.read([row.ids + proposal.ids for row, proposal in zip(rows, proposals, strict=True)], needed)
            for row in open:
                yield from self._written(job, row, rows[row], proposals[row], logits[row, -needed[row] :])

    def _written(self, job: Job, number: int, row: Row, proposal: Proposal, logits: Tensor) -> Iterator[TokenOut]:
        """Check a proposal and write what is kept, until the row has finished."""
        ids = check(proposal, logits, row, self.chooser)
        counts = Speculated(len(proposal.ids), len(ids) - 1, passes=1)
        log_probs = logits.log_softmax(dim=-1)
        writer = job.writers[number]
        for place, id in enumerate(ids):
            full = job.full(number, writer.n_tokens + 1)
            yield writer.write(id, float(log_probs[place, id]), job.seconds(), full, counts if place == 0 else None)
            if writer.finish is not None:
                return


def check(proposal: Proposal, logits: Float[Tensor, "time vocab"], row: Row, chooser: Chooser) -> list[int]:
    """The tokens to write: those of the proposal up to the first that is refused, and one of the model's own. They join `row.ids`.

    `logits` are the model's before each proposed token and after the last. Whatever the draft, the tokens follow the model's law
    (Leviathan et al. 2023, appendix A.1).
    """
    start = len(row.ids)
    for id, before, guess in zip(proposal.ids, logits, proposal.laws, strict=False):
        law = chooser.law(before, row.ids).double().softmax(dim=-1)
        if float(torch.rand((), generator=row.generator, dtype=torch.float64)) * float(guess[id]) >= float(law[id]):
            row.ids.append(draw((law - guess).clamp(min=0).log(), row.generator))
            return row.ids[start:]
        row.ids.append(id)
    row.ids.append(draw(chooser.law(logits[-1], row.ids), row.generator))
    return row.ids[start:]


def build(
    draft: Any = "prompt_lookup",
    n_tokens: int = 4,
    choose: Chooser | str | Expression = "greedy",
) -> Speculative:
    """`draft` is an LM, the name of one, or a draft such as prompt_lookup(ngram=3); `choose` is greedy or sample(...).

    A named model is loaded each time; pass an LM to load it once.
    """
    if n_tokens < 1:
        raise VariantError(f"speculative: n_tokens = {n_tokens!r}, expected a whole number >= 1", hint="4 is usual")
    chooser = strategies.family.resolve(choose, where="speculative choose")
    if not isinstance(chooser, Chooser):
        raise VariantError(f"speculative: choose = {str(choose)!r} does not choose one token at a time", hint="greedy or sample(...)")
    return Speculative(_draft(draft), chooser, n_tokens)


def _draft(draft: Draft | LM | str | Expression) -> Draft:
    if isinstance(draft, LM):
        return ModelDraft(draft)
    if isinstance(draft, str) and draft.partition("(")[0] not in drafts.family.names():
        return load_draft(draft)
    return drafts.family.resolve(draft, where="speculative draft")
