"""Contrastive: of the few likeliest tokens the one that least repeats what the text has already said.

What: reads each of the k likeliest tokens and subtracts how much its hidden state resembles that of any token before it, prompt included.
Why: repetition shows in the hidden states: those of a text that goes in circles are nearly alike. The text stays likely without a draw.
Math: argmax over the k likeliest v of (1 - alpha) p(v) - alpha max_j cos(h_v, h_j), h the states after the final norm
Cost: k rows in each pass, one pass more than greedy, and the hidden states of the text
Used by: open text that should neither repeat itself nor change from run to run
Paper: Su et al. 2022, A Contrastive Framework for Neural Text Generation
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from isinglass.core.errors import VariantError
from isinglass.generation.decoding import Job, Procedure
from isinglass.generation.prompts import pad_left
from isinglass.generation.results import TokenOut
from isinglass.generation.sampling import HIDDEN
from isinglass.models.cache import new_cache
from isinglass.nn.attention.caches.contiguous import Contiguous
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict(k=4, alpha=0.6)


@dataclass(frozen=True)
class Contrastive(Procedure):
    k: int
    alpha: float

    @torch.inference_mode()
    def decode(self, job: Job) -> Iterator[TokenOut]:
        """Read the candidates of every open row in one pass, write the best of each; a row that is done leaves the batch."""
        texts = Texts(job, min(self.k, job.lm.config.vocab_size))
        writers = job.writers
        while writers:
            ids, log_probs, penalty = texts.candidates()
            best = ((1 - self.alpha) * log_probs.exp() - self.alpha * penalty).argmax(dim=1)
            chosen = [one.gather(1, best[:, None])[:, 0].tolist() for one in (ids, log_probs)]
            for writer, id, log_prob in zip(writers, *chosen, strict=True):
                yield writer.write(id, log_prob, job.seconds(), job.full(writer.row, writer.n_tokens + 1))
            texts.append(best)
            open = [number for number, writer in enumerate(writers) if writer.finish is None]
            if len(open) < len(writers):
                writers = [writers[number] for number in open]
                texts.select(open)


class Texts:
    """The rows being written. Each stands k times in the cache, once per candidate; these copies differ in their last token alone."""

    def __init__(self, job: Job, k: int) -> None:
        self.model, self.k, self.context = job.lm.packed(), k, job.lm.decoder.config.context_length
        n_rows = len(job.prompt_ids)
        capacity = job.longest + max(map(job.room, range(n_rows)))
        cache = new_cache(self.model, batch=n_rows, capacity=capacity, kind="contiguous")
        assert isinstance(cache, Contiguous)
        self.cache = cache
        ids, slots = pad_left(job.prompt_ids, job.lm.device)
        hidden = self.model.hidden(ids, slots=slots, cache=cache)
        self.states: Float[Tensor, "rows time d_model"] = _directions(hidden)
        self.real: Bool[Tensor, "rows time"] = torch.ones_like(ids, dtype=torch.bool) if slots.valid is None else slots.valid
        self.last: Float[Tensor, "rows d_model"] = hidden[:, -1]  # decides what comes next
        self.position: Int[Tensor, "rows 1"] = slots.position[:, -1:] + 1
        cache.select(self._copies(torch.arange(n_rows, device=ids.device)))

    def candidates(self) -> tuple[Int[Tensor, "rows k"], Float[Tensor, "rows k"], Float[Tensor, "rows k"]]:
        """The k likeliest next tokens of each row, likeliest first: ids, log-probabilities, and their largest similarity with the text."""
        log_probs, ids = self.model.logits(self.last).float().log_softmax(dim=-1).topk(self.k)
        # a token behind the context's end cannot be read where it stands, so probability alone decides on it, the last of its row
        beyond = self.position >= self.context
        slots = Slots(self._copies(self.position.masked_fill(beyond, self.context - 1)))
        self.read = self.model.hidden(ids.flatten()[:, None], slots=slots, cache=self.cache)[:, 0].unflatten(0, (-1, self.k))
        similarity = (_directions(self.read) @ self.states.mT).masked_fill(~self.real[:, None], HIDDEN).amax(dim=-1)
        return ids, log_probs, similarity.masked_fill(beyond, 0.0)

    def append(self, best: Int[Tensor, " rows"]) -> None:
        """Each row goes on with this one of its candidates."""
        rows = torch.arange(len(best), device=best.device)
        self.last = self.read[rows, best]
        self.states = torch.cat([self.states, _directions(self.last)[:, None]], dim=1)
        self.real = torch.cat([self.real, torch.ones_like(self.real[:, :1])], dim=1)
        self.position = self.position + 1
        self.cache.select_last(self._copies(rows * self.k + best))

    def select(self, open: list[int]) -> None:
        """Keep these rows."""
        rows = torch.tensor(open, device=self.last.device, dtype=torch.long)
        self.states, self.real, self.last, self.position = (one[rows] for one in (self.states, self.real, self.last, self.position))
        copies = rows[:, None] * self.k + torch.arange(self.k, device=rows.device)
        self.cache.select(copies.flatten())

    def _copies(self, rows: Tensor) -> Tensor:
        """k of each."""
        return rows.repeat_interleave(self.k, dim=0)


def _directions(hidden: Tensor) -> Tensor:
    """Vectors of length 1 in fp32: their products are cosines."""
    return normalize(hidden.float(), dim=-1)


def build(k: int = 4, alpha: float = 0.6) -> Contrastive:
    """`k` candidates per token; `alpha` is the weight of not repeating, 0..1: at 0 it is greedy.

    Raises VariantError for other values.
    """
    if k < 1:
        raise VariantError(f"contrastive: k = {k!r}, expected a whole number >= 1", hint="4 to 8 is usual; 1 is greedy")
    if not 0 <= alpha <= 1:
        raise VariantError(f"contrastive: alpha = {alpha!r}, expected a number from 0 to 1", hint="0.6 is usual; 0 is greedy")
    return Contrastive(k, alpha)
