"""Masked language modelling: which tokens were hidden.

What: some tokens are hidden; most become [MASK], a few another token, a few stay. They are predicted from what stands on both sides.
Why: an encoder sees the whole text, so the next token would be no riddle; a gap is one. Tokens that are not [MASK] keep it honest
where no [MASK] stands, as in all text it is used on later.
Math: loss = -1/|M| sum_{t in M} log p(x_t | x with M hidden), |M| = max(1, round(share n))
Cost: one pass over the text, of which `share` is learned from; scores are computed for the hidden places alone
Used by: BERT, RoBERTa (new masks in every epoch, as here), ModernBERT (share 0.3)
Paper: Devlin et al. 2018, BERT, section 3.1 and appendix A.1; Liu et al. 2019, RoBERTa, sections 4.1 and 4.2
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isinglass.core.errors import ConfigError, VariantError
from isinglass.data.records import Record
from isinglass.data.windows import Windows
from isinglass.generation.lm import LM
from isinglass.models.encoder import Encoder
from isinglass.models.head import Head
from isinglass.models.headed import HeadedModel
from isinglass.models.heads.masked_lm import MaskedLM as MaskedLMHead
from isinglass.models.transformer import fresh
from isinglass.nn.attention.slots import Slots
from isinglass.nn.loss import IGNORED, chunked_cross_entropy
from isinglass.text.tokenizer import Tokenizer
from isinglass.training.objective import Batch, Loss, Objective

EXAMPLE = dict(share=0.15)
HEAD = "masked_lm"
MASKS = ("[MASK]", "<mask>")  # BERT's name and RoBERTa's


@dataclass(frozen=True, eq=False)
class Maskable:
    """What masking knows of a vocabulary: the id of its mask, and the ids of ordinary tokens, which alone are hidden or put in place."""

    mask_id: int
    ordinary: NDArray[np.int64]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Maskable:
        """ConfigError for a vocabulary without a mask token."""
        special = tokenizer.special
        mask = next((special[name] for name in MASKS if name in special), None)
        if mask is None:
            raise ConfigError(
                f"the tokenizer {tokenizer.name!r} has no mask token",
                details=[f"looked for {' and '.join(MASKS)}; its special tokens are: {', '.join(special) or 'none'}"],
                hint="train one that has: tokenizer = 'wordpiece', or take 'bert-base-uncased'",
            )
        ids = {*tokenizer.algorithm.vocab.values(), *(token.id for token in tokenizer.added)} - {*special.values()}
        return cls(mask, np.array(sorted(ids), dtype=np.int64))


@dataclass(frozen=True)
class MaskableText:
    """Ids with the special tokens around them, and what hides them."""

    ids: NDArray[np.int64]
    vocabulary: Maskable


class MaskableWindows(Sequence[MaskableText]):
    """Running text cut into windows of `length` ids, each with the model's special tokens around it; the last one reaches back.

    Documents follow one another with a separator in between, as RoBERTa's (FULL-SENTENCES).
    """

    def __init__(self, lm: LM, records: Iterable[Record], length: int) -> None:
        around = list(lm.tokenizer.surround.slots(two=False))
        self.before, self.after = around[: around.index("A")], around[around.index("A") + 1 :]
        room = length - len(around) + 1
        if room < 2:
            raise ConfigError(
                f"context_length = {length}: beside the special tokens there is room for {max(room, 0)}",
                hint="set context_length to 16 or more",
            )
        self.vocabulary = Maskable.of(lm.tokenizer)
        self.windows = Windows(running_ids(lm.tokenizer, records), room - 1, room)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, number: int) -> MaskableText:  # pyright: ignore[reportIncompatibleMethodOverride]
        ids = np.concatenate([np.array(part, dtype=np.int64) for part in (self.before, self.windows[number], self.after)])
        return MaskableText(ids, self.vocabulary)


def running_ids(tokenizer: Tokenizer, records: Iterable[Record]) -> NDArray[np.int32]:
    """All documents one after another, each with what ends a text behind it: the end-of-text token, or BERT's [SEP]."""
    last = list(tokenizer.surround.slots(two=False))[-1]
    end = tokenizer.eos_id if tokenizer.eos_id is not None else last
    ends = [end] if isinstance(end, int) else []
    texts = [np.array(tokenizer.encode(record.text) + ends, dtype=np.int32) for record in records]
    return np.concatenate(texts) if texts else np.empty(0, np.int32)


