"""Reward model: learns from comparisons which response people like better, and gives each a number.

What: a linear head on the last token of prompt and response; the chosen response is to get a higher number than the rejected one.
Why: comparing is easier than grading; the number can then be maximised (ppo), or be used to choose the best of several responses.
Math: loss = -log sigmoid(r(chosen) - r(rejected) - margin): the chance of the choice under Bradley and Terry; ln 2 where both are equal
Cost: two passes per pair; d_model + 1 weights more
Used by: InstructGPT, Llama 2 Chat (with a margin)
Paper: Bradley and Terry 1952, Rank Analysis of Incomplete Block Designs; Ouyang et al. 2022, section 3.5; Touvron et al. 2023, Llama 2
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.core.errors import VariantError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.headed import HeadedModel
from isinglass.training.heads import decoder_of, with_head, without_dropout
from isinglass.training.objective import Batch, Loss, Objective
from isinglass.training.preferences import PairBatch, Preferences, Preferred, pair_batch
from isinglass.training.prompting import Prompting

EXAMPLE = dict(margin=0.0)


@dataclass(frozen=True)
class RewardModel(Objective):
    """`margin` is how far apart the two rewards are to be."""

    preferences: Preferences
    margin: float

    def trainee(self, lm: LM, seed: int) -> HeadedModel:
        return with_head(without_dropout(decoder_of(lm, "reward")), "reward", seed)

    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> list[Preferred]:
        return self.preferences.read(lm.tokenizer, records, context_length)

    def collate(self, examples: Sequence[Preferred], seeds: Sequence[int]) -> PairBatch:
        return pair_batch(examples)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        chosen, rejected = model(batch.ids, slots=batch.slots)["reward"].float().chunk(2)
        sums = {"accuracy": float((chosen > rejected).sum()), "margin": float((chosen - rejected).detach().sum())}
        return Loss(preference_loss(chosen, rejected, self.margin).sum(), sums)


def preference_loss(chosen: Float[Tensor, "pairs"], rejected: Float[Tensor, "pairs"], margin: float = 0.0) -> Float[Tensor, "pairs"]:
    """-log sigmoid(chosen - rejected - margin) for each pair, in nats.

    >>> import torch
    >>> print(round(float(preference_loss(torch.tensor([1.5]), torch.tensor([1.5]))), 6))
    0.693147
    """
    return -F.logsigmoid(chosen - rejected - margin)


def build(
    margin: float = 0.0, prompt: str = "prompt", chosen: str = "chosen", rejected: str = "rejected", template: str | None = None
) -> Objective:
    """`prompt` is a field, or text with fields in braces; `chosen` and `rejected` are fields; `template`: None is the model's own."""
    if not 0 <= margin < float("inf"):
        raise VariantError(f"reward: margin = {margin!r}, expected 0 or more", hint="1.0 asks for odds of e : 1")
    return RewardModel(Preferences(Prompting(prompt, template), chosen, rejected), margin)
