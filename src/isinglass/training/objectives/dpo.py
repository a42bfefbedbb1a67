"""DPO: a model learns from preferences directly; how much likelier it finds a response than before is the response's reward.

What: the chosen response is to become likelier, measured against the reference policy, than the rejected one.
Why: no reward model, nothing is generated: two passes per pair, as simple as fine-tuning.
Math: m = beta (log p(c)/ref(c) - log p(r)/ref(r));  loss = -(1 - e) log sigmoid(m) - e log sigmoid(-m), e the label smoothing; starts
      at ln 2. log p of a response is the sum over its tokens; as "mean" it is divided by their number, so that length counts for nothing.
Cost: two passes per pair, and two of the reference policy, once
Used by: Zephyr, Llama 3, Tulu 3 (with the mean)
Paper: Rafailov et al. 2023, Direct Preference Optimization, equation 7; Mitchell 2023, A note on DPO with noisy preferences (smoothing)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.core.errors import VariantError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.transformer import Decoder
from isinglass.nn.loss import IGNORED
from isinglass.training.divergence import k3
from isinglass.training.heads import decoder_of, without_dropout
from isinglass.training.log_probs import token_log_probs
from isinglass.training.objective import Batch, Loss, Objective
from isinglass.training.preferences import PairBatch, Preferences, Preferred, pair_batch
from isinglass.training.prompting import Prompting

EXAMPLE = dict(beta=0.1)
LogProbs = Float[Tensor, "pairs"]


@dataclass(frozen=True)
class Referenced:
    """A pair, and the log-probabilities of its tokens under the reference policy: (2, time), 0 where nothing is scored."""

    pair: Preferred
    log_probs: Float[Tensor, "two time"]


@dataclass(frozen=True)
class ReferencedPairs(Sequence[Referenced]):
    """Pairs whose reference log-probabilities are computed when a pair is first drawn, once, and kept: 4 bytes a token.

    Each pair is computed by itself, so that its numbers do not depend on the order in which pairs are drawn.
    """

    pairs: Sequence[Preferred]
    reference: Decoder
    _known: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> Referenced:  # type: ignore[override]
        if number not in self._known:
            batch = pair_batch([self.pairs[number]])
            with torch.no_grad():
                self._known[number] = log_probs_of(self.reference, batch)
        return Referenced(self.pairs[number], self._known[number])


@dataclass(frozen=True, eq=False, kw_only=True)
class ReferencedBatch(PairBatch):
    """`reference` are log-probabilities under the reference policy, token by token as `responses`."""

    reference: Float[Tensor, "batch time"]


@dataclass(frozen=True)
class DPO(Objective):
    """`beta` holds the policy near its reference: the larger, the nearer."""

    preferences: Preferences
    beta: float
    log_probs: Literal["sum", "mean"]
    label_smoothing: float

    def trainee(self, lm: LM, seed: int) -> Decoder:
        return without_dropout(decoder_of(lm, "dpo"))

    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> ReferencedPairs:
        pairs = self.preferences.read(lm.tokenizer, records, context_length)
        return ReferencedPairs(pairs, decoder_of(lm, "dpo"))  # the model as it was given, which training does not touch

    def collate(self, examples: Sequence[Referenced], seeds: Sequence[int]) -> ReferencedBatch:
        batch = pair_batch([example.pair for example in examples])
        width = batch.ids.shape[1]
        rows = [F.pad(example.log_probs[side], (0, width - example.log_probs.shape[1])) for side in (0, 1) for example in examples]
        return ReferencedBatch(batch.ids, batch.slots, batch.targets, responses=batch.responses, reference=torch.stack(rows))

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        given = cast(ReferencedBatch, batch)
        policy = log_probs_of(cast(Decoder, model), given)
        chosen, rejected = self._rewards(policy, given).chunk(2)
        losses = dpo_loss(chosen - rejected, self.label_smoothing)
        # the responses stand for samples of the reference policy, so the divergence is that of the reference from the policy
        moved = k3(given.reference, policy.detach()).sum() / 2
        sums = {
            "accuracy": (chosen > rejected).sum(),
            "margin": (chosen - rejected).sum(),
            "chosen_reward": chosen.sum(),
            "rejected_reward": rejected.sum(),
            "kl": moved,
        }
        return Loss(losses.sum(), {name: float(value.detach()) for name, value in sums.items()})

    def _rewards(self, policy: Tensor, batch: ReferencedBatch) -> Float[Tensor, "batch"]:
        """beta log(policy / reference) of each response."""
        log_ratio = (policy - batch.reference).sum(dim=1)
        if self.log_probs == "mean":
            log_ratio = log_ratio / (batch.responses != IGNORED).sum(dim=1)
        return self.beta * log_ratio


def log_probs_of(decoder: Decoder, batch: PairBatch) -> Float[Tensor, "batch time"]:
    """Log-probabilities of the tokens of all responses; 0 elsewhere."""
    return token_log_probs(decoder, decoder.hidden(batch.ids, slots=batch.slots), batch.responses)


def dpo_loss(margin: LogProbs, label_smoothing: float = 0.0) -> LogProbs:
    """The loss of each pair from its margin of rewards, in nats; with smoothing e each choice is taken for wrong with probability e.

    >>> print(round(float(dpo_loss(torch.zeros(1))), 6))
    0.693147
    """
    return -(1 - label_smoothing) * F.logsigmoid(margin) - label_smoothing * F.logsigmoid(-margin)


def build(
    beta: float = 0.1,
    log_probs: Literal["sum", "mean"] = "sum",
    label_smoothing: float = 0.0,
    prompt: str = "prompt",
    chosen: str = "chosen",
    rejected: str = "rejected",
    template: str | None = None,
) -> Objective:
    """`prompt` is a field, or text with fields in braces; `chosen` and `rejected` are fields; `template`: None is the model's own."""
    if not 0 < beta < float("inf"):
        raise VariantError(f"dpo: beta = {beta!r}, expected a number above 0", hint="0.1 is usual; less lets the policy move further")
    if not 0 <= label_smoothing < 0.5:
        raise VariantError(f"dpo: label_smoothing = {label_smoothing!r}, expected from 0 to below 0.5, the share of wrong labels")
    return DPO(Preferences(Prompting(prompt, template), chosen, rejected), beta, log_probs, label_smoothing)
