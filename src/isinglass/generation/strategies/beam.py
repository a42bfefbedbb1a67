"""Beam: keeps the few likeliest texts instead of one.

What: at each step every beam is continued by every token and the `n_beams` likeliest texts go on; ended ones compete by their score.
Why: a token that looks best now can lead to an unlikely text; a search over several finds likelier ones, at the price of variety.
Math: score(y) = sum_t log p(y_t | y_<t) / |y|^length_penalty
Cost: n_beams rows in each pass, and their cache copied once per step
Used by: translation, speech recognition; seldom in open text, where the likeliest text is dull
Paper: Graves 2012, Sequence Transduction; Wu et al. 2016, Google's Neural Machine Translation System, section 7 (length penalty)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from isinglass.core.errors import VariantError
from isinglass.generation.decoding import Job, Procedure
from isinglass.generation.prompts import pad_left
from isinglass.generation.results import TokenOut
from isinglass.models.cache import new_cache
from isinglass.nn.attention.caches.contiguous import Contiguous
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(n_beams=4)
Stopping = Literal["first", "heuristic", "never"]


@dataclass(frozen=True)
class Hypothesis:
    """A text so far: its new tokens, and the log-probability of each."""

    ids: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    total: float = 0.0

    def longer(self, id: int, log_prob: float, total: float) -> Hypothesis:
        return Hypothesis((*self.ids, id), (*self.log_probs, log_prob), total)


@dataclass(frozen=True)
class Beam(Procedure):
    n_beams: int
    length_penalty: float
    early_stopping: Stopping

    def score(self, total: float, length: int) -> float:
        """The log-probability by length: with a penalty above 0 a long text is not put at a disadvantage."""
        return total / length**self.length_penalty

    @torch.inference_mode()
    def decode(self, job: Job) -> Iterator[TokenOut]:
        """One row of the batch per beam of each prompt; a prompt that is done leaves the batch."""
        model, n_prompts = job.lm.packed(), len(job.prompt_ids)
        searches = [Search(self, row, job.room(row), job.writers[row].ends) for row in range(n_prompts)]
        capacity = job.longest + max(search.limit for search in searches)
        cache = new_cache(model, batch=n_prompts, capacity=capacity, kind="contiguous")
        assert isinstance(cache, Contiguous)
        ids, slots = pad_left(job.prompt_ids, job.lm.device)
        while True:
            log_probs = model(ids, slots=slots, cache=cache, rows="last")[:, -1].float().log_softmax(dim=-1).cpu()
            parents = _advance(searches, log_probs)
            for search in searches:
                if search.done:
                    yield from _written(job, search)
            searches = [search for search in searches if not search.done]
            if not searches:
                return
            rows = torch.tensor(parents, device=job.lm.device)
            cache.select(rows)
            ids = torch.tensor([[beam.ids[-1]] for search in searches for beam in search.running], device=job.lm.device)
            slots = Slots(slots.position[rows, -1:] + 1)


class Search:
    """The beams of one prompt.

    The rules are those of transformers' `generate(num_beams=...)`, so that results can be compared: of (1 + end tokens) * n_beams
    candidates the best n_beams that have not ended go on; one that ended counts only when it is among the best n_beams.
    """

    def __init__(self, beam: Beam, row: int, limit: int, ends: frozenset[int]) -> None:
        self.beam, self.row, self.limit, self.ends = beam, row, limit, ends
        self.running = [Hypothesis()]
        self.finished: list[tuple[float, Hypothesis]] = []  # the best n_beams, best first
        self.done = False

    def advance(self, log_probs: Tensor) -> list[int]:
        """Continue the running beams by one token, given (beams, vocab); which beam each of the new ones continues."""
        n_beams = self.beam.n_beams
        totals = (log_probs + torch.tensor([[one.total] for one in self.running])).flatten()
        best = totals.topk(min(max(2, 1 + len(self.ends)) * n_beams, len(totals)))
        going: list[tuple[int, Hypothesis]] = []
        for rank, (total, place) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
            parent, id = divmod(place, log_probs.shape[1])
            text = self.running[parent].longer(id, float(log_probs[parent, id]), total)
            if id not in self.ends and len(text.ids) < self.limit:
                going.append((parent, text))
            elif rank < n_beams:
                self.finished.append((self.beam.score(total, len(text.ids)), text))
        # sorting is stable: of equal scores the earlier stays first
        self.finished = sorted(self.finished, key=lambda one: -one[0])[:n_beams]
        self.running = [text for _, text in going[:n_beams]]
        self.done = not self.running or self._hopeless()
        return [] if self.done else [parent for parent, _ in going[:n_beams]]

    def _hopeless(self) -> bool:
        """Whether no running beam is expected to beat the worst of n_beams finished ones."""
        if len(self.finished) < self.beam.n_beams:
            return False
        if self.beam.early_stopping == "first":
            return True
        # "never" is sure: the best a beam can still reach is its score at the longest length
        longest = self.beam.early_stopping == "never" and self.beam.length_penalty > 0
        length = self.limit if longest else len(self.running[0].ids)
        return self.beam.score(self.running[0].total, length) <= self.finished[-1][0]


def _advance(searches: Sequence[Search], log_probs: Tensor) -> list[int]:
    """Advance every search by its rows of the batch; the row that each new row continues."""
    parents, start = [], 0
    for search in searches:
        n = len(search.running)
        parents += [start + parent for parent in search.advance(log_probs[start : start + n])]
        start += n
    return parents


def _written(job: Job, search: Search) -> Iterator[TokenOut]:
    """The tokens of the best text; a stop string ends them early."""
    writer, best = job.writers[search.row], search.finished[0][1]
    for n_new, (id, log_prob) in enumerate(zip(best.ids, best.log_probs, strict=True), start=1):
        yield writer.write(id, log_prob, job.seconds(), job.full(search.row, n_new))
        if writer.finish is not None:
            return


def build(n_beams: int = 4, length_penalty: float = 1.0, early_stopping: Stopping = "heuristic") -> Beam:
    """`early_stopping`: "first" ends when n_beams texts have ended; "heuristic" when no running beam scores better now; "never" when
    none can score better at any length."""
    if n_beams < 1:
        raise VariantError(f"beam: n_beams = {n_beams!r}, expected a whole number >= 1", hint="4 is usual; 1 is greedy")
    return Beam(n_beams, length_penalty, early_stopping)