@dataclass(frozen=True)
class MaskedLM(Objective):
    """`share` of the ordinary tokens are hidden; of those, `mask` become [MASK], `random` another token, the rest stay as they are."""

    share: float
    mask: float
    random: float

    def trainee(self, lm: LM, seed: int) -> HeadedModel:
        return encoder_with(lm, [HEAD], seed)

    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> MaskableWindows:
        return MaskableWindows(lm, records, context_length)

    def collate(self, examples: Sequence[MaskableText], seeds: Sequence[int]) -> Batch:
        rows = [self.hide(each.ids, each.vocabulary, stream(seed)) for each, seed in zip(examples, seeds, strict=True)]
        ids, targets = (torch.from_numpy(np.stack(side)) for side in zip(*rows, strict=True))
        return Batch(ids, Slots.first(ids), targets)

    def hide(
        self, ids: NDArray[np.int64], vocabulary: Maskable, source: np.random.RandomState
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The ids with some hidden, and what was there: IGNORED at all other places. Special tokens are never hidden.

        The number of hidden tokens is exact, so that no text is without one; which of the three becomes of each is drawn.
        """
        places = np.flatnonzero(np.isin(ids, vocabulary.ordinary))
        n = min(len(places), max(1, round(self.share * len(places))))
        chosen = source.permutation(places)[:n]
        targets = np.full_like(ids, IGNORED)
        targets[chosen] = ids[chosen]
        fate, stand_ins = source.random_sample(n), vocabulary.ordinary[source.randint(len(vocabulary.ordinary), size=n)]
        hidden = ids.copy()
        hidden[chosen] = np.select([fate < self.mask, fate < self.mask + self.random], [vocabulary.mask_id, stand_ins], ids[chosen])
        return hidden, targets

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        headed = cast(HeadedModel, model)
        hidden = cast(Encoder, headed.body).hidden(batch.ids, slots=batch.slots)
        return Loss(masked_loss(headed, hidden, batch.targets))

    def figures(self, total: float, n_targets: float, sums: Mapping[str, float]) -> dict[str, float]:
        return {"loss": total / n_targets, "perplexity": math.exp(min(total / n_targets, 700))}


def stream(seed: int) -> np.random.RandomState:
    """What is random about one example. Numpy promises that these streams never change (NEP 19)."""
    return np.random.RandomState(np.random.MT19937(seed))


def masked_loss(model: HeadedModel, hidden: Tensor, targets: Tensor) -> Tensor:
    """The sum of nats over the hidden tokens. The head sees their places alone, and never holds the scores of all of them at once."""
    head, learned = cast(MaskedLMHead, model.heads[HEAD]), targets != IGNORED
    embedding = cast(Encoder, model.body).embed_tokens.weight
    return chunked_cross_entropy(head.features(hidden[learned]), embedding, targets[learned], bias=head.bias)


def encoder_with(lm: LM, needed: Sequence[str], seed: int) -> HeadedModel:
    """A copy of an encoder with the heads it has and, fresh from `seed`, those of `needed` that it has not.

    Raises ConfigError for what is no encoder.
    """
    given = lm.model.body if isinstance(lm.model, HeadedModel) else lm.model
    if not isinstance(given, Encoder):
        kind = str(lm.config.architecture).replace("_", "-")
        raise ConfigError(
            f"{' and '.join(needed)} trains an encoder, which sees both sides of a gap; this model is of the kind {kind}",
            hint="model = \"bert(n_layers=4, d_model=128, n_heads=4)\", or objective = 'causal_lm' for a decoder",
        )
    old = {} if not isinstance(lm.model, HeadedModel) else copy.deepcopy(dict(lm.model.heads.items()))
    config = given.config.model_copy(update={"heads": [*given.config.heads, *(name for name in needed if name not in old)]})
    new = cast(HeadedModel, fresh(config, seed % 2**63)).heads.to(given.embed_tokens.weight.dtype)
    body = copy.deepcopy(given)
    body.config = config
    return HeadedModel(body, {name: cast(Head, old.get(name, head)) for name, head in new.items()})


def build(share: float = 0.15, mask: float = 0.8, random: float = 0.1) -> Objective:
    """`share` of the tokens are hidden; of those the share `mask` becomes [MASK], `random` another token, and the rest stays."""
    if not 0 < share < 1:
        raise VariantError(f"masked_lm: share = {share!r}, expected more than 0 and less than 1")
    if min(mask, random) < 0 or mask + random > 1:
        raise VariantError(f"masked_lm: mask = {mask!r} and random = {random!r}, expected shares that are together at most 1")
    return MaskedLM(share, mask, random)
